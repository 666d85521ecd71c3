package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/tui/ui"
)

// soonOver is from when on the end of a credential is told.
const soonOver = 24 * time.Hour

// clientOptions are those by which a service is reached, as the settings say.
func clientOptions(cfg config.Config) govc.Options {
	return govc.Options{
		URL: cfg.Govc.URL, Repo: cfg.Govc.Repo,
		Token: govc.Secret(cfg.Govc.Token.Reveal()), APIKey: govc.Secret(cfg.Govc.APIKey.Reveal()),
		Login: govc.Login{User: cfg.Govc.User, Password: govc.Secret(cfg.Govc.Password.Reveal())},
		TLS: govc.TLSOptions{
			CAFile: cfg.Govc.CA, CertFile: cfg.Govc.Cert, KeyFile: cfg.Govc.Key, ServerName: cfg.Govc.ServerName,
			Insecure: cfg.Govc.Insecure, AllowInsecure: cfg.Govc.AllowInsecure,
		},
	}
}

// undescribed tells why it is not known what the service is.
func (d *doctor) undescribed(err error) {
	strange, isStrange := errors.AsType[*govc.NotGovcError](err)
	switch {
	case errors.Is(err, store.ErrUnauthorized):
		d.why = "not looked at: the service refuses the credentials"
	case isStrange:
		d.say(checkDialect, resultFail, "check host, port and path in GOVC_SERVICE_URL (govc.url)", "%s", strange.Error())
	default:
		d.say(checkDialect, resultFail, "look at the log of the service", "it lives, and does not say what it is: %s", ui.Gist(err.Error()))
	}
}

const newCredential = "set GOVC_AUTH_TOKEN or GOVC_API_KEY to one that the service knows (caiatop server apikey makes one), and start again"

// credentials finds out whom the service takes us for. A login is left to the
// engine.
func (d *doctor) credentials(ctx context.Context, i *govc.Inspector) {
	a := i.Access()
	if d.facts != nil && d.facts.Access != nil && i.LeftOut && d.facts.Access.Confirmed {
		d.ok(checkCredentials, "login: the engine is known to the service as %s", d.facts.Access.Subject)
		return
	}
	status, text, err := i.Refusal(ctx)
	switch {
	case i.LeftOut:
		d.unknown(checkCredentials, "user and password are set; no login is tried here, because one that fails counts towards a lockout")
	case err != nil:
		d.unknown(checkCredentials, "the service was asked, and did not answer: %s", ui.Gist(err.Error()))
	case status == http.StatusUnauthorized && a.Method == govc.MethodNone && d.info == nil:
		d.say(checkCredentials, resultFail, newCredential, "none is set, and the service wants one (401): %s", text)
	case status == http.StatusUnauthorized && a.Method != govc.MethodNone:
		d.say(checkCredentials, resultFail, newCredential, "the service does not know this %s (401): %s", a.Method, text)
	case status == http.StatusForbidden:
		d.say(checkCredentials, resultFail, d.grant(), "the service knows this %s, and it may not do this (403): %s", a.Method, text)
	case a.Method == govc.MethodNone:
		d.ok(checkCredentials, "none is set, and the service asks for none")
	case !a.Confirmed:
		d.say(checkCredentials, resultWarn, "let the service check credentials, or keep it on a network of its own", "the service does not say whom it takes this %s for: it may let everybody in", a.Method)
	default:
		d.confirmed(a)
	}
}

func (d *doctor) grant() string {
	return fmt.Sprintf("have the right to write at %s given to it, at caiatop server with: caiatop server grant", d.cfg.Govc.Repo)
}

// confirmed judges what the service says of us.
func (d *doctor) confirmed(a govc.Access) {
	left := a.Expires.Sub(d.Now())
	right := rightAt(a.Rights, d.cfg.Govc.Repo)
	who := fmt.Sprintf("%s: the service takes it for %s", a.Method, orUnknown(a.Subject))
	switch right {
	case "":
	case "admin":
		who += ", an admin of " + d.cfg.Govc.Repo
	default:
		who += ", who may " + right + " at " + d.cfg.Govc.Repo
	}
	switch {
	case !a.Expires.IsZero() && left <= 0:
		d.say(checkCredentials, resultFail, newCredential, "%s; it ended at %s", who, stamp(a.Expires))
	case len(a.Rights) > 0 && right == "":
		d.say(checkCredentials, resultFail, d.grant(), "%s, who may do nothing at %s", who, d.cfg.Govc.Repo)
	case right == "read":
		d.say(checkCredentials, resultFail, d.grant(), "%s, and no more: documents cannot be written", who)
	case !a.Expires.IsZero() && left < soonOver && d.facts != nil && d.facts.Access != nil && d.facts.Access.Renews:
		d.ok(checkCredentials, "%s; it ends in %s, and the running engine renews it", who, ui.Age(left))
	case !a.Expires.IsZero() && left < soonOver:
		d.say(checkCredentials, resultWarn, "set GOVC_AUTH_TOKEN to a newer one before the next start; an engine that runs may have it renewed", "%s; it ends in %s", who, ui.Age(left))
	default:
		d.ok(checkCredentials, "%s", who)
	}
}

// rightAt is the highest right at a repository, by its name or by a pattern.
func rightAt(rights map[string]string, repo string) string {
	order := map[string]int{"read": 1, "write": 2, "admin": 3}
	best := ""
	for pattern, right := range rights {
		matches, err := path.Match(pattern, repo)
		if (matches && err == nil || pattern == repo) && order[right] > order[best] {
			best = right
		}
	}
	return best
}

// identity finds out whose repository the service holds.
func (d *doctor) identity(ctx context.Context, i *govc.Inspector) {
	if d.info == nil {
		return
	}
	marker, found, err := i.ReadMarker(ctx)
	switch {
	case errors.Is(err, store.ErrUnauthorized):
		d.say(checkIdentity, resultFail, d.grant(), "the repository %s may not be read: %s", d.cfg.Govc.Repo, ui.Gist(err.Error()))
		return
	case errors.Is(err, store.ErrCorrupt):
		d.say(checkIdentity, resultFail, "look at caiatop/store.json in that repository", "the marker in the repository %s cannot be read", d.cfg.Govc.Repo)
		return
	case err != nil:
		d.unknown(checkIdentity, "the marker cannot be read: %s", ui.Gist(err.Error()))
		return
	}
	lineage, epoch, err := d.ours(ctx)
	switch {
	case errors.Is(err, state.ErrUnsettled):
		d.unknown(checkIdentity, "what this state belongs to is not known before the next start, because it was not closed")
	case err != nil:
		d.unknown(checkIdentity, "what this state belongs to cannot be read: %s", ui.Gist(err.Error()))
	case !found && lineage == "":
		d.ok(checkIdentity, "the repository %s holds nothing of caiatop yet, and this state belongs to none", d.cfg.Govc.Repo)
	case !found:
		d.say(checkIdentity, resultWarn, "nothing: while caiatop runs the service is filled again from here", "the service does not hold the repository of this state (any more)")
	case lineage == "":
		d.ok(checkIdentity, "the service holds lineage %s, which this new state takes over", marker.Lineage)
	case marker.Lineage != lineage:
		d.say(checkIdentity, resultFail, "point GOVC_SERVICE_URL at the right service; or, if this one is to hold these documents: caiatop recover --adopt",
			"the service holds another repository (lineage %s, ours is %s)", marker.Lineage, lineage)
	case marker.Epoch < epoch:
		d.say(checkIdentity, resultWarn, "nothing: while caiatop runs the service is filled again from here", "the repository is ours, and went back to epoch %d (ours is %d)", marker.Epoch, epoch)
	default:
		d.ok(checkIdentity, "the repository is ours (lineage %s, epoch %d)", marker.Lineage, marker.Epoch)
	}
}

// ours is the lineage and the epoch of this state, from the engine that runs or
// from the state file that nobody has open.
func (d *doctor) ours(ctx context.Context) (string, int64, error) {
	switch {
	case d.facts != nil:
		return d.facts.Lineage, d.facts.Epoch, nil
	case d.held:
		return "", 0, errors.New("the engine that has it does not say")
	}
	return engine.Identity(ctx, d.cfg.StatePath())
}
