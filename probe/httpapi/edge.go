package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// TCPOptions say who may use the API over TCP. The zero value serves this
// machine only, without a token.
type TCPOptions struct {
	// Token allows everything, ReadToken everything that changes nothing. Where
	// both are empty the address must be a loopback one.
	Token, ReadToken string
	// Hosts are further names that clients may use for this server, without a
	// port.
	Hosts []string
}

// ServeTCP is Serve over TCP, without TLS. It also refuses requests without a
// token, with a name in the header Host that is not this server's (a page in a
// browser, whose name was made to mean this machine), from pages of others, and
// with bodies that do not say that they are JSON. ErrInvalid if opts do not fit
// the address; ln is closed in any case.
func (s *Server) ServeTCP(ctx context.Context, ln net.Listener, opts TCPOptions) error {
	guard, err := newEdge(ln.Addr(), opts)
	if err != nil {
		if closeErr := ln.Close(); closeErr != nil {
			s.log.Warn("closing a listener", "error", closeErr)
		}
		return err
	}
	if err := s.serve(ctx, ln, guard); err != nil {
		return fmt.Errorf("http at %s: %w", ln.Addr(), err)
	}
	return nil
}

// edge is what stands between the network and the routes. A nil edge lets all
// pass.
type edge struct {
	tokens []token
	hosts  map[string]bool
}

type token struct {
	sum  [sha256.Size]byte
	full bool
}

func newEdge(addr net.Addr, opts TCPOptions) (*edge, error) {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, advised(fmt.Errorf("%w: %s is no TCP address", ErrInvalid, addr), "")
	}
	e := &edge{hosts: map[string]bool{"localhost": true}}
	for _, t := range []token{{full: true}, {full: false}} {
		secret := opts.ReadToken
		if t.full {
			secret = opts.Token
		}
		if secret == "" {
			continue
		}
		if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, advised(fmt.Errorf("%w: a token holds a space or what is no printable ASCII", ErrInvalid), "make one with: openssl rand -hex 32")
		}
		t.sum = sha256.Sum256([]byte(secret))
		e.tokens = append(e.tokens, t)
	}
	if opts.Token != "" && opts.Token == opts.ReadToken {
		return nil, advised(fmt.Errorf("%w: both tokens are the same", ErrInvalid), "make a second one with: openssl rand -hex 32")
	}
	if len(e.tokens) == 0 && !at.Addr().Unmap().IsLoopback() {
		return nil, advised(fmt.Errorf("%w: %s can be reached by others, and no token is set", ErrInvalid, at), "set a token, or listen on 127.0.0.1")
	}
	for _, h := range opts.Hosts {
		e.hosts[hostName(h)] = true
	}
	return e, nil
}

// hostName is a host without its port and in the one form that is compared.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkOrigin refuses what a page in a browser could send.
func (e *edge) checkOrigin(r *http.Request) error {
	if e == nil {
		return nil
	}
	if !e.knows(r) {
		return advised(fmt.Errorf("%w: the header Host names %q, which is not this server", errRefuse, r.Host), "use the address it listens on, or add the name to its hosts")
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin != "http://"+r.Host && origin != "https://"+r.Host {
			return advised(fmt.Errorf("%w: the request comes from a page of %q", errRefuse, origin), "pages of others have no access")
		}
	}
	return nil
}

// knows reports whether the header Host names this server: a name from the
// list, a loopback address, or the address that the client connected to.
func (e *edge) knows(r *http.Request) bool {
	name := hostName(r.Host)
	if e.hosts[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	if ip.Unmap().IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
}

// checkToken refuses who may not do this.
func (e *edge) checkToken(c *call) error {
	if e == nil || len(e.tokens) == 0 {
		return nil
	}
	scheme, given, _ := strings.Cut(c.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(given)))
	known, full := 0, 0
	for _, t := range e.tokens {
		same := subtle.ConstantTimeCompare(sum[:], t.sum[:])
		known |= same
		if t.full {
			full |= same
		}
	}
	changes := c.Method != http.MethodGet && c.Method != http.MethodHead && c.Method != http.MethodOptions
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		c.header.Set("WWW-Authenticate", `Bearer realm="caiatop"`)
		return fmt.Errorf("%w for %s %s", errToken, c.Method, c.URL.Path)
	case known == 0:
		c.header.Set("WWW-Authenticate", `Bearer realm="caiatop", error="invalid_token"`)
		return advised(fmt.Errorf("%w: this one is not known", errToken), "send the token that this engine was started with")
	case changes && full == 0:
		c.header.Set("WWW-Authenticate", `Bearer realm="caiatop", error="insufficient_scope"`)
		return advised(fmt.Errorf("%w: this token may only read", errRefuse), "use the token that may change documents")
	}
	return nil
}
