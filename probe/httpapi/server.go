package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// Limits of the server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = time.Minute     // a whole body
	workTimeout       = 2 * time.Minute // of anything but an operator's action
	writeTimeout      = 2 * time.Minute // until a reply begins
	idleTimeout       = time.Minute
	// paceTime is how long the next paceBytes of a large body or of a reply may
	// take.
	paceTime      = 10 * time.Second
	paceBytes     = 1 << 20
	shutdownGrace = 5 * time.Second // for requests under way when the server ends
	maxHeader     = 64 << 10        // bytes
	// maxConnections are open at once on one listener. One more takes the place
	// of the one that has waited longest for its client.
	maxConnections = 1000
	// maxRequests are served at once; one more is told that the engine is busy.
	// A request counts while the engine works, not while bytes travel.
	maxRequests = 64
	// freeBytes of a body or a reply are always held; more counts against
	// maxBodies or maxReplies. A body waits for its turn. A reply does not: it
	// would keep others from the engine while slow readers take theirs.
	freeBytes  = 64 << 10
	maxBodies  = 4 * MaxBody
	maxReplies = 8 * MaxBody
)

// Server serves one engine, on a Unix socket, over TCP or both.
type Server struct {
	engine Engine
	log    *slog.Logger
	limits limits
	// requests holds one token for each that is under way.
	requests chan struct{}
	bodies   *semaphore.Weighted // bytes held
	replies  *semaphore.Weighted // bytes held
	registry *prometheus.Registry
	counts   counts
}

// limits are those that tests shorten.
type limits struct {
	grace, header, body, pace time.Duration
	connections               int
}

// NewServer returns a server of engine. What goes wrong outside a reply (a panic,
// a broken connection) is written to log; nil drops it.
func NewServer(engine Engine, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		engine: engine, log: log,
		limits:   limits{shutdownGrace, readHeaderTimeout, readTimeout, paceTime, maxConnections},
		requests: make(chan struct{}, maxRequests),
		bodies:   semaphore.NewWeighted(maxBodies), replies: semaphore.NewWeighted(maxReplies),
		registry: prometheus.NewRegistry(),
	}
	s.counts.register(s.registry)
	return s
}

// Serve answers on ln until ctx ends, then lets the requests under way finish
// for up to five seconds, cancels those that are left and closes ln. It
// returns nil unless ln fails or a request does not end even then. Whoever can
// connect may do everything: ln is a socket made by Listen. Serve and ServeTCP
// may run at the same time.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := s.serve(ctx, ln, nil); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Handler returns the routes as Serve offers them, for a server of the
// caller's own.
func (s *Server) Handler() http.Handler { return &serving{Server: s} }

// serving is a server at one listener.
type serving struct {
	*Server
	edge   *edge // nil on a Unix socket
	inside atomic.Int64
	left   chan struct{} // signalled by a request that leaves the engine
}

func (s *Server) serve(ctx context.Context, ln net.Listener, guard *edge) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	v := &serving{Server: s, edge: guard, left: make(chan struct{}, 1)}
	srv := &http.Server{
		Handler:                      v,
		ReadHeaderTimeout:            s.limits.header,
		ReadTimeout:                  s.limits.body,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return work },
		ConnContext:                  withConnection,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(newGate(ln, s.limits.connections, &s.counts)) }()
	select {
	case err := <-failed:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(work, s.limits.grace)
	defer stop()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were cut off at the end")
		cancel()
		err = errors.Join(srv.Close(), v.drain())
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// drain waits, as long as the requests were given before, until those that
// were cancelled have left the engine.
func (v *serving) drain() error {
	limit := time.NewTimer(v.limits.grace)
	defer limit.Stop()
	for v.inside.Load() > 0 {
		select {
		case <-v.left:
		case <-limit.C:
			return fmt.Errorf("%w: requests that do not end: %d", ErrInternal, v.inside.Load())
		}
	}
	return nil
}

// enter takes one of the requests' tokens, and leave gives it back.
func (v *serving) enter(c *call) error {
	select {
	case v.requests <- struct{}{}:
	default:
		return advised(fmt.Errorf("%w: %d requests are under way", ErrUnavailable, cap(v.requests)), "try again in a moment")
	}
	v.inside.Add(1)
	c.conn.busy(true)
	return nil
}

func (v *serving) leave(c *call) {
	c.conn.busy(false)
	<-v.requests
	v.inside.Add(-1)
	select {
	case v.left <- struct{}{}:
	default:
	}
}
