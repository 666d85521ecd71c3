package govc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// The methods by which a client shows who it is; see Access.
const (
	MethodNone   = "none"
	MethodToken  = "token"   // a JWT that was given
	MethodAPIKey = "api key" // as token or as API key
	MethodLogin  = "login"   // a JWT that the service gave for user and password
)

// maxRights bounds the rights of an Access.
const maxRights = 256

// Login is a user with a password. The token that the service gives for it is
// kept in memory only.
type Login struct {
	User     string
	Password Secret
}

// isSet reports whether there is somebody to log in.
func (l Login) isSet() bool { return l.User != "" || l.Password != "" }

// Access is who the client is to its service, and how it reaches it. Texts of
// the service are bounded, unsanitised.
type Access struct {
	Method    string            // one of the methods above
	Unused    []string          // what was given and is not sent, because something before it was given, too
	Confirmed bool              // /auth/whoami says the rest; without it nobody has checked the credentials
	Subject   string            // whom the service takes the client for, "" if it does not say
	Rights    map[string]string // repository or pattern -> read, write or admin; at most 256
	Expires   time.Time         // of the credential by the service's clock, zero: never, or not known
	Renews    bool              // the credential is renewed before it expires
	Problem   string            // why it could not be renewed when that was tried last, "" if it could
	CSRF      bool              // every write takes a CSRF token

	Insecure   bool   // the certificate of the service is not checked
	TLSVersion string // of the newest connection, "TLS 1.3"; "" is plain HTTP, or no connection yet
	Peer       string // name and issuer in the newest certificate, else the address that answered
	Proxy      string // host:port that connections go through, "" for none
}

// Access returns what is known now.
func (c *Client) Access() Access {
	a := c.auth.describe()
	a.CSRF = c.csrf.wanted.Load()
	a.Insecure, a.Proxy = c.insecure, c.proxy
	c.conns.describe(&a)
	return a
}

// identity is what /auth/whoami says, in govc's form and in ours.
type identity struct {
	ID          string            `json:"id"`
	Username    string            `json:"username"`
	Permissions []string          `json:"permissions"`
	Repos       map[string]string `json:"repo_permissions"`
	Expires     *time.Time        `json:"expires_at"`
}

// whoami asks the service whom it takes us for. That is the only way to know:
// other services answer a request for a repository whatever credentials come
// with it. A service that cannot tell is not asked for more; one that refuses
// the credentials is store.ErrUnauthorized.
func (c *Client) whoami(ctx context.Context, info Info) error {
	if !c.auth.isSet() && !info.isOurs() {
		return nil
	}
	r, err := c.call(ctx, request{op: "ask who we are", method: http.MethodGet, path: "/api/v1/auth/whoami", repeat: true})
	var told identity
	switch {
	case errors.Is(err, store.ErrUnauthorized), errors.Is(err, store.ErrUnavailable), ctx.Err() != nil:
		return err
	case err != nil || !decodes(r.body, &told) || told.ID == "":
		c.auth.confirm(nil, time.Time{})
		return nil
	}
	as := &confirmed{subject: bounded(told.ID, maxStart), rights: map[string]string{}}
	if told.Username != "" {
		as.subject = bounded(told.Username, maxStart)
	}
	for repo, right := range told.Repos {
		as.allow(repo, right)
	}
	// Plain services know rights at all repositories only as permissions.
	for _, right := range []string{"read", "write", "admin"} {
		if !info.isOurs() && slices.Contains(told.Permissions, "repo:"+right) {
			as.allow("*", right)
		}
	}
	expires := time.Time{}
	if told.Expires != nil {
		expires = *told.Expires
	}
	c.auth.confirm(as, expires)
	return nil
}

func (w *confirmed) allow(repo, right string) {
	if len(w.rights) < maxRights {
		w.rights[bounded(repo, maxStart)] = bounded(right, maxStart)
	}
}

func decodes(body []byte, into any) bool { return decodeFirst(body, into) == nil }

// clean bounds a text of the service that says what went wrong.
func (c *Client) clean(text string, limit int) string { return bounded(c.auth.redact(text), limit) }
