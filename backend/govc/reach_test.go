package govc_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// proxyTo runs a proxy that leads every name to one address, and returns the
// targets that it was asked for.
func proxyTo(t *testing.T, address, user string) (at string, asked func() []string) {
	var mu sync.Mutex
	var targets []string
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: address})
	}}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		targets = append(targets, r.Method+" "+r.Host)
		mu.Unlock()
		if user != "" && r.Header.Get("Proxy-Authorization") != want {
			http.Error(w, "credentials, please: "+fmt.Sprint(r.Header), http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			forward.ServeHTTP(w, r)
			return
		}
		tunnel(t, w, address)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), targets...)
	}
}

func tunnel(t *testing.T, w http.ResponseWriter, address string) {
	out, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	w.WriteHeader(http.StatusOK)
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // ends when one side does
			_, _ = way[0].Close(), way[1].Close()
		})
	}
	both.Wait()
}

func noProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"} {
		t.Setenv(name, "")
	}
}

func TestProxy(t *testing.T) {
	noProxy(t)
	own := newAuthority(t, "Own CA")
	_, plain := startService(t, govcd.Options{Key: "k", Hosts: []string{"docs.test"}})
	_, safe := startService(t, govcd.Options{Key: "k", Hosts: []string{"docs.test"}, TLS: own.server(time.Time{}, "docs.test")})
	const user = "worker:hunter2"
	for _, c := range []struct {
		name, service, url, variable, target string
		tls                                  govc.TLSOptions
	}{
		{"http", plain, "http://docs.test:8080", "HTTP_PROXY", "GET docs.test:8080", govc.TLSOptions{}},
		{"https", safe, "https://docs.test", "HTTPS_PROXY", "CONNECT docs.test:443", govc.TLSOptions{CAFile: own.file}},
	} {
		_, address, _ := strings.Cut(c.service, "://")
		proxy, asked := proxyTo(t, address, user)
		t.Setenv(c.variable, "http://"+user+"@"+proxy)
		client := openClient(t, govc.Options{URL: c.url, APIKey: "k", TLS: c.tls})
		if _, err := client.Apply(t.Context(), put(newDoc(t, "a", "x"))); err != nil {
			t.Errorf("%s: Apply: %v", c.name, err)
		}
		if got := asked(); len(got) == 0 || got[0] != c.target {
			t.Errorf("%s: the proxy was asked for %q", c.name, got)
		}
		if a := client.Access(); a.Proxy != proxy || (c.name == "https") != strings.HasPrefix(a.Peer, "docs.test, by Own CA") {
			t.Errorf("%s: Access = %+v", c.name, a)
		}
		// Without the password, and without repeating it.
		t.Setenv(c.variable, "http://worker:wrong-one@"+proxy)
		_, err := newClient(t, govc.Options{URL: c.url, APIKey: "k", TLS: c.tls, Retry: noWait}).Describe(t.Context())
		if err == nil || strings.Contains(err.Error(), "wrong-one") || !strings.Contains(strings.ToLower(err.Error()), "prox") {
			t.Errorf("%s: Describe without the proxy's password: %v", c.name, err)
		}
		t.Setenv(c.variable, "")
	}
}

func TestProxyIsNotForAll(t *testing.T) {
	noProxy(t)
	proxy, asked := proxyTo(t, "127.0.0.1:1", "")
	t.Setenv("HTTP_PROXY", "http://u:hunter2@"+proxy)
	t.Setenv("NO_PROXY", "inside.test")
	_, url := startService(t, govcd.Options{})
	near := openClient(t, govc.Options{URL: url})
	if a := near.Access(); a.Proxy != "" || len(asked()) > 0 {
		t.Errorf("the service on this machine is reached over %q", a.Proxy)
	}
	for url, want := range map[string]string{"http://localhost:1": "", "http://[::1]:1": "", "http://inside.test": "", "http://outside.test": proxy} {
		if got := newClient(t, govc.Options{URL: url}).Access().Proxy; got != want {
			t.Errorf("%s: over %q, want %q", url, got, want)
		}
	}
	t.Setenv("HTTP_PROXY", "http://u:hunter2@bad host:x%")
	if _, err := govc.New(govc.Options{URL: "http://outside.test", Repo: "docs"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("New with a broken proxy: %v", err)
	}
}

// TestRedirectIsNotFollowed: wherever it points, nothing is sent there.
func TestRedirectIsNotFollowed(t *testing.T) {
	var reached atomic.Int64
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	for _, c := range []struct {
		status    int
		to        string // "@" is the host itself
		shown     string
		elsewhere bool
	}{
		{301, elsewhere + "/login?token=hunter2", elsewhere + "/login", true},
		{302, "https://u:hunter2@sso.test/x#hunter2", "https://sso.test/x", true},
		{303, "//other.test/", "http://other.test/", true},
		{307, "@/api/v2/repos/", "@/api/v2/repos/", false},
		{308, "https://@/x", "https://@/x", false},
		{302, "", "@/", false},
		{302, "http://%zz", "nowhere", false},
	} {
		var host string
		own := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", strings.Replace(c.to, "@/", host+"/", 1))
			w.WriteHeader(c.status)
		})
		host = strings.TrimPrefix(own, "http://")
		if strings.HasPrefix(c.to, "@") {
			c.to = "http://" + c.to
		}
		if strings.HasPrefix(c.shown, "@") {
			c.shown = "http://" + c.shown
		}
		client := newClient(t, govc.Options{URL: own, APIKey: apiKey})
		_, err := client.Describe(t.Context())
		away, ok := errors.AsType[*govc.RedirectError](err)
		if !ok || away.Elsewhere != c.elsewhere || strings.Contains(err.Error(), "hunter2") || !errors.Is(err, store.ErrIdentity) {
			t.Errorf("%d to %q: %v", c.status, c.to, err)
			continue
		}
		if want := strings.Replace(c.shown, "@/", host+"/", 1); c.to != "" && away.To != want {
			t.Errorf("%d to %q: it is said to point to %q, want %q", c.status, c.to, away.To, want)
		}
		if _, ok := errors.AsType[*govc.NotGovcError](err); !ok {
			t.Errorf("%v is no NotGovcError", err)
		}
	}
	if reached.Load() > 0 {
		t.Errorf("%d requests went elsewhere", reached.Load())
	}
}

// TestLatency: the newest probe and the newest connection are told apart.
func TestLatency(t *testing.T) {
	_, url := startService(t, govcd.Options{})
	c := newClient(t, govc.Options{URL: strings.Replace(url, "127.0.0.1", "localhost", 1)})
	if l := c.Latency(); l != (govc.Latency{}) {
		t.Errorf("Latency before anything = %+v", l)
	}
	for _, reused := range []bool{false, true} {
		if _, err := c.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := c.Latency()
		if l.Reused != reused || l.Opened.IsZero() || l.At.IsZero() || l.FirstByte <= 0 || l.Total < l.FirstByte || l.DNS <= 0 || l.Connect <= 0 || l.TLS != 0 {
			t.Errorf("Latency = %+v", l)
		}
	}
	if a := c.Access(); a.TLSVersion != "" || !strings.HasSuffix(a.Peer, url[strings.LastIndex(url, ":"):]) {
		t.Errorf("Access = %+v", a)
	}
}

// echo repeats all that it is sent, in the form of an answer that fails.
func echo(w http.ResponseWriter, r *http.Request, kind int) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	said := fmt.Sprint(r.Header, string(body))
	inJSON, err := json.Marshal(map[string]string{"error": said, "code": strings.Join(r.Header["X-Api-Key"], "") + strings.Join(r.Header["Authorization"], "")})
	if err != nil {
		return
	}
	switch kind {
	case 0:
		_, _ = io.WriteString(w, said)
	case http.StatusFound:
		w.Header().Set("Location", "http://h/"+url.PathEscape(strings.Join(r.Header["X-Api-Key"], "")+strings.Join(r.Header["Authorization"], "")))
		w.WriteHeader(kind)
	case -1:
		w.Header().Set("Content-Type", said)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, strings.Join(r.Header["X-Api-Key"], "")+strings.Join(r.Header["Authorization"], ""))
	default:
		w.WriteHeader(kind)
		_, _ = w.Write(inJSON)
	}
}

// TestNothingShowsASecret: no error, no print of anything, however a service
// repeats what it was sent.
func TestNothingShowsASecret(t *testing.T) {
	noProxy(t)
	g := guard(t, time.Now)
	token, password := g.mint(time.Hour, 0), "correct horse battery"
	key := "govc_hunter2hunter2hunter2"
	secrets := []string{token, token[10:50], token[len(token)-30:], password, key, key[5:]}
	var shown bytes.Buffer
	log := slog.New(slog.NewTextHandler(&shown, &slog.HandlerOptions{Level: slog.LevelDebug}))
	show := func(what string, values ...any) {
		shown.Reset()
		for _, v := range values {
			fmt.Fprintf(&shown, "%v %+v %#v %s %q %x %X %d\n", v, v, v, v, v, v, v, v)
			log.Info("x", "value", v)
			if text, err := json.Marshal(v); err == nil {
				shown.Write(text)
			} else {
				shown.WriteString(err.Error())
			}
		}
		for _, secret := range secrets {
			if text := shown.String(); strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", secret)) {
				t.Errorf("%s shows %q: %s", what, secret, text)
			}
		}
	}
	for name, o := range map[string]govc.Options{
		"token": {Token: govc.Secret(token)}, "key": {APIKey: govc.Secret(key)}, "login": {Login: govc.Login{User: "u", Password: govc.Secret(password)}},
		"all": {Token: govc.Secret(token), APIKey: govc.Secret(key), Login: govc.Login{User: "u", Password: govc.Secret(password)}},
	} {
		show(name+": options", o, &o, o.Login, o.Token, []any{o.APIKey})
		for _, kind := range []int{0, -1, 302, 400, 401, 403, 404, 407, 413, 422, 429, 500, 503} {
			o.URL = serve(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r, kind) })
			o.Repo, o.Retry = "docs", noWait
			o.Observe = func(op string, _ time.Duration, err error) { show(name+": observed", op, err) }
			c, err := govc.New(o)
			if err != nil {
				t.Fatal(err)
			}
			_, describe := c.Describe(t.Context())
			_, health := c.Health(t.Context())
			_, apply := c.Apply(t.Context(), put(newDoc(t, "a", "x")))
			show(fmt.Sprint(name, ": ", kind), describe, health, apply, c, c.Access(), c.Latency())
			c.Close()
		}
	}
	for _, o := range []govc.Options{{Token: govc.Secret(token + "\n")}, {APIKey: govc.Secret(key + " ")}, {Login: govc.Login{Password: govc.Secret(password)}}, {URL: "http://u:" + url.PathEscape(password) + "@h"}} {
		if o.URL == "" {
			o.URL = "http://h"
		}
		o.Repo = "docs"
		_, err := govc.New(o)
		show("New", err)
		if err == nil {
			t.Error("New took it")
		}
	}
}
