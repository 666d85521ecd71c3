package govc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

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

func bounded(s string, limit int) string {
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

func (c *Client) notGovc(r reply, reason string) error {
	return &NotGovcError{
		URL: c.base + r.path, Status: r.status, ContentType: bounded(r.header.Get("Content-Type"), maxStart),
		Start: bounded(string(r.body[:min(len(r.body), maxStart)]), maxStart), Reason: reason,
	}
}

// problem is the body of an error of the service.
type problem struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

// code returns the error code of a reply, "" if it carries none.
func (r reply) code() string {
	var p problem
	if err := decodeFirst(r.body, &p); err != nil {
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
	var p problem
	broken := decodeFirst(r.body, &p)
	text := bounded(p.Error, maxText)
	named := func(kind error) error {
		return fmt.Errorf("govc: %s: %w: status %d: %s: %s", q.op, kind, r.status, bounded(p.Code, maxStart), text)
	}
	switch {
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		return named(store.ErrUnauthorized)
	case r.status == http.StatusRequestEntityTooLarge:
		return named(store.ErrTooLarge)
	case r.status == http.StatusInsufficientStorage:
		return named(store.ErrDiskFull)
	case r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests:
		return named(store.ErrUnavailable)
	case r.status >= 500 || r.status == http.StatusRequestTimeout:
		if q.write { // it may have been done before it failed
			return fmt.Errorf("%w: %w", store.ErrAmbiguous, named(store.ErrUnavailable))
		}
		return named(store.ErrUnavailable)
	case r.status >= 300 && r.status < 400:
		return c.notGovc(r, "it redirects to "+bounded(r.header.Get("Location"), maxText)+", which is not followed; configure the final URL")
	case p.Code == "FILE_NOT_FOUND":
		return named(store.ErrNotFound)
	case p.Code == "REPO_NOT_FOUND":
		return named(store.ErrIdentity)
	case broken != nil || p.Code == "":
		return c.notGovc(r, "its error carries no code; check host, port and path of the URL")
	}
	return &RefusedError{Op: q.op, Status: r.status, Code: bounded(p.Code, maxStart), Message: text}
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
