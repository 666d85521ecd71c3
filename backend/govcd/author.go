package govcd

import (
	"net/http"
	"net/mail"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// nobodyMail is govc's address for whoever gives none.
const nobodyMail = "unknown@example.com"

// unknownAuthor is govc's author of a commit that names none, where nobody
// committed before.
var unknownAuthor = gitrepo.Signature{Name: "Unknown", Email: nobodyMail}

// authorOf is who a commit is by that names nobody: the caller, where callers are
// told apart. The zero value leaves it at govc's rule, which is whoever was
// the last author: that would show one caller's commit as another's.
func authorOf(r *http.Request) gitrepo.Signature {
	who := access.From(r.Context())
	if who.Kind == access.Nobody || who.Kind == access.Anybody {
		return gitrepo.Signature{}
	}
	by := gitrepo.Signature{Name: who.Subject, Email: nobodyMail}
	if at, err := mail.ParseAddress(who.Subject); err == nil && at.Address == who.Subject {
		by.Email = who.Subject
	}
	return by
}
