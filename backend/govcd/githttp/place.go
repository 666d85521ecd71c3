package githttp

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// enter waits for a place among the transfers: first among those of the same
// client, so that whoever has many waiting keeps nobody else from one.
func (s *Server) enter(r *http.Request) (leave func(), err error) {
	late := time.NewTimer(s.wait)
	defer late.Stop()
	own, back := s.own.join(r)
	if own != nil {
		if err := s.take(r.Context(), own, late, "of your address"); err != nil {
			back()
			return nil, err
		}
	}
	if err := s.take(r.Context(), s.places, late, ""); err != nil {
		if own != nil {
			<-own
			back()
		}
		return nil, err
	}
	return func() {
		<-s.places
		if own != nil {
			<-own
			back()
		}
	}, nil
}

// take waits for one of some places until it is too late.
func (s *Server) take(ctx context.Context, places chan struct{}, late *time.Timer, whose string) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		if whose != "" {
			whose += " "
		}
		return &Refusal{
			Status: http.StatusServiceUnavailable, Code: "OVERLOADED", After: retryAfter,
			Text: fmt.Sprintf("%d transfers %sare under way already: try again in %d s", cap(places), whose, retryAfter),
		}
	}
}

// shares are the places of each client that has or wants one.
type shares struct {
	client func(*http.Request) (netip.Addr, bool)
	each   int

	mu sync.Mutex
	of map[netip.Addr]*share
}

type share struct {
	places chan struct{}
	users  int // who have a place or wait for one
}

// join returns the places of a request's client, nil if it is not counted, and
// how to give them up.
func (s *shares) join(r *http.Request) (places chan struct{}, leave func()) {
	if s.client == nil {
		return nil, nil
	}
	who, counted := s.client(r)
	if !counted {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[who]
	if own == nil {
		own = &share{places: make(chan struct{}, s.each)}
		s.of[who] = own
	}
	own.users++
	return own.places, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(s.of, who)
		}
	}
}
