package wiretest

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

const adminKey = "a-key-of-thirty-two-bytes-0123456"

// settings are the ways in which our service is run.
var settings = map[string]func(*testing.T) http.Handler{
	"in memory": func(t *testing.T) http.Handler { return started(t, govcd.Options{}) },
	"on disk":   func(t *testing.T) http.Handler { return started(t, govcd.Options{Data: t.TempDir()}) },
	"with the admin key": func(t *testing.T) http.Handler {
		return with(started(t, govcd.Options{Key: adminKey}), "X-Api-Key", adminKey)
	},
	"with a token": func(t *testing.T) http.Handler {
		ring, err := access.NewKeyring(config.NewSecret("0a4c9d2f7be1836055f0c1b2d3e4f5a697881a2b3c4d5e6f70819203a4b5c6d7"))
		if err != nil {
			t.Fatal(err)
		}
		c := control(t, access.Options{Keyring: ring})
		token, err := c.Mint(access.TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes(t)})
		if err != nil {
			t.Fatal(err)
		}
		return with(started(t, govcd.Options{Access: c}), "Authorization", "Bearer "+token.Value.Reveal())
	},
	"with an API key, on disk": func(t *testing.T) http.Handler {
		dir := t.TempDir()
		c := control(t, access.Options{Dir: dir})
		_, key, err := c.Register().CreateKey(t.Context(), access.KeyRequest{Name: "ci", Scopes: scopes(t)})
		if err == nil {
			err = c.Reload()
		}
		if err != nil {
			t.Fatal(err)
		}
		return with(started(t, govcd.Options{Access: c, Data: dir}), "X-Api-Key", key.Reveal())
	},
	"over TLS": func(t *testing.T) http.Handler {
		server := httptest.NewTLSServer(started(t, govcd.Options{}))
		t.Cleanup(server.Close)
		return carried(server.URL, server.Client())
	},
	"over TLS 1.2, with the admin key": func(t *testing.T) http.Handler {
		server := httptest.NewUnstartedServer(started(t, govcd.Options{Key: adminKey}))
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		return with(carried(server.URL, server.Client()), "X-Api-Key", adminKey)
	},
}

// callers are who asks, in the settings with credentials.
var callers = map[string]string{
	"with the admin key": "admin", "with a token": "ann", "with an API key, on disk": "ci", "over TLS 1.2, with the admin key": "admin",
}

// TestOurServiceSatisfiesTheSuiteHoweverItRuns: storage, credentials and
// transport change nothing of what a client sees, but for who is taken for the
// author of a commit that names none.
func TestOurServiceSatisfiesTheSuiteHoweverItRuns(t *testing.T) {
	for name, set := range settings {
		differences := ours()
		if caller := callers[name]; caller != "" {
			differences = append(differences, Difference{
				"commit as whoever was last", "who asks is known, and made the commit",
				Shape{Status: []int{201}, Fields: []string{"parent"}, Is: map[string]any{"author": caller}},
			})
		}
		t.Run(name, func(t *testing.T) { Run(t, set(t), false, differences...) })
	}
}

func started(t *testing.T, o govcd.Options) http.Handler {
	t.Helper()
	s, err := govcd.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s.Handler()
}

func control(t *testing.T, o access.Options) *access.Control {
	t.Helper()
	c, err := access.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scopes are the rights that the suite needs: it asks for repositories that
// cannot be, too.
func scopes(t *testing.T) []access.Scope {
	t.Helper()
	out, err := access.ParseScopes("*:admin")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// with adds a header to every request.
func with(h http.Handler, name, value string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(name, value)
		h.ServeHTTP(w, r)
	})
}

// carried sends every request over a connection.
func carried(base string, client *http.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(err) // it was a request before
		}
		out.Header, out.ContentLength = r.Header, r.ContentLength
		answer, err := client.Do(out)
		if err != nil {
			http.Error(w, strings.ToValidUTF8(err.Error(), "?"), http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }() // all of it was read
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // what is missing is found by the suite
	})
}
