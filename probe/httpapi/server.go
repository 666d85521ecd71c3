package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = time.Minute     // a whole body
	writeTimeout      = 2 * time.Minute // the work and the reply
	idleTimeout       = time.Minute
	shutdownGrace     = 5 * time.Second // for requests under way when the server ends
	maxHeader         = 64 << 10        // bytes
	// maxRequests are served at once; one more is told that the engine is busy.
	maxRequests = 64
	// maxBodies are held in memory at once; others wait for their turn.
	maxBodies = 4
)

// Server serves one engine.
type Server struct {
	docs    Documents
	control Control
	log     *slog.Logger
	// requests and bodies hold one token for each that is under way.
	requests chan struct{}
	bodies   chan struct{}
	grace    time.Duration // shutdownGrace but in tests
}

// NewServer returns a server of docs and control. What goes wrong outside a
// reply (a panic, a broken connection) is written to log; nil drops it.
func NewServer(docs Documents, control Control, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		docs: docs, control: control, log: log,
		requests: make(chan struct{}, maxRequests), bodies: make(chan struct{}, maxBodies), grace: shutdownGrace,
	}
}

// Serve answers on ln until ctx ends, then lets the requests under way finish
// for up to five seconds, cancels those that are left and closes ln. It
// returns nil unless ln fails or a request does not end even then. A Server
// serves once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return work },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("control socket: %w", err), srv.Close())
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(work, s.grace)
	defer stop()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("control socket: requests were cut off at the end")
		cancel()
		err = errors.Join(srv.Close(), s.drain())
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// drain waits, as long as the requests were given before, until those that
// were cancelled have left the engine.
func (s *Server) drain() error {
	limit := time.NewTimer(s.grace)
	defer limit.Stop()
	for taken := range maxRequests {
		select {
		case s.requests <- struct{}{}:
		case <-limit.C:
			return fmt.Errorf("%w: requests that do not end: %d", ErrInternal, maxRequests-taken)
		}
	}
	return nil
}

// Handler returns the routes, for a server of the caller's own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/documents", s.list)
	mux.HandleFunc("POST /api/v1/documents", s.put)
	mux.HandleFunc("DELETE /api/v1/documents", s.deleteMany)
	mux.HandleFunc("GET /api/v1/documents/{id}", s.get)
	mux.HandleFunc("DELETE /api/v1/documents/{id}", s.deleteOne)
	mux.HandleFunc("GET /api/v1/search", s.search)
	mux.HandleFunc("GET /api/v1/storage/status", s.status)
	mux.HandleFunc("POST /api/v1/storage/recover", s.recover)
	mux.HandleFunc("POST /api/v1/storage/fallback", s.action(s.control.Fallback))
	mux.HandleFunc("POST /api/v1/storage/sync", s.action(s.control.Sync))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, advised(fmt.Errorf("%w: there is no %s %s", ErrNotFound, r.Method, r.URL.Path), "see docs/operations.md for the routes"))
	})
	return s.guard(mux)
}

// guard bounds the requests under way and turns a panic into a reply.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.requests <- struct{}{}:
			defer func() { <-s.requests }()
		default:
			s.fail(w, r, advised(fmt.Errorf("%w: %d requests are under way", ErrUnavailable, maxRequests), "try again in a moment"))
			return
		}
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("panic while serving", "method", r.Method, "path", r.URL.Path, "panic", p)
				s.fail(w, r, fmt.Errorf("%w: %s %s: %v", ErrInternal, r.Method, r.URL.Path, p))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// readBody decodes the body of r, at most maxBodies at once. The caller calls
// the returned function when it no longer holds what was decoded.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, v any) (done func(), err error) {
	select {
	case s.bodies <- struct{}{}:
	case <-r.Context().Done():
		return nil, fmt.Errorf("waiting for a turn: %w", r.Context().Err())
	}
	// A body that is too large is not read to its end just to keep the
	// connection.
	if err := decode(http.MaxBytesReader(w, r.Body, MaxBody+1), v); err != nil {
		<-s.bodies
		return nil, err
	}
	return func() { <-s.bodies }, nil
}

func (s *Server) reply(w http.ResponseWriter, r *http.Request, v any) {
	body, err := encode(v)
	if err == nil && len(body) > MaxBody {
		err = fmt.Errorf("%w: the reply has %d bytes, the limit is %d", ErrTooLarge, len(body), MaxBody)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, body)
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := describe(err, "")
	body, err := encode(e)
	if err != nil {
		s.log.Error("encoding an error", "error", err)
		body = []byte(`{"error":"internal error","code":"internal"}`)
	}
	s.write(w, r, kindOf(e.Code).status, body)
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.log.Info("a client left before its reply", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}
