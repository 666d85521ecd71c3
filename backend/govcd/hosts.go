package govcd

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// loopbackKey marks the requests that came in through a loopback address.
type loopbackKey struct{}

// arrival is the context of the requests of one listener.
func arrival(ctx context.Context, at net.Addr) context.Context {
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return context.WithValue(ctx, loopbackKey{}, true)
	}
	return ctx
}

// hostNames are the names of Options.Hosts, as hostOf tells them.
func hostNames(given []string) map[string]bool {
	names := map[string]bool{}
	for _, name := range given {
		names[strings.ToLower(strings.TrimSuffix(name, "."))] = true
	}
	return names
}

// hostOf is the host that a request was sent to, without its port.
func hostOf(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkHost refuses requests that were sent to a name which is not this
// service's. A page in somebody's browser can have its own name point here, and
// then reads what the service answers as if it came from the page's own site.
//
// Through a loopback address only localhost, loopback addresses and the names
// that the operator gave are answered, with a key or without. Elsewhere the names
// are known only if some were given; an address is never somebody's name.
func (s *Service) checkHost(r *http.Request) error {
	host := hostOf(r)
	if IsLoopback(host) || s.hosts[host] {
		return nil
	}
	through, _ := r.Context().Value(loopbackKey{}).(bool)
	switch {
	case s.localOnly:
		return forbiddenHost("this service asks for no key and answers only to localhost")
	case through:
		return forbiddenHost("this service is called localhost; if it has other names, its operator has to give them with --host-name")
	case len(s.hosts) > 0 && !ownAddress(r, host):
		return forbiddenHost("this service has other names than the one that it was asked by; its operator gives them with --host-name")
	}
	return nil
}

func forbiddenHost(text string) error {
	return fail(http.StatusForbidden, "FORBIDDEN", text)
}

// ownAddress reports whether host is the address that the request came in
// through.
func ownAddress(r *http.Request, host string) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	local, err := netip.ParseAddrPort(at.String())
	if err != nil {
		return false
	}
	asked, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && asked.Unmap().WithZone("") == local.Addr().Unmap().WithZone("")
}

// checkOrigin refuses what a page in somebody's browser sends to a service that
// asks for no key.
func (s *Service) checkOrigin(r *http.Request) error {
	if s.localOnly && s.origins.Check(r) != nil {
		return fail(http.StatusForbidden, "FORBIDDEN", "this service asks for no key and takes no requests from other pages")
	}
	return nil
}

// IsLoopback reports whether host, without a port, is localhost or a loopback
// address.
func IsLoopback(host string) bool {
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	ip := net.ParseIP(host)
	return host == localhost || (ip != nil && ip.IsLoopback())
}
