package govcd

import (
	"bytes"
	"context"
	"fmt"
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
	// MaxConnectionsPerAddress bounds those of one address of another machine (an
	// IPv4 address, or the 64 bits of an IPv6 network); more are closed at once,
	// so that nobody alone can keep the others waiting.
	MaxConnectionsPerAddress = MaxConnections / 4
	// maxMembers bounds the commas of a body outside its strings, and so what
	// its lists can unfold to in memory before they can be counted: an empty
	// object of two bytes becomes a structure of eighty. A full batch has a
	// tenth of them.
	maxMembers = 64 * MaxBatch
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

// checkMembers refuses a body of JSON that has more members than any request
// needs. Whether it is JSON at all is for others to find.
func checkMembers(body []byte) error {
	for members := 0; ; {
		i := bytes.IndexAny(body, `",`)
		if i < 0 {
			return nil
		}
		if body[i] == ',' {
			if members++; members > maxMembers {
				return fail(http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("the body has more than %d members", maxMembers))
			}
			body = body[i+1:]
			continue
		}
		body = afterString(body[i+1:])
	}
}

// afterString returns what follows a string of JSON, of which the first quote
// is gone already.
func afterString(body []byte) []byte {
	for {
		i := bytes.IndexByte(body, '"')
		if i < 0 {
			return nil
		}
		escapes := 0
		for escapes < i && body[i-1-escapes] == '\\' {
			escapes++
		}
		body = body[i+1:]
		if escapes%2 == 0 {
			return body
		}
	}
}
