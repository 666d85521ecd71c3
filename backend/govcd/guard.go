package govcd

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// guard is how it is decided who may call a route.
type guard uint8

const (
	undecided guard = iota // no route has it
	anybody                // anybody, without a credential
	somebody               // whoever has a credential; the handler asks for more where that is too little
	atRepo                 // who has the route's need at the repository that the path names
	atService              // who has it at the whole service
	ifManaged              // as atService where there are rights to tell callers apart, else as anybody
)

// admit counts a request, and finds out who it comes from and whether that one
// may call the route, which is nil if there is none. A refusal is recorded, but
// for those of whom there are too many.
func (s *Service) admit(r *http.Request, found *route, to target) (access.Identity, error) {
	decide, asked := anybody, access.Route{}
	switch {
	case found != nil:
		decide, asked.Need, asked.Git = found.guard, found.need, found.git
	case strings.HasPrefix(r.URL.Path, "/api/"):
		decide = somebody // so that nobody unknown learns which routes there are
	}
	switch decide {
	case anybody:
		return access.Identity{}, s.access.Admit(r)
	case ifManaged:
		if s.access.Mode() != access.ModeManaged {
			return access.Identity{}, s.access.Admit(r)
		}
		asked.Repo = access.Service
	case atService:
		asked.Repo = access.Service
	case atRepo:
		asked.Repo = to.id
	case somebody:
		asked.Need = 0
	case undecided:
		return access.Identity{}, errors.New("govcd: nobody decided who may call " + found.pattern)
	}
	who, err := s.access.Check(r, asked)
	if err != nil {
		s.recordDenied(r, found, to, who, err)
	}
	return who, err
}

// counted counts a request that is refused for another reason against the limit
// of its address, which is the stronger one.
func (s *Service) counted(r *http.Request, refused error) error {
	if err := s.access.Admit(r); err != nil {
		return err
	}
	return refused
}

// recordDenied records a refusal, or counts it. Where that fails the request is
// refused all the same.
func (s *Service) recordDenied(r *http.Request, found *route, to target, who access.Identity, err error) {
	denied, ok := errors.AsType[*access.Denied](err)
	if ok && found != nil && found.git && denied.Reason == access.NoCredential {
		return // git always tries without one first
	}
	if s.audit == nil || !ok || denied.Reason == access.Rate || denied.Reason == access.LockedOut {
		return
	}
	_, code, _, _, _ := access.Answer(err)
	e := recordOf(r, found, to, who)
	e.Result = code
	s.recordRefusal(e)
}

// recordRefusal records a refusal by itself, or counts it if there were many.
func (s *Service) recordRefusal(e audit.Entry) {
	if !s.refused.take(e, s.now()) {
		return
	}
	if err := s.append(e); err != nil {
		s.log.Error("a refusal is not in the audit", "code", e.Result, "error", err)
	}
}

// recordOf describes a request for the audit.
func recordOf(r *http.Request, found *route, to target, who access.Identity) audit.Entry {
	e := audit.Entry{Who: who.Subject, Via: who.Via(), From: access.Address(r), What: unmatched, Repo: to.id}
	if found != nil {
		e.What = found.what
		if e.What == "" {
			e.What = found.method + " " + found.pattern
		}
	}
	return e
}
