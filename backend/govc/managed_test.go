package govc_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/config"
)

// managed runs our service with tokens, API keys and rights.
type managed struct {
	*access.Control
	url       string
	refreshes atomic.Int64
	asked     atomic.Int64
}

const jwtSecret = "0a4c9d2f7be1836055f0c1b2d3e4f5a697881a2b3c4d5e6f70819203a4b5c6d7"

func manage(t testing.TB, now func() time.Time) *managed {
	t.Helper()
	ring, err := access.NewKeyring(config.NewSecret(jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	m := &managed{}
	if m.Control, err = access.New(access.Options{Dir: t.TempDir(), Keyring: ring, AdminKey: config.NewSecret("admin-key"), Now: now}); err != nil {
		t.Fatal(err)
	}
	s := govcd.New(govcd.Options{Access: m.Control, Now: now})
	h := s.Handler()
	m.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		if strings.HasSuffix(r.URL.Path, "/auth/refresh") {
			m.refreshes.Add(1)
		}
		h.ServeHTTP(w, r)
	})
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return m
}

func (m *managed) key(t testing.TB, name string, scopes ...string) govc.Secret {
	t.Helper()
	q := access.KeyRequest{Name: name}
	for _, text := range scopes {
		scope, err := access.ParseScope(text)
		if err != nil {
			t.Fatal(err)
		}
		q.Scopes = append(q.Scopes, scope)
	}
	_, value, err := m.Register().CreateKey(t.Context(), q)
	if err := errors.Join(err, m.Reload()); err != nil {
		t.Fatal(err)
	}
	return govc.Secret(value.Reveal())
}

func (m *managed) token(t testing.TB, ttl time.Duration, scope string) govc.Secret {
	t.Helper()
	s, err := access.ParseScope(scope)
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.Mint(access.TokenRequest{Subject: "ada", TTL: ttl, Scopes: []access.Scope{s}})
	if err != nil {
		t.Fatal(err)
	}
	return govc.Secret(made.Value.Reveal())
}

// TestOurRights: who may read only is told so, apart from who is not known; what
// whoami says is what happens.
func TestOurRights(t *testing.T) {
	m := manage(t, time.Now)
	admin := openClient(t, govc.Options{URL: m.url, APIKey: "admin-key"})
	d := newDoc(t, "a", "text")
	if _, err := admin.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o      govc.Options
		right  string
		method string
		read   error
		write  error
	}{
		"admin key":         {govc.Options{APIKey: "admin-key"}, "admin", govc.MethodAPIKey, nil, nil},
		"reading key":       {govc.Options{APIKey: m.key(t, "reader", "docs:read")}, "read", govc.MethodAPIKey, nil, store.ErrForbidden},
		"writing key":       {govc.Options{Token: m.key(t, "writer", "docs:write")}, "write", govc.MethodAPIKey, nil, nil},
		"key for another":   {govc.Options{APIKey: m.key(t, "other", "else:admin")}, "", govc.MethodAPIKey, store.ErrForbidden, store.ErrForbidden},
		"writing token":     {govc.Options{Token: m.token(t, time.Hour, "docs:write")}, "write", govc.MethodToken, nil, nil},
		"reading token":     {govc.Options{Token: m.token(t, time.Hour, "docs:read")}, "read", govc.MethodToken, nil, store.ErrForbidden},
		"nobody":            {govc.Options{}, "", govc.MethodNone, store.ErrUnauthorized, store.ErrUnauthorized},
		"unknown key":       {govc.Options{APIKey: "caia_x"}, "", govc.MethodAPIKey, store.ErrUnauthorized, store.ErrUnauthorized},
		"another's token":   {govc.Options{Token: govc.Secret(guard(t, time.Now).mint(time.Hour, 0))}, "", govc.MethodToken, store.ErrUnauthorized, store.ErrUnauthorized},
		"user and password": {govc.Options{Login: adminLogin}, "", govc.MethodLogin, store.ErrUnauthorized, store.ErrUnauthorized},
	} {
		c.o.URL = m.url
		client := newClient(t, c.o)
		same := func(what string, err, want error) {
			if !errors.Is(err, want) || (want == store.ErrUnauthorized) != (errors.Is(err, store.ErrUnauthorized) && !errors.Is(err, store.ErrForbidden)) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrAmbiguous) {
				t.Errorf("%s: %s: %v, want %v", name, what, err, want)
			}
		}
		_, err := client.Get(t.Context(), keyOf(d))
		same("Get", err, c.read)
		_, err = client.Apply(t.Context(), put(newDoc(t, "b", name)))
		same("Apply", err, c.write)
		a := client.Access()
		right := a.Rights["docs"]
		if right == "" {
			right = a.Rights["*"]
		}
		known := c.read != store.ErrUnauthorized
		if a.Method != c.method || right != c.right || a.Confirmed != known || a.CSRF || (known && a.Subject == "") {
			t.Errorf("%s: Access = %+v", name, a)
		}
	}
}

// TestOurTokenIsRenewedOnce: 32 goroutines, a token that is about to end, one
// refresh; nobody sees an error, at any time.
func TestOurTokenIsRenewedOnce(t *testing.T) {
	clock := newTick()
	m := manage(t, clock.now)
	openClient(t, govc.Options{URL: m.url, APIKey: "admin-key"})
	c := newClient(t, govc.Options{URL: m.url, Token: m.token(t, time.Hour, "docs:write"), Now: clock.now})
	if created, err := c.EnsureRepo(t.Context()); created || err != nil {
		t.Errorf("EnsureRepo of one that is there = %v, %v", created, err)
	}
	for round := range int64(4) {
		everybody(t, c, 2)
		if got := m.refreshes.Load(); got != round {
			t.Fatalf("%d refreshes after %d times 50 minutes", got, round)
		}
		if _, err := c.Apply(t.Context(), put(newDoc(t, fmt.Sprint("d", round), "x"))); err != nil {
			t.Fatal(err)
		}
		if a := c.Access(); !a.Renews || a.Problem != "" || a.Method != govc.MethodToken || a.Expires.Sub(clock.now()) < 50*time.Minute {
			t.Errorf("Access = %+v at %v", a, clock.now())
		}
		clock.pass(50 * time.Minute)
	}
}

// TestOurTokenCannotBeRenewedForEver: after 7 days the service says no, which is
// known, costs one request, and the token is used to its end.
func TestOurTokenCannotBeRenewedForEver(t *testing.T) {
	clock := newTick()
	m := manage(t, clock.now)
	openClient(t, govc.Options{URL: m.url, APIKey: "admin-key"})
	c := newClient(t, govc.Options{URL: m.url, Token: m.token(t, 48*time.Hour, "docs:write"), Now: clock.now})
	for begun := clock.now(); clock.now().Sub(begun) < access.MaxRefresh; clock.pass(6 * time.Hour) {
		if _, err := c.RepoExists(t.Context()); err != nil {
			t.Fatalf("after %v: %v", clock.now().Sub(begun), err)
		}
	}
	clock.pass(time.Minute)
	before := m.refreshes.Load()
	if _, err := c.RepoExists(t.Context()); err == nil {
		t.Fatal("the last token of the row never ends")
	}
	asked := m.asked.Load()
	for range 5 {
		if _, err := c.RepoExists(t.Context()); !errors.Is(err, store.ErrUnauthorized) {
			t.Errorf("RepoExists: %v", err)
		}
	}
	if got := m.asked.Load() - asked; got != 5 || m.refreshes.Load() > before+1 {
		t.Errorf("%d requests and %d refreshes for 5 that are refused", got, m.refreshes.Load()-before)
	}
}
