package govcd

import (
	"errors"
	"net/http"
	"time"

	"github.com/caiatech/caiatop/backend/govcd/access"
)

// tokenAnswer is what a refresh answers, as at govc.
type tokenAnswer struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires_at"`
}

// whoami tells a caller who he is taken for and what he may do.
func (s *Service) whoami(w http.ResponseWriter, r *http.Request, _ target) error {
	me, err := s.access.Whoami(access.From(r.Context()))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return answer(w, http.StatusOK, me)
}

// refresh makes the next token of a row.
func (s *Service) refresh(w http.ResponseWriter, r *http.Request, _ target) error {
	token, err := s.access.Refresh(access.From(r.Context()))
	if err != nil {
		return err
	}
	note(r).Ref = token.ID
	w.Header().Set("Cache-Control", "no-store")
	return answer(w, http.StatusOK, tokenAnswer{token.Value.Reveal(), token.Expires})
}

// login says that there is none. It looks at nothing that was sent.
func (s *Service) login(http.ResponseWriter, *http.Request, target) error {
	return &access.Denied{Kind: access.ErrUnauthenticated, Reason: access.NoCredential, Text: access.ErrNoPassword.Error()}
}

// mayRead returns how a long answer asks again whether its reader may have it.
func (s *Service) mayRead(r *http.Request, repo string) func() bool {
	who := access.From(r.Context())
	return func() bool { return s.access.Allow(who, repo, access.Read) == nil }
}

// controlOf is the access of a service that was given none but a key.
func controlOf(o Options) *access.Control {
	if o.Access != nil {
		return o.Access
	}
	c, err := access.New(o.keyOnly())
	if err != nil {
		// There is no file to be wrong, and nobody claims that the key is a strong one.
		panic(errors.Join(errors.New("govcd: the key cannot be used"), err))
	}
	return c
}
