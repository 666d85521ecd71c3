package govc

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// csrfKept bounds the tokens that lie ready. A batch of a plain service reads
	// and writes one after the other, so one token is used at a time.
	csrfKept = 4
	// csrfAge is how long a token is thought good. Services give an hour.
	csrfAge = 30 * time.Minute
	// headerCSRF carries a token, both ways.
	headerCSRF = "X-Csrf-Token"
)

// csrfPool is the CSRF tokens of a service that wants one with every write.
// Each is good for one.
type csrfPool struct {
	wanted atomic.Bool // the service wants them, as far as is known
	now    func() time.Time

	mu    sync.Mutex
	ready []csrfToken // oldest first, at most csrfKept
}

type csrfToken struct {
	value string
	at    time.Time
}

// offer keeps a token that came with an answer. Services that want tokens send
// one with nearly every answer to a GET, others never do: so it is known before
// the first write, without one that is refused.
func (p *csrfPool) offer(value string) {
	p.wanted.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == csrfKept {
		p.ready = p.ready[:copy(p.ready, p.ready[1:])]
	}
	p.ready = append(p.ready, csrfToken{value, p.now()})
}

// take removes the newest token, "" if none is good.
func (p *csrfPool) take() (value string, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.ready) - 1
	if last < 0 {
		return "", 0
	}
	newest := p.ready[last]
	p.ready = p.ready[:last]
	if p.now().Sub(newest.at) > csrfAge {
		p.ready = nil // the others are older
		return "", 0
	}
	return newest.value, last
}

// drop forgets all tokens: they die with the service that gave them.
func (p *csrfPool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = nil
}

// send makes an exchange, with a CSRF token where the service wants one. If it
// refuses the token, or wants one unexpectedly, the exchange is repeated with a
// new one: what is refused for its token was not done.
func (c *Client) send(ctx context.Context, q request, p proof) (r reply, stale bool, err error) {
	if !q.write && !q.csrf {
		return c.exchange(ctx, q, p, "")
	}
	token, left := "", 0
	if c.csrf.wanted.Load() {
		if token, left = c.csrf.take(); token == "" {
			if token, err = c.fetchCSRF(ctx, p); err != nil {
				return reply{}, false, err
			}
		}
	}
	var ahead sync.WaitGroup
	if token != "" && left == 0 {
		// The next write finds one ready. That it could not be had is found out by
		// who needs it.
		ahead.Go(func() {
			if next, err := c.fetchCSRF(ctx, p); err == nil && next != "" {
				c.csrf.offer(next)
			}
		})
	}
	r, stale, err = c.exchange(ctx, q, p, token)
	ahead.Wait()
	if err != nil || !refusedCSRF(r) {
		return r, stale, err
	}
	c.csrf.drop()
	if token, err = c.fetchCSRF(ctx, p); err != nil || token == "" {
		return r, false, err
	}
	c.csrf.wanted.Store(true)
	return c.exchange(ctx, q, p, token)
}

func refusedCSRF(r reply) bool {
	return r.status == http.StatusForbidden && r.code() == "CSRF_TOKEN_INVALID"
}

// fetchCSRF asks for a token. A service without the route wants none: then it
// is "".
func (c *Client) fetchCSRF(ctx context.Context, p proof) (string, error) {
	q := request{op: "fetch CSRF token", method: http.MethodGet, path: "/api/v1/auth/csrf-token", keepsCSRF: true}
	r, _, err := c.exchange(ctx, q, p, "")
	if err != nil {
		return "", err
	}
	if r.status == http.StatusNotFound {
		c.csrf.wanted.Store(false)
		return "", nil
	}
	if err := c.check(q, r); err != nil {
		return "", err
	}
	var got struct {
		Token string `json:"csrf_token"`
	}
	if !decodes(r.body, &got) || got.Token == "" {
		return "", c.notGovc(r, "it gives no CSRF token")
	}
	return got.Token, nil
}
