package govcd

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

// TestANameThatWasMadeToPointHere: what a page can read of a service on its
// visitor's machine, after its own name was made to point there.
func TestANameThatWasMadeToPointHere(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	other := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8080}
	for _, c := range []struct {
		at     net.Addr
		key    string
		names  []string
		host   string
		status int
	}{
		{loopback, "key", nil, "localhost:8080", 200},
		{loopback, "key", nil, "127.0.0.1", 200},
		{loopback, "key", nil, "[::1]:8080", 200},
		{loopback, "key", nil, "LOCALHOST.:8080", 200},
		{loopback, "key", nil, "evil.example:8080", 403},
		{loopback, "", nil, "evil.example:8080", 403},
		{loopback, "key", nil, "", 403},
		{loopback, "key", nil, "localhost.evil.example", 403},
		{loopback, "key", nil, "192.0.2.7", 403},
		{loopback, "key", []string{"Docs.Example.org"}, "docs.example.ORG.:443", 200},
		{loopback, "key", []string{"docs.example.org"}, "evil.example", 403},
		{other, "key", nil, "whatever.example", 200},
		{other, "key", []string{"docs.example.org"}, "docs.example.org", 200},
		{other, "key", []string{"docs.example.org"}, "evil.example", 403},
		{other, "key", []string{"docs.example.org"}, "192.0.2.7:8080", 200},
		{other, "key", []string{"docs.example.org"}, "192.0.2.8:8080", 403},
		{other, "key", []string{"docs.example.org"}, "localhost:8080", 200},
	} {
		h := newService(t, Options{Key: c.key, Hosts: c.names}).Handler()
		for _, path := range []string{"/health", "/metrics", "/version", "/api/v2/repos", "/api/v2/repos/", "/nowhere"} {
			ctx := context.WithValue(arrival(t.Context(), c.at), http.LocalAddrContextKey, c.at)
			r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
			r.Host = c.host
			r.Header.Set("X-Api-Key", c.key)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if refused := w.Code == 403 && strings.Contains(w.Body.String(), "FORBIDDEN"); refused != (c.status == 403) {
				t.Errorf("%s of %v: %d %s", path, c, w.Code, w.Body)
			}
		}
	}
}

// TestAStartedServiceKnowsThatItIsOnLoopback: nobody has to say so.
func TestAStartedServiceKnowsThatItIsOnLoopback(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0"} {
		s := newService(t, Options{Key: "key"})
		base, err := s.Start(address)
		if err != nil && strings.HasPrefix(address, "[") {
			continue // there is no ::1 here
		}
		if err != nil {
			t.Fatal(err)
		}
		for host, status := range map[string]int{"evil.example": 403, "localhost": 200} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/version", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.Body.Close(); err != nil || answer.StatusCode != status {
				t.Errorf("%s asked as %s: %d, %v", address, host, answer.StatusCode, err)
			}
		}
	}
}

// TestAPageCannotLockItsVisitorOut: credentials that came in under another name
// are not even looked at.
func TestAPageCannotLockItsVisitorOut(t *testing.T) {
	c, err := access.New(access.Options{AdminKey: config.NewSecret("right"), Limits: access.Limits{Failures: 1}})
	if err != nil {
		t.Fatal(err)
	}
	h := newService(t, Options{Access: c}).Handler()
	ctx := arrival(t.Context(), &net.TCPAddr{IP: net.IPv6loopback})
	try := func(host, key string) int {
		r := httptest.NewRequestWithContext(ctx, "GET", "/api/v2/repos", nil)
		r.Host, r.RemoteAddr = host, "[::1]:1"
		r.Header.Set("X-Api-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for range 100 {
		if got := try("evil.example", "wrong"); got != 403 {
			t.Fatal(got)
		}
	}
	if got := try("localhost", "right"); got != 200 {
		t.Errorf("the visitor himself: %d", got)
	}
}
