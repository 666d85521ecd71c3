package govcd

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// What is kept beside the content is counted as well, so that a great many
// tiny files or commits meet MaxBytes too. Trees grow with their folders and
// are not counted.
const (
	// fileCost is counted for each accepted file beside content and path, in
	// bytes: its place in staging, its object and its entry in a tree.
	fileCost = 512
	// commitCost is counted for each commit beside message and names, in bytes:
	// its object and those of a few trees.
	commitCost = 2048
	// commitRoom is the part of MaxBytes that commits may take beyond it, so
	// that what was accepted can be committed.
	commitRoom = 16

	// largeBody is the size from which on a body waits for a place, in bytes.
	largeBody = 1 << 20
	// MaxLargeBodies bounds the requests with a large body, one of unknown
	// size or a packed one, that are served at once; more wait.
	MaxLargeBodies = 16
	// MaxConnections bounds the connections; more wait to be accepted.
	MaxConnections = 1024
)

// charge counts n more bytes of this repository; the caller holds mu.
func (r *repo) charge(n, most int64) error {
	if total := r.service.stored.Add(n); total > most {
		r.service.stored.Add(-n)
		return fail(http.StatusInsufficientStorage, "STORAGE_FULL", fmt.Sprintf("the service holds its limit of %d bytes", r.service.maxBytes))
	}
	r.bytes += n
	return nil
}

// refund takes back what a charge counted; the caller holds mu.
func (r *repo) refund(n int64) {
	r.service.stored.Add(-n)
	r.bytes -= n
}

// committed ends the charge for what was committed: on disk it takes no memory.
// The caller holds mu.
func (r *repo) committed(n int64) {
	if r.service.disk != nil {
		r.refund(n)
	}
}

// discharge takes back what was charged for a staged file that is staged no
// longer; the caller holds mu.
func (r *repo) discharge(a *area, n int64) {
	a.charged -= n
	r.refund(n)
}

// cost is what is charged for a change while it is staged; nothing for none.
func (c change) cost() int64 {
	if c.deleted || c.path.IsZero() {
		return 0
	}
	return costOfFile(c.path.String(), c.data)
}

func costOfFile(path string, data []byte) int64 { return fileCost + int64(len(path)+len(data)) }

func costOfCommit(c CommitRequest) int64 {
	return commitCost + int64(len(c.Message)+len(c.Author)+len(c.Email))
}

// place waits until a request with a large body may be read, and returns how
// to leave again.
func (s *Service) place(ctx context.Context, r *http.Request) (leave func(), err error) {
	if r.ContentLength >= 0 && r.ContentLength < largeBody && !packed(r) {
		return func() {}, nil
	}
	select {
	case s.bodies <- struct{}{}:
		return func() { <-s.bodies }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkLocal refuses what a page in somebody's browser sends to a service that
// asks for no key: requests from another origin, and those whose host name was
// made to point here.
func (s *Service) checkLocal(r *http.Request) error {
	if !s.localOnly {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if !IsLoopback(host) {
		return fail(http.StatusForbidden, "FORBIDDEN", "this service asks for no key and answers only to localhost")
	}
	if err := s.origins.Check(r); err != nil {
		return fail(http.StatusForbidden, "FORBIDDEN", "this service asks for no key and takes no requests from other pages")
	}
	return nil
}

// IsLoopback reports whether host, without a port, is localhost or a loopback
// address.
func IsLoopback(host string) bool {
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	ip := net.ParseIP(host)
	return host == localhost || (ip != nil && ip.IsLoopback())
}
