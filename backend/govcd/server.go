package govcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits on the time and size that one connection may take.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	// stopGrace is the default of Options.Grace.
	stopGrace = time.Second
	// maxHeaderBytes is what net/http reads before it gives up by itself; the
	// smaller MaxHeaders answers in the wire's own form.
	maxHeaderBytes = 32 << 10
)

// running is one server between Start and Stop.
type running struct {
	server *http.Server
	cancel context.CancelFunc // of the context of all its requests
	done   chan struct{}      // closed when Serve has returned
	url    string
	tls    bool
}

// serve answers what a listener accepts until the server is shut down.
func (r *running) serve(l net.Listener) error {
	if r.tls { // not server.TLSConfig, which net/http sets for plain HTTP, too
		return r.server.ServeTLS(l, "", "")
	}
	return r.server.Serve(l)
}

// Start listens on addr ("127.0.0.1:0" lets the system choose a port, the host
// "localhost" is every loopback address of the machine) and returns the
// service's URL. After a Stop, the same addr is bound to the same
// port again. A service that runs already is an error.
func (s *Service) Start(addr string) (url string, err error) {
	s.life.Lock()
	defer s.life.Unlock()
	return s.start(addr, func() (*Bound, error) {
		asked := addr
		if earlier, ok := s.ports[addr]; ok {
			asked = earlier
		}
		return Bind(context.Background(), asked)
	})
}

// Serve is Start on an address that was bound before.
func (s *Service) Serve(on *Bound) (url string, err error) {
	s.life.Lock()
	defer s.life.Unlock()
	return s.start(on.address, func() (*Bound, error) { return on, nil })
}

// start serves what bind returns. The caller holds life.
func (s *Service) start(addr string, bind func() (*Bound, error)) (url string, err error) {
	if s.running != nil {
		return "", fmt.Errorf("govcd: start on %s: the service runs at %s already", addr, s.running.url)
	}
	opened, err := s.openData(context.Background())
	if err != nil {
		return "", err
	}
	on, err := bind()
	if err != nil {
		if opened {
			err = errors.Join(err, s.dropAll())
		}
		return "", err
	}
	s.ports[addr] = on.address
	scheme := "http://"
	if s.tls != nil {
		scheme = "https://"
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{
		server: s.server(ctx), cancel: cancel, done: make(chan struct{}), url: scheme + on.address, tls: s.tls != nil,
	}
	s.mu.Lock()
	s.started = s.now()
	s.mu.Unlock()
	s.running = run
	s.leaving.Store(false)
	var serving sync.WaitGroup
	slots, others := make(chan struct{}, MaxConnections), newPeers(MaxConnectionsPerAddress)
	for _, listener := range on.listeners {
		serving.Go(func() {
			if err := run.serve(limit(fair{listener, others}, slots)); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("govc service ended", "address", run.url, "error", err)
			}
		})
	}
	go func() {
		defer close(run.done)
		serving.Wait()
	}()
	s.log.Info("govc service started", "address", run.url)
	return run.url, nil
}

// server returns the server of all listeners.
func (s *Service) server(ctx context.Context) *http.Server {
	return &http.Server{
		Handler: s.handler, BaseContext: func(l net.Listener) context.Context { return arrival(ctx, l.Addr()) },
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		TLSConfig: s.tls,
		// "OPTIONS *" is answered as every other request is.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// Stop closes the listener, ends the streams of events, waits for requests under
// way until ctx ends, but at most Options.Grace, cuts off the rest, closes every
// connection, records the refusals that were counted and forgets every
// repository; those on disk are closed, and Start opens them again. A service
// that does not run only does the last two. A request that holds a repository is
// waited for until Grace after the end of ctx.
func (s *Service) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	var errs []error
	if run := s.running; run != nil {
		s.running = nil
		s.leaving.Store(true) // first, so that a stream is either refused or hung up
		for _, r := range s.list() {
			r.feed.hangUp()
		}
		grace, cancel := context.WithTimeout(ctx, s.grace)
		err := run.server.Shutdown(grace)
		cancel()
		if err != nil {
			s.log.Warn("govc service cut off requests under way", "address", run.url, "error", err)
			run.cancel()
			errs = append(errs, run.server.Close())
		}
		run.cancel()
		<-run.done
		s.log.Info("govc service stopped", "address", run.url)
	}
	s.recordSums(true)
	errs = append(errs, s.dropWithin(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("govcd: stop: %w", err)
	}
	return nil
}

// dropWithin is dropAll that does not wait for ever: a request may be held by a
// disk that does not answer. It goes on waiting for a while when ctx has ended,
// because most that are cut off end at once.
func (s *Service) dropWithin(ctx context.Context) error {
	dropped := make(chan error, 1)
	go func() { dropped <- s.dropAll() }()
	select {
	case err := <-dropped:
		return err
	case <-ctx.Done():
	}
	last := time.NewTimer(s.grace)
	defer last.Stop()
	select {
	case err := <-dropped:
		return err
	case <-last.C:
		return errors.New("requests under way do not end, as when a disk does not answer; what they would have acknowledged is not")
	}
}
