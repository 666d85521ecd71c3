package govc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/caiatech/caiatop/backend/store"
)

// maxAnswer bounds the body of an answer that is kept whole, in bytes: a
// document's content with every byte escaped.
const maxAnswer = 80 << 20

// request is one call of the service.
type request struct {
	op      string // for errors and Observe: "read file"
	method  string
	path    string
	query   url.Values
	body    []byte
	write   bool          // it may change something
	repeat  bool          // sending it twice does what sending it once does
	timeout time.Duration // of one attempt; 0 is Read or Write
	header  http.Header   // more headers; nil is none
	accept  string        // "" is JSON
	consume func(io.Reader) error
	csrf    bool // it takes a CSRF token as a write does, though it is none
	// keepsCSRF: the token that comes with the answer is for the caller.
	keepsCSRF bool
	probe     bool // it is what Latency tells of
	// open: services answer it to everybody, so it waits for no login. Whether a
	// service lives and whether it accepts us are two questions.
	open bool
}

// reply is what the service answered. body is empty if request.consume took it.
type reply struct {
	status int
	path   string
	header http.Header
	body   []byte
}

// call makes a call, with retries where q.repeat allows them. A status that is
// no success is an error; the reply is returned beside it.
func (c *Client) call(ctx context.Context, q request) (reply, error) {
	c.budget.earn()
	staleSpent := false
	for attempt := 0; ; {
		r, stale, err := c.attempt(ctx, q)
		if err == nil {
			err = c.check(q, r)
		}
		_, unsafe := errors.AsType[*TLSError](err)
		again := q.repeat && !unsafe && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrAmbiguous)) && ctx.Err() == nil
		if !again {
			return r, err
		}
		if stale && !staleSpent {
			staleSpent = true
			continue
		}
		if attempt >= c.retry.Max || !c.budget.take() {
			return r, err
		}
		if c.retry.Sleep(ctx, c.retry.wait(attempt, c.random)) != nil {
			return r, err
		}
		attempt++
	}
}

// attempt makes one exchange, and a second one if the service refuses what it
// was shown and there is something newer: a request that is refused with 401 was
// not done.
func (c *Client) attempt(ctx context.Context, q request) (r reply, stale bool, err error) {
	if q.open {
		if r, stale, err = c.exchange(ctx, q, c.auth.current(), ""); err != nil || r.status != http.StatusUnauthorized {
			return r, stale, err
		}
	}
	for again := false; ; again = true {
		p, err := c.identify(ctx)
		if err != nil {
			return reply{}, false, err
		}
		r, stale, err = c.send(ctx, q, p)
		if err != nil || r.status != http.StatusUnauthorized {
			return r, stale, err
		}
		if again {
			c.auth.refuse(p)
			return r, stale, nil
		}
		renewed, err := c.renewRefused(ctx, p)
		if err != nil || !renewed {
			return r, stale, err
		}
	}
}

// exchange is one HTTP request and its answer. stale says that a connection
// that had been idle turned out to be closed, before any byte of an answer.
func (c *Client) exchange(ctx context.Context, q request, p proof, token string) (r reply, stale bool, err error) {
	start := c.now()
	defer func() {
		if c.observe != nil {
			seen := err
			if seen == nil {
				seen = c.check(q, r)
			}
			c.observe(q.op, c.now().Sub(start), seen)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, c.limit(q))
	defer cancel()
	seen := &trace{}
	out := c.http.R().SetContext(c.follow(limited, seen, start, q.probe)).SetDoNotParseResponse(true)
	if q.body != nil {
		out.SetHeader("Content-Type", "application/json").SetBody(bytes.NewReader(q.body))
	}
	if q.accept != "" {
		out.SetHeader("Accept", q.accept)
	}
	for name := range q.header {
		out.SetHeader(name, q.header.Get(name))
	}
	if p.header != "" {
		out.SetHeader(p.header, p.value)
	}
	if token != "" {
		out.SetHeader(headerCSRF, token)
	}
	target := c.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	if c.inRepo(q.path) {
		c.touched.Store(start.UnixNano())
	}
	in, err := out.Execute(q.method, target)
	if err != nil {
		if unsafe := c.tlsError(err); unsafe != nil {
			return reply{}, false, fmt.Errorf("govc: %s: %w", q.op, unsafe)
		}
		if cause := withoutURL(err); strings.Contains(cause.Error(), "Location header") {
			// What it points to is none, and not worth repeating.
			return reply{}, false, c.redirected(reply{path: q.path, header: http.Header{"Location": {"%"}}})
		}
		stale = seen.reused.Load() && !seen.answered.Load() && closedByPeer(err)
		return reply{}, stale, transportError(ctx, q, seen.sent.Load(), withoutURL(err))
	}
	r, stale, err = c.receive(ctx, q, in)
	if token := r.header.Get(headerCSRF); token != "" && q.method == http.MethodGet && !q.keepsCSRF {
		c.csrf.offer(token)
	}
	if q.probe && err == nil {
		c.conns.probed(start, time.Duration(seen.firstByte.Load()), c.now().Sub(start), seen.reused.Load())
	}
	return r, stale, err
}

// receive reads the answer's body.
func (c *Client) receive(ctx context.Context, q request, in *resty.Response) (r reply, stale bool, err error) {
	body := in.RawBody()
	defer func() {
		if closeErr := body.Close(); err == nil && closeErr != nil {
			err = transportError(ctx, q, true, closeErr)
		}
	}()
	r = reply{status: in.StatusCode(), path: q.path, header: in.Header()}
	if q.consume != nil && r.status == http.StatusOK {
		if err := q.consume(body); err != nil {
			return r, false, transportError(ctx, q, true, err)
		}
		return r, false, nil
	}
	r.body, err = readAll(io.LimitReader(body, maxAnswer+1), in.RawResponse.ContentLength)
	if err != nil {
		return r, false, transportError(ctx, q, true, err)
	}
	if len(r.body) > maxAnswer {
		return r, false, fmt.Errorf("govc: %s: %w: the answer has more than %d bytes", q.op, store.ErrTooLarge, maxAnswer)
	}
	return r, false, nil
}

// readAll is io.ReadAll that makes room for what is announced, as far as it may
// be true.
func readAll(from io.Reader, announced int64) ([]byte, error) {
	var into bytes.Buffer
	into.Grow(int(min(max(announced, 0), 1<<20)) + bytes.MinRead)
	_, err := into.ReadFrom(from)
	return into.Bytes(), err
}

// limit is the time that one exchange may take.
func (c *Client) limit(q request) time.Duration {
	switch {
	case q.timeout > 0:
		return q.timeout
	case q.write:
		return c.timeouts.Write + time.Duration(len(q.body)>>20)*time.Second
	}
	return c.timeouts.Read
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, http.ErrServerClosed)
}

// withoutURL drops the URL that net/http puts before a cause: the operation
// names what was asked, and queries may be long.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// inRepo reports whether a path is that of something in the client's repository.
func (c *Client) inRepo(path string) bool {
	_, rest, found := strings.Cut(path, c.root)
	return found && strings.HasPrefix(rest, "/")
}

// repoPath is the path of something in the client's repository.
func (c *Client) repoPath(api, rest string) string {
	return api + c.root + rest
}
