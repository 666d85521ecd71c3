package govc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// maxText bounds what is kept of a service's error text, in bytes.
	maxText = 500
	// maxStart bounds what is kept of an answer that is not govc's, in bytes.
	maxStart = 80
)

// RefusedError is a request that the service understood and declined for good.
type RefusedError struct {
	Op      string
	Status  int
	Code    string // of the service, for example INVALID_FILE_PATH
	Message string // of the service, at most 500 bytes, unsanitised
}

// Error says what was refused and why.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("govc: %s refused: %s: %s", e.Op, e.Code, e.Message)
}

// NotGovcError is an answer that no govc service of a dialect spoken here
// gives. It is a store.ErrIdentity.
type NotGovcError struct {
	URL         string // asked, without credentials
	Status      int
	ContentType string
	Start       string // first bytes of the answer, at most 80, unsanitised
	Reason      string // what is wrong with it and what to check
}

// Error says what answered and what to check.
func (e *NotGovcError) Error() string {
	return fmt.Sprintf("%s is not a govc service that can be used: %s (status %d, content type %q, it begins %q)",
		e.URL, e.Reason, e.Status, e.ContentType, e.Start)
}

// Unwrap makes errors.Is(err, store.ErrIdentity) hold.
func (e *NotGovcError) Unwrap() error { return store.ErrIdentity }

// RedirectError is an answer that points elsewhere. Nothing is sent there,
// least of all credentials. It is a *NotGovcError.
type RedirectError struct {
	*NotGovcError
	To string // scheme, host and path of where it points, unsanitised
	// Elsewhere: that is another host or port, or plain HTTP instead of https.
	Elsewhere bool
}

// Error says what to do.
func (e *RedirectError) Error() string {
	if e.Elsewhere {
		return fmt.Sprintf("%s redirects to another service, %s, to which nothing is sent; if that is the service, write it into govc.url", e.URL, e.To)
	}
	return fmt.Sprintf("%s redirects to %s, which is not followed; write the final URL into govc.url", e.URL, e.To)
}

// Unwrap returns the *NotGovcError.
func (e *RedirectError) Unwrap() error { return e.NotGovcError }

// redirected tells where an answer points, without what may be secret in it.
func (c *Client) redirected(r reply) error {
	e := &RedirectError{To: "nowhere"}
	base, err := url.Parse(c.base + r.path)
	if err == nil {
		var to *url.URL
		if to, err = base.Parse(r.header.Get("Location")); err == nil {
			e.Elsewhere = !strings.EqualFold(hostPort(to), hostPort(base)) || (base.Scheme == "https" && to.Scheme != "https")
			e.To = c.clean((&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String(), maxText)
		}
	}
	wrong, _ := errors.AsType[*NotGovcError](c.notGovc(r, "it redirects to "+e.To+", which is not followed; configure the final URL"))
	e.NotGovcError = wrong
	return e
}

// hostPort is where a URL leads, with the port that its scheme stands for.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return u.Host + ":443"
	}
	return u.Host + ":80"
}

func bounded(s string, limit int) string {
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

func (c *Client) notGovc(r reply, reason string) error {
	return &NotGovcError{
		URL: c.base + r.path, Status: r.status, ContentType: c.clean(r.header.Get("Content-Type"), maxStart),
		Start: c.clean(string(r.body[:min(len(r.body), maxStart+maxSecrets)]), maxStart), Reason: reason,
	}
}

// problem is the body of an error of the service.
type problem struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

// framed reports a body in the form of package frame.
func (r reply) framed() bool { return frame.Is(r.header.Get("Content-Type")) }

// problem returns what a reply that is no success says of itself.
func (r reply) problem() (p problem, err error) {
	if r.framed() { // as only a batch is that failed as a whole
		told, err := frame.ReadMade(r.body)
		return problem{Error: told.Error, Code: told.Code}, err
	}
	err = decodeFirst(r.body, &p)
	return p, err
}

// code returns the error code of a reply, "" if it carries none.
func (r reply) code() string {
	p, err := r.problem()
	if err != nil {
		return ""
	}
	return p.Code
}

// decodeFirst decodes the first JSON value of a body; some answers hold two.
func decodeFirst(body []byte, into any) error {
	return json.NewDecoder(bytes.NewReader(body)).Decode(into)
}

// check turns a reply that is no success into an error that callers decide on.
func (c *Client) check(q request, r reply) error {
	if r.status >= 200 && r.status < 300 {
		return nil
	}
	p, broken := r.problem()
	text, code := c.clean(p.Error, maxText), c.clean(p.Code, maxStart)
	named := func(kind error) error {
		return fmt.Errorf("govc: %s: %w: status %d: %s: %s", q.op, kind, r.status, code, text)
	}
	switch {
	case r.status == http.StatusUnauthorized:
		return named(store.ErrUnauthorized)
	case r.status == http.StatusForbidden:
		return named(store.ErrForbidden)
	case r.status == http.StatusProxyAuthRequired:
		return c.notGovc(r, "the proxy "+c.proxy+" asks for credentials; write them into HTTP_PROXY or HTTPS_PROXY")
	case r.status == http.StatusRequestEntityTooLarge:
		return named(store.ErrTooLarge)
	case r.status == http.StatusInsufficientStorage:
		return named(store.ErrDiskFull)
	case r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests:
		return named(store.ErrUnavailable)
	case p.Code == "REPO_DAMAGED" && !q.write: // what was asked for; the rest may be whole
		return named(store.ErrCorrupt)
	case r.status >= 500 || r.status == http.StatusRequestTimeout:
		if q.write { // it may have been done before it failed
			return fmt.Errorf("%w: %w", store.ErrAmbiguous, named(store.ErrUnavailable))
		}
		return named(store.ErrUnavailable)
	case r.status >= 300 && r.status < 400:
		return c.redirected(r)
	case p.Code == "FILE_NOT_FOUND":
		return named(store.ErrNotFound)
	case p.Code == "REPO_NOT_FOUND":
		return named(store.ErrIdentity)
	case r.status == http.StatusBadRequest && bytes.Contains(r.body, []byte("HTTP request to an HTTPS server")):
		return c.notGovc(r, "it speaks TLS there; write https:// in govc.url")
	case broken != nil || p.Code == "":
		return c.notGovc(r, "its error carries no code; check host, port and path of the URL")
	}
	return &RefusedError{Op: q.op, Status: r.status, Code: code, Message: text}
}

// transportError says what a failed exchange means: a write that may have
// reached the service has an unknown outcome, everything else just did not
// happen.
func transportError(ctx context.Context, q request, sent bool, err error) error {
	cause := fmt.Errorf("govc: %s: %w", q.op, err)
	if caller := ctx.Err(); caller != nil {
		cause = fmt.Errorf("govc: %s: %w", q.op, caller)
		if q.write && sent {
			return fmt.Errorf("%w: %w", store.ErrAmbiguous, cause)
		}
		if errors.Is(caller, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, cause)
		}
		return cause
	}
	if q.write && sent {
		return fmt.Errorf("%w: %w", store.ErrAmbiguous, cause)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, cause)
}
