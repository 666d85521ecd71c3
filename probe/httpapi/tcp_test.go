package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

type ctx = context.Context

// serveTCP serves on a free port of this machine until the test ends.
func serveTCP(t *testing.T, server *httpapi.Server, opts httpapi.TCPOptions) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	work, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTCP(work, ln, opts) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("serve:", err)
		}
	})
	return ln.Addr().String()
}

type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends one request on a connection of its own. Host in header is sent as
// the host.
func ask(t *testing.T, address, method, path, body string, header http.Header) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if err := httpapitest.CheckReply(method, response.StatusCode, response.Header, answer); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return reply{response.StatusCode, response.Header, string(answer)}
}

func TestTokens(t *testing.T) {
	const full, read = "full-token", "read-token"
	both := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{Token: full, ReadToken: read})
	onlyRead := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{ReadToken: read})
	none := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
	for _, c := range []struct {
		address, method, path, authorization string
		status                               int
	}{
		{both, "GET", "/api/v1/documents", "", 401},
		{both, "GET", "/api/v1/documents", "Bearer", 401},
		{both, "GET", "/api/v1/documents", "Bearer wrong", 401},
		{both, "GET", "/api/v1/documents", "Bearer full-toke", 401},
		{both, "GET", "/api/v1/documents", "Basic full-token", 401},
		{both, "GET", "/api/v1/documents", "full-token", 401},
		{both, "GET", "/api/v1/documents", "Bearer full-token", 200},
		{both, "GET", "/api/v1/documents", "bearer full-token", 200},
		{both, "GET", "/api/v1/documents", "Bearer read-token", 200},
		{both, "GET", "/metrics", "Bearer read-token", 200},
		{both, "GET", "/metrics", "", 401},
		{both, "GET", "/nowhere", "", 401},
		{both, "PATCH", "/api/v1/documents", "", 401},
		{both, "POST", "/api/v1/storage/sync", "Bearer full-token", 200},
		{both, "POST", "/api/v1/storage/sync", "Bearer read-token", 403},
		{both, "DELETE", "/api/v1/storage/metrics", "Bearer read-token", 403},
		{both, "DELETE", "/api/v1/documents/a", "Bearer read-token", 403},
		{both, "GET", "/livez", "", 200},
		{both, "GET", "/readyz", "", 200},
		{onlyRead, "GET", "/api/v1/documents", "Bearer read-token", 200},
		{onlyRead, "POST", "/api/v1/storage/sync", "Bearer read-token", 403},
		{onlyRead, "POST", "/api/v1/storage/sync", "", 401},
		{none, "POST", "/api/v1/storage/sync", "", 200},
		{none, "POST", "/api/v1/storage/sync", "Bearer whatever", 200},
	} {
		header := http.Header{}
		if c.authorization != "" {
			header.Set("Authorization", c.authorization)
		}
		r := ask(t, c.address, c.method, c.path, "", header)
		if r.status != c.status {
			t.Errorf("%s %s with %q: %d %s, want %d", c.method, c.path, c.authorization, r.status, r.body, c.status)
		}
		if told := strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer "); told != (c.status == 401 || c.status == 403) {
			t.Errorf("%s %s with %q: WWW-Authenticate %q", c.method, c.path, c.authorization, r.header.Get("WWW-Authenticate"))
		}
		if strings.Contains(r.body, "full-token") {
			t.Errorf("%s %s with %q tells the token: %s", c.method, c.path, c.authorization, r.body)
		}
	}
}

func TestPagesOfOthersHaveNoAccess(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{Hosts: []string{"Caiatop.Example"}})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, origin string
		status       int
	}{
		{"", "", 200},
		{"localhost", "", 200},
		{"localhost:" + port, "", 200},
		{"LOCALHOST.:1", "", 200},
		{"[::1]:" + port, "", 200},
		{"127.0.0.2", "", 200},
		{"caiatop.example", "", 200},
		{"caiatop.example:8443", "", 200},
		{"evil.example", "", 403},
		{"localhost.evil.example", "", 403},
		{"127.0.0.1.evil.example:" + port, "", 403},
		{"10.0.0.1", "", 403},
		{"[fe80::1]", "", 403},
		{"", "http://" + address, 200},
		{"", "null", 403},
		{"", "http://evil.example", 403},
		{"", "http://localhost:" + port, 403},
		{"localhost:1", "http://localhost:1", 200},
		{"evil.example", "http://evil.example", 403},
	} {
		header := http.Header{}
		if c.host != "" {
			header.Set("Host", c.host)
		}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		for _, path := range []string{"/api/v1/storage/status", "/livez"} {
			r := ask(t, address, "GET", path, "", header)
			if r.status != c.status {
				t.Errorf("%s, host %q, origin %q: %d %s, want %d", path, c.host, c.origin, r.status, r.body, c.status)
			}
			if r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("host %q, origin %q: CORS headers", c.host, c.origin)
			}
		}
	}
}

func TestBodiesOverTCPAreJSON(t *testing.T) {
	e := &httpapitest.Engine{}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	const body = `{"documents":[{"id":"a","type":"t"}]}`
	for kind, status := range map[string]int{
		"application/json": 200, "application/json; charset=UTF-8": 200, "Application/JSON": 200, "application/json; charset=latin1": 415,
		"text/plain": 415, "": 415, "application/x-www-form-urlencoded": 415, "application/jsonp": 415, "application/json;;": 415,
	} {
		if r := ask(t, address, "POST", "/api/v1/documents", body, http.Header{"Content-Type": {kind}}); r.status != status {
			t.Errorf("%q: %d %s, want %d", kind, r.status, r.body, status)
		}
	}
	if r := ask(t, address, "POST", "/api/v1/documents", body, http.Header{"Content-Encoding": {"gzip"}}); r.status != 415 {
		t.Errorf("gzip: %+v", r)
	}
}

func TestWhereTCPIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		listen string
		opts   httpapi.TCPOptions
	}{
		"all addresses without a token": {"0.0.0.0:0", httpapi.TCPOptions{}},
		"a token with a space":          {"127.0.0.1:0", httpapi.TCPOptions{Token: "a b"}},
		"a token with a line end":       {"127.0.0.1:0", httpapi.TCPOptions{ReadToken: "ab\n"}},
		"the same token twice":          {"127.0.0.1:0", httpapi.TCPOptions{Token: "ab", ReadToken: "ab"}},
	} {
		ln, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Fatal(err)
		}
		err = httpapi.NewServer(&httpapitest.Engine{}, nil).ServeTCP(t.Context(), ln, c.opts)
		var told *httpapi.Error
		if !errors.Is(err, httpapi.ErrInvalid) || !errors.As(err, &told) || told.Fix == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener was left open", name)
		}
	}
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	work, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- httpapi.NewServer(&httpapitest.Engine{}, nil).ServeTCP(work, ln, httpapi.TCPOptions{ReadToken: "r"})
	}()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if r := ask(t, "127.0.0.1:"+port, "GET", "/api/v1/events", "", http.Header{"Authorization": {"Bearer r"}}); r.status != http.StatusOK {
		t.Errorf("all addresses with a token: %+v", r)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestMethods: a path that is there is never "not found", and every route is
// among those that the fuzz tests try.
func TestMethods(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
	allowed := map[string][]string{}
	for _, r := range httpapi.Routes {
		path := strings.NewReplacer("{id}", "a", "{commit}", "b").Replace(r[1])
		allowed[path] = append(allowed[path], r[0])
		if !slices.ContainsFunc(httpapitest.Endpoints, func(e httpapitest.Endpoint) bool {
			pattern := strings.ReplaceAll(e.Path, "%s", "{id}")
			return e.Method == r[0] && (pattern == r[1] || strings.HasSuffix(pattern, "/versions/{id}") && strings.HasSuffix(r[1], "/versions/{commit}"))
		}) {
			t.Errorf("no fuzz test knows %v", r)
		}
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			if slices.Contains(methods, method) {
				continue
			}
			r := ask(t, address, method, path, "", nil)
			if r.status != http.StatusMethodNotAllowed || !strings.Contains(r.header.Get("Allow"), methods[0]) {
				t.Errorf("%s %s: %d, Allow %q", method, path, r.status, r.header.Get("Allow"))
			}
		}
		if r := ask(t, address, "OPTIONS", path, "", nil); r.status != http.StatusNoContent || !strings.Contains(r.header.Get("Allow"), methods[0]) {
			t.Errorf("OPTIONS %s: %d, Allow %q", path, r.status, r.header.Get("Allow"))
		}
		if slices.Contains(methods, "GET") {
			get, head := ask(t, address, "GET", path, "", nil), ask(t, address, "HEAD", path, "", nil)
			if head.status != get.status || head.body != "" || path != "/metrics" && head.header.Get("Content-Length") != get.header.Get("Content-Length") {
				t.Errorf("HEAD %s: %+v, GET %+v", path, head, get)
			}
		}
	}
	for _, path := range []string{"/", "/api", "/api/v1/documents/", "/api/v1/documents/a/b", "//api/v1/documents", "/api/v1/../v1/documents", "/API/v1/documents", "/metrics/"} {
		if r := ask(t, address, "GET", path, "", nil); r.status != http.StatusNotFound {
			t.Errorf("GET %s: %+v", path, r)
		}
	}
}
