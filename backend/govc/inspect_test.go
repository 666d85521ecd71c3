package govc_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
)

// onlyReads fails on any request that is no GET, and counts all of them.
func onlyReads(t *testing.T, next http.Handler) (*httptest.Server, func() int) {
	t.Helper()
	var mu sync.Mutex
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked++
		mu.Unlock()
		if r.Method != http.MethodGet {
			t.Errorf("it sends %s %s", r.Method, r.URL.Path)
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server, func() int {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// TestAnInspectorOnlyReads: neither a token that ends soon, nor one that has
// ended, nor a password makes it send anything else.
func TestAnInspectorOnlyReads(t *testing.T) {
	token := func(left time.Duration) govc.Secret {
		t.Helper()
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
			IssuedAt: jwt.NewNumericDate(time.Now().Add(-time.Hour)), ExpiresAt: jwt.NewNumericDate(time.Now().Add(left)),
		}).SignedString([]byte(strings.Repeat("k", 32)))
		if err != nil {
			t.Fatal(err)
		}
		return govc.Secret(text)
	}
	login := govc.Login{User: "ada", Password: "secret-word"}
	for name, tt := range map[string]struct {
		o       govc.Options
		leftOut bool
	}{
		"nothing": {}, "it ends soon": {o: govc.Options{Token: token(time.Minute)}}, "it ended": {o: govc.Options{Token: token(-time.Minute), Login: login}},
		"login": {govc.Options{Login: login}, true}, "key": {o: govc.Options{APIKey: "k"}},
	} {
		t.Run(name, func(t *testing.T) {
			refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				if _, err := w.Write([]byte(`{"error":"no","code":"UNAUTHORIZED"}`)); err != nil {
					t.Error(err)
				}
			})
			for _, service := range []http.Handler{wiretest.NewEmulator(wiretest.EmulatorOptions{}), refuse} {
				server, asked := onlyReads(t, service)
				o := tt.o
				o.URL, o.Repo = server.URL, "docs"
				i, err := govc.NewInspector(o)
				if err != nil {
					t.Fatal(err)
				}
				i.Reach(t.Context())
				_, describeErr := i.Describe(t.Context())
				_, _, markerErr := i.ReadMarker(t.Context())
				_, _, refusalErr := i.Refusal(t.Context())
				i.Close()
				if i.LeftOut != tt.leftOut || asked() < 4 || refusalErr != nil {
					t.Errorf("left out %t, %d requests, %v, %v, %v", i.LeftOut, asked(), describeErr, markerErr, refusalErr)
				}
			}
		})
	}
}

// TestReachSaysHowFarItCame at each stage.
func TestReachSaysHowFarItCame(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "") // names are looked up here
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // it has served
	plain := httptest.NewServer(wiretest.NewEmulator(wiretest.EmulatorOptions{}))
	defer plain.Close()
	secure := httptest.NewTLSServer(wiretest.NewEmulator(wiretest.EmulatorOptions{}))
	defer secure.Close()
	for name, tt := range map[string]struct {
		url   string
		tls   govc.TLSOptions
		stage govc.Stage
		check func(govc.Reach) bool
	}{
		"no such name": {"http://none.invalid", govc.TLSOptions{}, govc.LookingUp, func(r govc.Reach) bool { return r.Name }},
		"refused":      {refused, govc.TLSOptions{}, govc.Connecting, func(r govc.Reach) bool { return !r.Name && !govc.IsTimeout(r.Err) }},
		"untrusted": {secure.URL, govc.TLSOptions{}, govc.Securing, func(r govc.Reach) bool {
			_, known := errors.AsType[*govc.TLSError](r.Err)
			return known && r.Secure && r.Connect > 0
		}},
		"silent": {"http://" + silent.Addr().String(), govc.TLSOptions{}, govc.Asking, func(r govc.Reach) bool { return govc.IsTimeout(r.Err) && r.Connect > 0 }},
		"answers": {plain.URL, govc.TLSOptions{}, govc.Answered, func(r govc.Reach) bool {
			return r.Err == nil && r.Alive && r.Status == http.StatusOK && r.FirstByte > 0 && !r.Date.IsZero() && r.TLS == 0 && !r.Reused
		}},
		"answers safely": {secure.URL, govc.TLSOptions{Insecure: true, AllowInsecure: true}, govc.Answered, func(r govc.Reach) bool {
			return r.Alive && r.TLS > 0 && r.Version == "TLS 1.3" && r.Peer != ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := govc.NewInspector(govc.Options{URL: tt.url, Repo: "docs", TLS: tt.tls})
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r := i.Reach(ctx)
			if r.Stage != tt.stage || !tt.check(r) || (r.Err == nil) != (r.Stage == govc.Answered) {
				t.Errorf("%+v, want stage %d", r, tt.stage)
			}
			if r.Stage == govc.Answered {
				if again := i.Reach(t.Context()); !again.Reused || again.Connect != 0 {
					t.Errorf("the second time: %+v", again)
				}
			}
		})
	}
}
