// Package fault is a TCP proxy that stands in front of a service and fails on
// request. Drills and tests use the same one, so that what a drill shows is
// what the tests prove.
//
// It carries bytes and knows nothing of what they mean, but in the modes that
// need HTTP: those read where a message begins and ends, its method and its
// path, and carry every byte as it came. A half-closed
// connection stays half-closed on the other side, and a reset stays a reset.
// A connection keeps the mode that it was made in: when Set returns, those of
// another mode have ended, and carry not another byte. Close ends every
// connection and every goroutine.
//
// It never changes, keeps or logs a byte, never resolves anything but its
// target, and never listens anywhere but where it was told. Errors is the one
// mode in which it says something of its own.
package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	// MaxConnections bounds the connections carried at once; one more is reset.
	MaxConnections = 1024
	// dialTimeout bounds the time to reach the target.
	dialTimeout = 5 * time.Second
	// acceptRetry is the pause after a connection that could not be accepted
	// (no file descriptor is left).
	acceptRetry = 20 * time.Millisecond

	defaultListen = "127.0.0.1:0"
)

// ErrClosed: the proxy was closed.
var ErrClosed = errors.New("the fault proxy is closed")

// Options configure a Proxy.
type Options struct {
	Target string // host:port of the service behind; required
	Listen string // host:port to listen on, port 0 takes a free one; "" is 127.0.0.1:0
	// Random is uniform in [0, 1) and safe for concurrent use: it decides which
	// request meets a fault, and how late an answer is. nil is random.
	Random func() float64
}

// Proxy stands in front of one address. Its methods are safe for concurrent
// use.
type Proxy struct {
	target, listen string
	random         func() float64
	counters       counters
	up, down       line // to the target and back, in the mode Bandwidth

	setting sync.Mutex // one Start, Set or Close at a time

	mu       sync.Mutex // guards everything below; never held over I/O
	mode     Mode
	address  string // bound by Start and kept until Close, "" before
	closed   bool
	entry    *entry // nil while down
	links    map[*link]struct{}
	reserved func() error // gives the port back
}

// entry is one listener and the goroutine that accepts from it.
type entry struct {
	listener *net.TCPListener
	left     chan struct{} // closed when the listener is being closed
	done     chan struct{} // closed when the goroutine has ended
}

// New returns a proxy that is not listening, in the mode Pass.
func New(o Options) *Proxy {
	if o.Listen == "" {
		o.Listen = defaultListen
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Proxy{target: o.Target, listen: o.Listen, random: o.Random, links: map[*link]struct{}{}}
}

// Start listens. ctx bounds the start alone; Close ends the proxy. The target
// need not be there yet: a connection that cannot be carried on is reset.
func (p *Proxy) Start(ctx context.Context) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	p.mu.Lock()
	address, closed, mode := p.address, p.closed, p.mode
	p.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case address != "":
		return fmt.Errorf("start the fault proxy: it listens on %s already", address)
	}
	if _, _, err := net.SplitHostPort(p.target); err != nil {
		return fmt.Errorf("start the fault proxy: the target %q is not host:port: %w", p.target, err)
	}
	bound, release, err := Reserve(p.listen)
	if err != nil {
		return fmt.Errorf("start the fault proxy on %s: %w", p.listen, err)
	}
	var e *entry
	if mode.listens() {
		if e, err = enter(ctx, bound); err != nil {
			return errors.Join(fmt.Errorf("start the fault proxy on %s: %w", p.listen, err), release())
		}
	}
	p.mu.Lock()
	p.address, p.reserved = bound, release
	p.mu.Unlock()
	if e != nil {
		p.open(e)
	}
	return nil
}

// Addr returns the host:port that the proxy listens on, also while it is down;
// "" before Start.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// Set changes the mode, also before Start. When it fails because the port
// cannot be taken again, the proxy stays down and Set can be repeated.
func (p *Proxy) Set(m Mode) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	address, e := p.address, p.entry
	if e == nil && address != "" && m.listens() {
		p.mu.Unlock()
		fresh, err := enter(context.Background(), address)
		if err != nil {
			return fmt.Errorf("fault proxy: take %s again: %w", address, err)
		}
		p.mu.Lock()
		p.mode = m
		p.mu.Unlock()
		p.open(fresh)
		return nil
	}
	before := p.mode
	p.mode = m
	if !m.listens() {
		p.entry = nil
	}
	p.mu.Unlock()
	var err error
	if e != nil && !m.listens() {
		err = e.leave()
	}
	if m != before {
		p.cut(m.resets() || before.resets())
	}
	return err
}

// Close stops listening, ends every connection, and waits until all of them
// are gone or ctx ends. Closing twice is harmless.
func (p *Proxy) Close(ctx context.Context) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	p.mu.Lock()
	e, release := p.entry, p.reserved
	p.closed, p.entry, p.reserved = true, nil, nil
	p.mu.Unlock()
	var errs []error
	if e != nil {
		errs = append(errs, e.leave())
	}
	for _, l := range p.end(false) {
		select {
		case <-l.done:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("fault proxy: a connection did not end: %w", ctx.Err()))
		}
	}
	if release != nil {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}

// enter binds address.
func enter(ctx context.Context, address string) (*entry, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &entry{listener: listener.(*net.TCPListener), left: make(chan struct{}), done: make(chan struct{})}, nil
}

// leave closes the listener and waits for the goroutine of an entry that was
// opened.
func (e *entry) leave() error {
	close(e.left)
	err := e.listener.Close()
	<-e.done
	return err
}

// open begins to accept.
func (p *Proxy) open(e *entry) {
	p.mu.Lock()
	p.entry = e
	p.mu.Unlock()
	go func() {
		defer close(e.done)
		p.accept(e)
	}()
}

func (p *Proxy) accept(e *entry) {
	for {
		conn, err := e.listener.AcceptTCP()
		if err == nil {
			p.take(conn)
			continue
		}
		select {
		case <-e.left:
			return
		case <-time.After(acceptRetry):
		}
	}
}

// take decides what becomes of a new connection.
func (p *Proxy) take(conn *net.TCPConn) {
	p.counters.accepted.Add(1)
	p.mu.Lock()
	mode, gone := p.mode, p.closed
	if gone || !mode.carries() || len(p.links) >= MaxConnections {
		p.mu.Unlock()
		if !gone && mode.carries() {
			p.counters.refused.Add(1)
		} else {
			p.counters.cut.Add(1)
		}
		reset(conn)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	l := &link{mode: mode, client: conn, stopDial: cancel, gone: make(chan struct{}), done: make(chan struct{})}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	go func() {
		defer close(l.done)
		p.carry(ctx, l)
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
}

// cut ends every connection and waits until they are gone: closed connections
// carry nothing, so that this takes no longer than the goroutines need to see
// it.
func (p *Proxy) cut(withReset bool) {
	for _, l := range p.end(withReset) {
		<-l.done
	}
}

// end tells every connection to end.
func (p *Proxy) end(withReset bool) []*link {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		if l.end(withReset) {
			p.counters.cut.Add(1)
		}
	}
	return links
}
