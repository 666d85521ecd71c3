package govc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// errNotRenewable: there is nothing to get another token with.
var errNotRenewable = errors.New("govc: the credentials cannot be renewed")

// mostRenewals bounds those before one request: tokens may end faster than they
// come.
const mostRenewals = 3

// identify returns what the next request shows. A token that ends soon is
// renewed by one caller while the others go on with it; one that is over is
// waited for.
func (c *Client) identify(ctx context.Context) (proof, error) {
	for range mostRenewals {
		p := c.auth.current()
		switch {
		case p.mustFirst:
			if err := c.renew(ctx, p.generation, false, true); err != nil {
				return proof{}, err
			}
		case p.renewWorthIt:
			if c.renew(ctx, p.generation, false, false) != nil {
				return p, nil // it still holds; what failed is in Access
			}
			return c.auth.current(), nil
		default:
			return p, nil
		}
	}
	return c.auth.current(), nil
}

// renewRefused replaces what a service refused with 401, once. again is false
// if there is nothing else to show.
func (c *Client) renewRefused(ctx context.Context, p proof) (again bool, err error) {
	if c.auth.hopeless(p) {
		return false, nil
	}
	err = c.renew(ctx, p.generation, true, true)
	if errors.Is(err, errNotRenewable) {
		return false, nil
	}
	return err == nil, err
}

// hopeless reports a value that a new one would share its fate with: it was
// refused as soon as it was there, or it is a key.
func (a *credentials) hopeless(p proof) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.generation != p.generation {
		return false
	}
	return !a.jwt || (a.refused == p.generation && a.now().Sub(a.refusedAt) < refusedFor)
}

// refuse remembers that a value was refused as soon as it was there.
func (a *credentials) refuse(p proof) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused, a.refusedAt = p.generation, a.now()
}

// renew gets the value after a generation, for all callers at once. wait: it is
// needed, so who comes second waits for who came first.
func (c *Client) renew(ctx context.Context, generation int64, refused, wait bool) error {
	for {
		r, lead := c.auth.begin(generation)
		switch {
		case r == nil:
			return nil
		case lead:
			err := c.renewNow(ctx, refused)
			c.auth.end(ctx, r, err)
			return err
		case !wait:
			return nil
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return transportError(ctx, request{op: "wait for a token"}, false, ctx.Err())
		}
		if r.err != nil && !r.other {
			return r.err
		}
	}
}

// renewNow refreshes the token, or logs in where that cannot be done.
func (c *Client) renewNow(ctx context.Context, refused bool) error {
	err := errNotRenewable
	p := c.auth.current()
	if p.value != "" && !refused && !p.mustFirst && c.auth.mayRefresh() {
		if err = c.refresh(ctx, p); err == nil {
			return nil
		}
	}
	if c.auth.user == "" || ctx.Err() != nil {
		return err
	}
	return c.login(ctx)
}

func (a *credentials) mayRefresh() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jwt && a.fixed == ""
}

// issued is what login and refresh answer.
type issued struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires_at"`
}

func (r reply) date() time.Time {
	at, err := http.ParseTime(r.header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at
}

// refresh exchanges a token that holds for the next of its row.
func (c *Client) refresh(ctx context.Context, p proof) error {
	q := request{op: "refresh token", method: http.MethodPost, path: "/api/v1/auth/refresh", csrf: true, timeout: c.timeouts.Read}
	r, _, err := c.send(ctx, q, p)
	if err == nil {
		err = c.check(q, r)
	}
	var got issued
	switch {
	case err == nil && (!decodes(r.body, &got) || got.Token == ""):
		err = c.notGovc(r, "it answers a refresh without a token")
	case err == nil:
		c.auth.adopt(c.auth.describe().Method, got.Token, got.Expires, r.date())
		return nil
	}
	if r.status >= 400 && r.status < 500 && r.status != http.StatusTooManyRequests {
		c.auth.fix(err.Error())
	}
	return err
}

// fix remembers that the service renews no token of this row.
func (a *credentials) fix(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fixed = why
}

// login gets a token for user and password. It is never sent twice in a row
// once it was refused: that would lock the address out.
func (c *Client) login(ctx context.Context) error {
	if err := c.auth.paused(); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"username": c.auth.user, "password": c.auth.pass.Reveal()})
	if err != nil {
		return fmt.Errorf("govc: encode login: %w", err)
	}
	q := request{op: "log in", method: http.MethodPost, path: "/api/v1/auth/login", body: body}
	r, _, err := c.exchange(ctx, q, proof{}, "")
	if err == nil {
		err = c.check(q, r)
	}
	var got issued
	switch {
	case r.status == http.StatusTooManyRequests:
		err = c.auth.rest(retryAfter(r), err)
	case r.status >= 400 && r.status < 500:
		if !errors.Is(err, store.ErrUnauthorized) {
			err = fmt.Errorf("%w: %w", store.ErrUnauthorized, err)
		}
		err = c.auth.rest(loginPause, err)
	case err != nil:
	case !decodes(r.body, &got) || got.Token == "":
		err = c.notGovc(r, "it answers a login without a token")
	default:
		c.auth.adopt(MethodLogin, got.Token, got.Expires, r.date())
	}
	return err
}

// rest makes a pause, and remembers why.
func (a *credentials) rest(pause time.Duration, why error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pause = a.now().Add(pause)
	a.pauseWhy = fmt.Errorf("%w; no login is tried before %s", why, a.pause.UTC().Format(time.TimeOnly+" MST"))
	return a.pauseWhy
}

func (a *credentials) paused() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pauseWhy != nil && a.now().Before(a.pause) {
		return a.pauseWhy
	}
	return nil
}

var lockoutEnd = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// retryAfter is how long a service wants to be left alone: its header says so,
// or the text of govc's lockout, by the service's clock.
func retryAfter(r reply) time.Duration {
	wait := lockedOut
	if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err == nil && seconds > 0 {
		wait = time.Duration(min(seconds, 3600)) * time.Second
	} else if end, err := time.Parse(time.RFC3339, lockoutEnd.FindString(string(r.body))); err == nil && !r.date().IsZero() {
		wait = end.Sub(r.date()) + time.Second
	}
	return min(max(wait, time.Second), time.Hour)
}
