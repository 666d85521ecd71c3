package govc

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// Latency is where the time of a request went. DNS, Connect and TLS are of the
// newest connection that was made; the rest is of the newest probe, see Health.
type Latency struct {
	DNS       time.Duration // 0 for an address
	Connect   time.Duration // to the service, or to the proxy before it
	TLS       time.Duration // 0 for plain HTTP
	Opened    time.Time     // when that connection was made, zero: none yet
	FirstByte time.Duration // from the beginning to the first byte of the answer
	Total     time.Duration
	Reused    bool      // the probe found a connection open
	At        time.Time // when the probe began, zero: none yet
}

// Latency returns what is known now.
func (c *Client) Latency() Latency {
	c.conns.mu.Lock()
	defer c.conns.mu.Unlock()
	return c.conns.latency
}

// connections is what is known of those that were made. What happens once a
// connection costs a request nothing.
type connections struct {
	now  func() time.Time
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex
	latency Latency
	version string // of TLS
	peer    string
}

func (k *connections) describe(a *Access) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a.TLSVersion, a.Peer = k.version, k.peer
}

// DialContext makes a connection and keeps how long its parts took.
func (k *connections) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	begun := k.now()
	var looked time.Duration
	var from time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ // called by this goroutine
		DNSStart: func(httptrace.DNSStartInfo) { from = k.now() },
		DNSDone:  func(httptrace.DNSDoneInfo) { looked = k.now().Sub(from) },
	})
	conn, err := k.dial(ctx, network, address)
	if err == nil {
		end := k.now()
		k.mu.Lock()
		k.latency.DNS, k.latency.Connect, k.latency.TLS, k.latency.Opened = looked, end.Sub(begun)-looked, 0, end
		k.version, k.peer = "", bounded(conn.RemoteAddr().String(), maxStart)
		k.mu.Unlock()
	}
	return conn, err
}

// secured takes the end of a TLS handshake.
func (k *connections) secured(took time.Duration, s tls.ConnectionState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.latency.TLS, k.version = took, tls.VersionName(s.Version)
	if len(s.PeerCertificates) > 0 {
		k.peer = certificateName(s.PeerCertificates[0])
	}
}

// probed takes the times of a probe.
func (k *connections) probed(at time.Time, firstByte, total time.Duration, reused bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.latency.At, k.latency.FirstByte, k.latency.Total, k.latency.Reused = at, firstByte, total, reused
}

// trace is what is seen of one exchange. Its callbacks may come after the
// exchange has ended, and from other goroutines.
type trace struct {
	sent, reused, answered atomic.Bool
	firstByte              atomic.Int64 // nanoseconds since start, of a probe
}

// follow returns a context in which an exchange is seen by t.
func (c *Client) follow(ctx context.Context, t *trace, start time.Time, probe bool) context.Context {
	hooks := &httptrace.ClientTrace{
		GotConn:              func(i httptrace.GotConnInfo) { t.reused.Store(i.Reused) },
		WroteHeaders:         func() { t.sent.Store(true) },
		GotFirstResponseByte: func() { t.answered.Store(true) },
	}
	if probe {
		hooks.GotFirstResponseByte = func() {
			t.firstByte.Store(int64(c.now().Sub(start)))
			t.answered.Store(true)
		}
	}
	if c.secure {
		var begun atomic.Int64
		hooks.TLSHandshakeStart = func() { begun.Store(int64(c.now().Sub(start))) }
		hooks.TLSHandshakeDone = func(s tls.ConnectionState, err error) {
			if err == nil {
				c.conns.secured(c.now().Sub(start)-time.Duration(begun.Load()), s)
			}
		}
	}
	return httptrace.WithClientTrace(ctx, hooks)
}
