package govcd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
)

// localhost is the host that stands for both loopback addresses. Which of them
// a client tries first is the client's choice.
const localhost = "localhost"

// bindAttempts bounds the search for a port that is free on both.
const bindAttempts = 16

// Bound is an address that connections can be made to, which nobody answers
// yet.
type Bound struct {
	listeners []net.Listener
	address   string // host:port by which it is reached
}

// Bind takes an address, as Start does, before there is a service: what comes is
// answered once Service.Serve serves it. Whoever does not come to that calls
// Close.
func Bind(ctx context.Context, address string) (*Bound, error) {
	listeners, bound, err := listen(ctx, address)
	if err != nil {
		return nil, loopbackHint(address, err)
	}
	return &Bound{listeners, bound}, nil
}

// Close gives the address back.
func (b *Bound) Close() error {
	var errs []error
	for _, l := range b.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// listen listens on address, and returns the host:port by which it is reached.
func listen(ctx context.Context, address string) (listeners []net.Listener, bound string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", err
	}
	var config net.ListenConfig
	if host != localhost {
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, "", err
		}
		return []net.Listener{listener}, listener.Addr().String(), nil
	}
	for range bindAttempts {
		listeners, bound, err = bindBoth(ctx, config, port)
		if port != "0" || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return listeners, bound, err
}

// bindBoth listens on 127.0.0.1 and, if this machine has it, on ::1.
func bindBoth(ctx context.Context, config net.ListenConfig, port string) ([]net.Listener, string, error) {
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, "", err
	}
	port = strconv.Itoa(four.Addr().(*net.TCPAddr).Port)
	bound := net.JoinHostPort(localhost, port)
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", port))
	switch {
	case err == nil:
		return []net.Listener{four, six}, bound, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, "", errors.Join(err, four.Close())
	}
	return []net.Listener{four}, bound, nil // there is no ::1 here
}

// limited accepts no more connections than there are slots; more wait in the
// system's queue.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	close  sync.Once
}

func limit(l net.Listener, slots chan struct{}) *limited {
	return &limited{Listener: l, slots: slots, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotted{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// slotted is a connection that gives its slot back when it is closed.
type slotted struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// peers counts connections by the address of their other end.
type peers struct {
	most int
	mu   sync.Mutex
	open map[netip.Addr]int
}

func newPeers(most int) *peers { return &peers{most: most, open: map[netip.Addr]int{}} }

func (p *peers) enter(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[a] >= p.most {
		return false
	}
	p.open[a]++
	return true
}

func (p *peers) leave(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[a]--; p.open[a] == 0 {
		delete(p.open, a)
	}
}

// fair closes connections of an address that has as many as it may. Those of
// this machine, where a proxy may stand for many, are not counted.
type fair struct {
	net.Listener
	peers *peers
}

// Accept implements net.Listener.
func (l fair) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a, counted := networkOf(conn.RemoteAddr())
		if !counted {
			return conn, nil
		}
		if l.peers.enter(a) {
			return &slotted{Conn: conn, free: sync.OnceFunc(func() { l.peers.leave(a) })}, nil
		}
		_ = conn.Close() // nothing was said on it yet
	}
}

// networkOf is whom a connection is counted for; false if for nobody.
func networkOf(at net.Addr) (netip.Addr, bool) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return networkAt(tcp.AddrPort())
}

// senderOf is networkOf of a request's connection.
func senderOf(r *http.Request) (netip.Addr, bool) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	return networkAt(at)
}

func networkAt(at netip.AddrPort) (netip.Addr, bool) {
	a := at.Addr().Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return a, false
	}
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().Addr(), true
	}
	return a, true
}
