package govcd

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

type entryKey struct{}

// note is the entry of the audit that a request will get, for its handler to
// complete. Nobody reads it where there is no audit.
func note(r *http.Request) *audit.Entry {
	if e, ok := r.Context().Value(entryKey{}).(*audit.Entry); ok {
		return e
	}
	return &audit.Entry{}
}

// noteCommit says which commit a request made of which branch.
func noteCommit(r *http.Request, branch, hash string) {
	e := note(r)
	e.Path, e.Ref = branchPath(branch), hash
}

func branchPath(name string) string { return "refs/heads/" + name }

func tagPath(name string) string { return "refs/tags/" + name }

// audited runs the handler of a route that changes something, and answers only
// once the audit has it. Where the audit cannot be written nothing is changed;
// where it fails afterwards the answer says so.
func (s *Service) audited(w http.ResponseWriter, r *http.Request, found *route, to target) error {
	e := recordOf(r, found, to, access.From(r.Context()))
	if err := s.recordable(e); err != nil {
		s.log.Error("a request is refused because it cannot be recorded", "what", e.What, "error", err)
		f := auditFailed("nothing was changed, because the audit of this service cannot be written: try again once its operator has seen to its disk", false)
		f.header = http.Header{"Retry-After": []string{"1"}}
		return f
	}
	out := &held{header: http.Header{}, status: http.StatusOK}
	finished := false
	defer func() {
		if finished {
			return
		}
		// The handler panicked: it is not known what it did.
		e.Result = "INTERNAL_ERROR"
		if err := s.append(e); err != nil {
			s.log.Error("a request that failed is not in the audit", "what", e.What, "error", err)
		}
	}()
	err := found.serve(out, r.WithContext(context.WithValue(r.Context(), entryKey{}, &e)), to)
	finished = true
	if _, denied := errors.AsType[*access.Denied](err); denied {
		e.Result = asFailure(err).Code
		s.recordRefusal(e)
		return err
	}
	switch {
	case err != nil:
		e.Result = asFailure(err).Code
	case e.Result == "":
		e.Result = audit.OK
	}
	if recording := s.append(e); recording != nil {
		s.log.Error("a request is not in the audit", "what", e.What, "result", e.Result, "error", recording)
		if err != nil {
			return auditFailed("the request failed ("+e.Result+"), and the audit of this service cannot be written: its operator has to see to its disk", false)
		}
		return auditFailed("the change was made, but the audit of this service could not record it: look at what is there before you try again", true)
	}
	if err != nil {
		return err
	}
	out.release(w)
	return nil
}

// recordable returns nil if what comes can be recorded. An audit that failed
// before is begun again with an entry that says so.
func (s *Service) recordable(e audit.Entry) error {
	if s.audit.Failed() == nil {
		return nil
	}
	return s.append(audit.Entry{What: "audit.resume", From: e.From, Result: audit.OK})
}

// records reports whether the audit can be written. Where it could not be the
// last time it tries, so that it is found to be well again without a change.
func (s *Service) records() bool {
	if s.audit.InPlace() == nil && !s.unrecorded.Load() {
		return true
	}
	return s.append(audit.Entry{What: "audit.resume", Result: audit.OK}) == nil
}

// append records an entry, and remembers for the health of the service whether
// that could be done.
func (s *Service) append(e audit.Entry) error {
	err := s.audit.Append(e)
	failed := err != nil && !errors.Is(err, audit.ErrBusy)
	switch before := s.unrecorded.Swap(failed); {
	case failed && !before:
		s.log.Error("the audit cannot be written: changes are refused", "error", err)
	case before && !failed:
		s.log.Info("the audit is written again")
	}
	return err
}

func auditFailed(text string, changed bool) *failure {
	return &failure{
		Status: http.StatusServiceUnavailable, Code: "AUDIT_FAILED", Text: text, Details: map[string]any{"changed": changed},
	}
}

// held is an answer that waits. It is bounded by what one request can change.
type held struct {
	header http.Header
	status int
	began  bool
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) {
	if !h.began {
		h.began, h.status = true, status
	}
}

// Write implements http.ResponseWriter.
func (h *held) Write(p []byte) (int, error) {
	h.began = true
	return h.body.Write(p)
}

// release sends the answer. A client that went away is no error of ours.
func (h *held) release(to http.ResponseWriter) {
	into := to.Header()
	for name, values := range h.header {
		into[name] = values
	}
	to.WriteHeader(h.status)
	_, _ = h.body.WriteTo(to) // the only reader is gone if this fails
}
