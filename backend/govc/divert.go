package govc

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
)

// Divert leads the connections of the client to another address, host:port,
// until it is called with "". What is said on them stays the same: the URL, the
// name in the certificate, the credentials. Requests under way end on the
// connections that they have; no later one uses those. It reports false, and
// does nothing, if the client was given a transport of the caller's.
func (c *Client) Divert(address string) bool {
	if c.pool == nil {
		return false
	}
	c.route.lead(c.pool, c.conns, address)
	return true
}

// Address is what the client connects to, host:port: the service, or the proxy
// before it.
func (c *Client) Address() string {
	if c.proxy != "" {
		return withPort(c.proxy, "80")
	}
	if c.secure {
		return withPort(c.host, "443")
	}
	return withPort(c.host, "80")
}

// Secure reports whether what is said is encrypted.
func (c *Client) Secure() bool { return c.secure }

// withPort completes a host of a URL.
func withPort(host, port string) string {
	u := url.URL{Host: host}
	if u.Port() != "" {
		return host
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// route is a transport that can be replaced between two requests.
type route struct {
	through atomic.Pointer[http.Transport]
}

// RoundTrip implements http.RoundTripper.
func (r *route) RoundTrip(request *http.Request) (*http.Response, error) {
	return r.through.Load().RoundTrip(request)
}

// lead replaces the transport by usual, or by one like it that connects to
// another address. A pool of its own, for one that gets no more requests keeps
// no connection: those under way are closed when they become idle.
func (r *route) lead(usual *http.Transport, conns *connections, address string) {
	next := usual
	if address != "" {
		next = usual.Clone()
		next.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return conns.dial(ctx, network, address) // who answers there is not worth showing
		}
	}
	if before := r.through.Swap(next); before != nil && before != next {
		before.CloseIdleConnections()
	}
}
