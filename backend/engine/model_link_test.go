package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Faults of a link.
const (
	linkWell  = "well"
	linkDown  = "down"  // nothing listens
	linkSlow  = "slow"  // every answer takes its time
	linkLost  = "lost"  // what is written is applied, its answer never arrives
	linkFails = "fails" // what is written is refused with 500
	linkHole  = "hole"  // nothing is ever answered
)

// link is the way from an engine to the service: it calls the service's handler,
// without a network, so that no time passes but what a fault makes pass.
type link struct {
	mu     sync.Mutex // guards what follows
	target http.Handler
	fault  string
	delay  time.Duration // of every answer, while slow
	cut    bool          // the process at this end is dead
}

func (l *link) set(fault string, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.delay = fault, delay
}

func (l *link) lead(to http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = to
}

// die makes the engine at this end one that can reach nothing any more.
func (l *link) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
}

func (l *link) now() (to http.Handler, fault string, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return l.target, linkDown, 0
	}
	return l.target, l.fault, l.delay
}

// RoundTrip implements http.RoundTripper.
func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	to, fault, delay := l.now()
	if fault == linkDown {
		return nil, errors.Join(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, closeBody(r))
	}
	body, err := io.ReadAll(orEmpty(r.Body))
	if err = errors.Join(err, closeBody(r)); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	switch {
	case fault == linkHole:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case fault == linkFails && isWrite(r):
		return &http.Response{
			StatusCode: http.StatusInternalServerError, ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{},
			Body: io.NopCloser(bytes.NewReader([]byte(`{"error":"injected","code":"INJECTED"}`))),
		}, nil
	case fault == linkSlow:
		// Half on the way there, half on the way back.
		if err := wait(r.Context(), delay/2); err != nil {
			return nil, err
		}
	}
	answer := serveDirect(to, r, body)
	switch {
	case answer == nil:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	case fault == linkLost && isWrite(r):
		_, err := io.Copy(io.Discard, answer.Body)
		return nil, errors.Join(io.ErrUnexpectedEOF, err, answer.Body.Close())
	case fault == linkSlow:
		if err := wait(r.Context(), delay/2); err != nil {
			return nil, errors.Join(err, answer.Body.Close())
		}
	}
	return answer, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func orEmpty(r io.Reader) io.Reader {
	if r == nil {
		return http.NoBody
	}
	return r
}

func closeBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// serveDirect returns what a handler answers, nil if it breaks the connection
// off. An answer without end ends with the context of the request.
func serveDirect(to http.Handler, r *http.Request, body []byte) *http.Response {
	in := r.Clone(r.Context())
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	in.RequestURI, in.RemoteAddr, in.Proto, in.ProtoMajor, in.ProtoMinor = in.URL.RequestURI(), "127.0.0.1:40000", "HTTP/1.1", 1, 1
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	in.URL.Scheme, in.URL.Host = "", ""
	answer := &stream{more: make(chan struct{}, 1)}
	w := &directWriter{header: http.Header{}, body: answer, began: make(chan struct{})}
	go func() {
		defer func() {
			if broken := recover(); broken != nil {
				w.broken = true
			}
			w.begin(http.StatusOK)
			answer.end()
		}()
		to.ServeHTTP(w, in)
	}()
	<-w.began
	if w.broken {
		return nil
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: answer, ContentLength: length, Request: r,
	}
}

// stream is a body that is read while it is written. Whoever writes never waits:
// a service does not stand still because of one reader.
type stream struct {
	more chan struct{} // something was written, or the end

	mu    sync.Mutex // guards what follows
	data  bytes.Buffer
	ended bool
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer signal(s.more)
	return s.data.Write(b)
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	signal(s.more)
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	for {
		s.mu.Lock()
		n, err := s.data.Read(b)
		ended := s.ended
		s.mu.Unlock()
		if err == nil || ended {
			return n, err
		}
		<-s.more
	}
}

// Close implements io.Closer.
func (s *stream) Close() error { return nil }

// directWriter is the writer of an answer that is read while it is written.
type directWriter struct {
	header http.Header
	body   *stream

	once   sync.Once
	began  chan struct{} // closed once what follows is final
	status int
	sent   http.Header
	broken bool
}

func (w *directWriter) begin(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.began)
	})
}

// Header implements http.ResponseWriter.
func (w *directWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *directWriter) WriteHeader(status int) { w.begin(status) }

// Write implements http.ResponseWriter.
func (w *directWriter) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.body.Write(b)
}

// Flush implements http.Flusher.
func (w *directWriter) Flush() { w.begin(http.StatusOK) }
