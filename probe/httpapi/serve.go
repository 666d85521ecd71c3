package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// call is one request on its way.
type call struct {
	*http.Request
	ctx    context.Context
	conn   *connection
	header http.Header // of the reply
	body   []byte
	// conditional: the caller said which version it expects, so that a
	// conflict is a condition that failed.
	conditional bool
}

// answer is a reply that can be written.
type answer struct {
	status int
	kind   string
	body   []byte
	done   func() // gives back what the reply holds; may be nil
}

// text is a reply that is no JSON, coded one with a status of its own.
type text struct {
	status     int
	kind, body string
}

type coded struct {
	status int
	value  any
}

const jsonKind = "application/json; charset=utf-8"

// ServeHTTP implements http.Handler.
func (v *serving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Request: r, ctx: r.Context(), conn: connectionOf(r.Context()), header: w.Header()}
	c.header.Set("Cache-Control", "no-store")
	c.header.Set("X-Content-Type-Options", "nosniff")
	a, err := v.admit(w, c)
	if err != nil {
		a = v.failure(c, err)
	}
	v.write(w, c, a)
}

// admit decides whether and as what a request is served, before anything of
// its body is read.
func (v *serving) admit(w http.ResponseWriter, c *call) (answer, error) {
	if err := v.edge.checkOrigin(c.Request); err != nil {
		return answer{}, err
	}
	found, allowed, err := find(c.Request)
	if found == nil || !found.open {
		if err := v.edge.checkToken(c); err != nil {
			return answer{}, err
		}
	}
	switch {
	case err != nil:
		return answer{}, err
	case found == nil && allowed == nil:
		return answer{}, advised(fmt.Errorf("%w: there is no %s %s", ErrNotFound, c.Method, c.URL.Path), "see docs/operations.md for the routes")
	case found == nil && c.Method == http.MethodOptions:
		c.header.Set("Allow", strings.Join(allowed, ", "))
		return answer{status: http.StatusNoContent}, nil
	case found == nil:
		c.header.Set("Allow", strings.Join(allowed, ", "))
		return answer{}, fmt.Errorf("%w: %s at %s", errMethod, c.Method, c.URL.Path)
	}
	if !found.body && c.ContentLength != 0 {
		c.header.Set("Connection", "close") // what comes is not waited for
	}
	if found.body {
		if err := v.checkMedia(c); err != nil {
			return answer{}, err
		}
		release, err := v.readBody(w, c)
		if err != nil {
			c.header.Set("Connection", "close")
			return answer{}, err
		}
		defer release()
	}
	return v.work(w, c, found)
}

func (v *serving) checkMedia(c *call) error {
	if coding := c.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fmt.Errorf("%w: the coding %q", errMedia, coding)
	}
	if v.edge == nil {
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return fmt.Errorf("%w: %q", errMedia, c.Header.Get("Content-Type"))
	}
	return nil
}

// readBody reads the body. More than freeBytes of it wait for their turn, once
// so much has come, and must go on coming: who is slow holds little.
func (v *serving) readBody(w http.ResponseWriter, c *call) (release func(), err error) {
	control := http.NewResponseController(w)
	limit := time.Now().Add(v.limits.body)
	if c.ContentLength > MaxBody {
		return nil, errors.Join(tooLarge(), v.linger(w, c))
	}
	held := int64(0)
	release = func() { v.bodies.Release(held) }
	ctx, cancel := context.WithDeadline(c.ctx, limit)
	defer cancel()
	var buffer bytes.Buffer
	body := http.MaxBytesReader(w, c.Body, MaxBody)
	for step, until := int64(freeBytes), limit; ; step, until = paceBytes, earlier(time.Now().Add(v.limits.pace), limit) {
		if err := deadline(control.SetReadDeadline, until); err != nil {
			return nil, errors.Join(err, released(release))
		}
		if _, err := io.CopyN(&buffer, body, step); errors.Is(err, io.EOF) {
			c.body = buffer.Bytes()
			return release, deadline(control.SetReadDeadline, time.Time{})
		} else if err != nil {
			return nil, errors.Join(bodyError(err), released(release))
		}
		c.conn.busy(false) // it went on
		if held > 0 {
			continue
		}
		most := c.ContentLength
		if most < 0 {
			most = MaxBody
		}
		if err := v.bodies.Acquire(ctx, most); err != nil {
			return nil, advised(fmt.Errorf("%w: other large requests are being read", ErrUnavailable), "try again in a moment")
		}
		held = most
	}
}

// lingerMost is how long a reply waits for the first byte of a body that is too
// large.
const lingerMost = time.Second

// linger makes the server keep a connection for a moment after its reply, so
// that a client that still sends reads it and is not cut off: net/http does so
// once the limit of a body is hit. Who waits to be asked for the body is not,
// and who sends nothing has the reply after lingerMost.
func (v *serving) linger(w http.ResponseWriter, c *call) error {
	if c.Header.Get("Expect") != "" {
		return nil
	}
	if err := deadline(http.NewResponseController(w).SetReadDeadline, time.Now().Add(lingerMost)); err != nil {
		return err
	}
	// It fails in any case: by the limit, or because nothing came.
	_, _ = http.MaxBytesReader(w, c.Body, 0).Read(make([]byte, 1))
	return nil
}

// released gives back and is no error.
func released(release func()) error {
	release()
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// deadline sets a time limit where the connection has one.
func deadline(set func(time.Time) error, at time.Time) error {
	if err := set(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("%w: the connection: %w", ErrUnavailable, err)
	}
	return nil
}

func tooLarge() error {
	return advised(fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, MaxBody), "send fewer documents at once")
}

func bodyError(err error) error {
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return advised(fmt.Errorf("%w: the body came too slowly", ErrInvalid), "send it again")
	}
	return fmt.Errorf("%w: the body ended early: %w", ErrInvalid, err)
}

// work lets the engine do what is asked, and makes the reply.
func (v *serving) work(w http.ResponseWriter, c *call, found *route) (a answer, err error) {
	control := http.NewResponseController(w)
	if found.action {
		if c.ContentLength == 0 {
			err = deadline(control.SetReadDeadline, time.Time{})
		}
		if err = errors.Join(err, deadline(control.SetWriteDeadline, time.Time{})); err != nil {
			return answer{}, err
		}
	} else {
		ctx, cancel := context.WithTimeout(c.ctx, workTimeout)
		defer cancel()
		c.ctx = ctx
	}
	if !found.open {
		if err := v.enter(c); err != nil {
			return answer{}, err
		}
		defer v.leave(c)
	}
	defer func() {
		if p := recover(); p != nil {
			v.log.Error("panic while serving", "method", c.Method, "path", c.URL.Path, "panic", p)
			err = fmt.Errorf("%w: %s %s: %v", ErrInternal, c.Method, c.URL.Path, p)
		}
	}()
	value, err := found.do(v.Server, c)
	if err != nil {
		return answer{}, err
	}
	return v.encode(value)
}

func (v *serving) encode(value any) (answer, error) {
	a := answer{status: http.StatusOK, kind: jsonKind}
	switch reply := value.(type) {
	case text:
		a.status, a.kind, a.body = reply.status, reply.kind, []byte(reply.body)
		return a, nil
	case coded:
		a.status, value = reply.status, reply.value
	}
	var err error
	if a.body, err = encode(value); err != nil {
		return answer{}, err
	}
	if len(a.body) > MaxBody {
		return answer{}, fmt.Errorf("%w: the reply has %d bytes, the limit is %d", ErrTooLarge, len(a.body), MaxBody)
	}
	if n := int64(len(a.body)); n > freeBytes {
		if !v.replies.TryAcquire(n) {
			return answer{}, advised(fmt.Errorf("%w: other large replies are being sent", ErrUnavailable), "try again in a moment")
		}
		a.done = func() { v.replies.Release(n) }
	}
	return a, nil
}

// failure is the reply to a request that failed.
func (v *serving) failure(c *call, err error) answer {
	e := describe(err, "")
	status := kindOf(e.Code).status
	if c.conditional && e.Code == kindFor(ErrConflict).code {
		status = http.StatusPreconditionFailed
	}
	body, err := encode(e)
	if err != nil {
		v.log.Error("encoding an error", "error", err)
		body = []byte(`{"error":"internal error","code":"internal"}`)
	}
	return answer{status: status, kind: jsonKind, body: body}
}

// write sends a reply. Who does not take it for paceTime loses the connection.
func (v *serving) write(w http.ResponseWriter, c *call, a answer) {
	if a.done != nil {
		defer a.done()
	}
	v.counts.requests.WithLabelValues(strconv.Itoa(a.status)).Inc()
	if a.kind != "" {
		c.header.Set("Content-Type", a.kind)
		c.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	control := http.NewResponseController(w)
	err := deadline(control.SetWriteDeadline, time.Now().Add(v.limits.pace))
	if err == nil {
		w.WriteHeader(a.status)
		if c.Method == http.MethodHead {
			return
		}
	}
	for rest := a.body; len(rest) > 0 && err == nil; {
		n := min(len(rest), paceBytes)
		if _, err = w.Write(rest[:n]); err == nil {
			c.conn.busy(false) // it went on
			rest = rest[n:]
			err = deadline(control.SetWriteDeadline, time.Now().Add(v.limits.pace))
		}
	}
	if err != nil {
		v.log.Info("a client left before its reply", "method", c.Method, "path", c.URL.Path, "error", err)
	}
}
