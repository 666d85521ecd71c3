package govc_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/store"
)

// TestOneCredential: of what is given exactly one is sent, in the header that
// services take it in.
func TestOneCredential(t *testing.T) {
	g := guard(t, time.Now)
	token := g.mint(time.Hour, 0)
	for _, c := range []struct {
		name   string
		o      govc.Options
		sent   string
		method string
		unused []string
	}{
		{"nothing", govc.Options{}, "", govc.MethodNone, nil},
		{"a token", govc.Options{Token: govc.Secret(token)}, "Bearer " + token, govc.MethodToken, nil},
		{"a key as token", govc.Options{Token: apiKey}, apiKey, govc.MethodAPIKey, nil},
		{"a key", govc.Options{APIKey: apiKey}, apiKey, govc.MethodAPIKey, nil},
		{"a token that looks like a key with dots", govc.Options{Token: "a.b.c"}, "a.b.c", govc.MethodAPIKey, nil},
		{"token before key", govc.Options{Token: govc.Secret(token), APIKey: apiKey}, "Bearer " + token, govc.MethodToken, []string{"API key"}},
		{"key before login", govc.Options{APIKey: apiKey, Login: adminLogin}, apiKey, govc.MethodAPIKey, []string{"user and password"}},
		{"token before all", govc.Options{Token: govc.Secret(token), APIKey: apiKey, Login: adminLogin}, "Bearer " + token, govc.MethodToken, []string{"API key"}},
	} {
		c.o.URL = g.url
		g.change(func() { g.asked = nil })
		client := newClient(t, c.o)
		_, err := client.Describe(t.Context())
		if refused := c.sent == "a.b.c"; errors.Is(err, store.ErrUnauthorized) != refused || (err != nil) != refused {
			t.Errorf("%s: Describe: %v", c.name, err)
		}
		g.change(func() {
			if len(g.asked) == 0 || len(slices.Compact(g.asked)) != 1 || g.asked[0] != c.sent {
				t.Errorf("%s: %q was sent, want %q alone", c.name, g.asked, c.sent)
			}
		})
		if a := client.Access(); a.Method != c.method || !slices.Equal(a.Unused, c.unused) {
			t.Errorf("%s: Access = %+v", c.name, a)
		}
	}
}

// TestWhoamiRecorded: what services answered is what Access tells.
func TestWhoamiRecorded(t *testing.T) {
	record, err := wiretest.Record(wiretest.NewAuth)
	if err != nil {
		t.Fatal(err)
	}
	token := govc.Secret(guard(t, time.Now).mint(time.Hour, 0))
	for _, c := range []struct {
		line    int
		o       govc.Options
		refused bool
		rights  map[string]string
	}{
		{799, govc.Options{Token: token}, true, nil},
		{801, govc.Options{Token: token}, false, map[string]string{"*": "admin"}},
		{824, govc.Options{APIKey: apiKey}, false, map[string]string{"*": "admin"}},
		{825, govc.Options{APIKey: apiKey}, false, map[string]string{}},
		{828, govc.Options{APIKey: apiKey}, true, nil},
	} {
		at := slices.IndexFunc(record, func(e wiretest.Exchange) bool { return e.Line == c.line })
		replay, err := wiretest.NewReplay(wiretest.NewAuth)
		if err != nil {
			t.Fatal(err)
		}
		c.o.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/log"):
				problemOf(w, http.StatusBadRequest, "INVALID_LIMIT")
			case strings.HasSuffix(r.URL.Path, "/whoami"):
				tell(w, record[at].Status, record[at].Response)
			default:
				replay.ServeHTTP(w, r)
			}
		})
		client := newClient(t, c.o)
		_, err = client.Describe(t.Context())
		if (err != nil) != c.refused || errors.Is(err, store.ErrUnauthorized) != c.refused || errors.Is(err, store.ErrForbidden) {
			t.Errorf("line %d: Describe: %v", c.line, err)
		}
		a := client.Access()
		if a.Confirmed == c.refused || (a.Subject == "admin") == c.refused || !maps.Equal(a.Rights, c.rights) {
			t.Errorf("line %d: Access = %+v", c.line, a)
		}
		if unknown := replay.Unknown(); len(unknown) > 0 {
			t.Errorf("line %d: %q was never recorded", c.line, unknown)
		}
	}
}

// TestServiceWithoutAuth: credentials that nobody looks at do no harm, and are
// not said to be confirmed.
func TestServiceWithoutAuth(t *testing.T) {
	c := openClient(t, govc.Options{URL: startPlain(t), APIKey: apiKey})
	if a := c.Access(); a.Confirmed || a.Method != govc.MethodAPIKey || a.CSRF {
		t.Errorf("Access = %+v", a)
	}
}

// everybody asks the service from 32 goroutines, until each has had n answers.
func everybody(t *testing.T, c *govc.Client, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range n {
				if _, err := c.RepoExists(t.Context()); err != nil {
					t.Errorf("RepoExists: %v", err)
				}
			}
		})
	}
	all.Wait()
}

// TestOneLoginForAll: the token of a login is got once for everybody, once more
// when it is about to end, and once when it was over before anybody looked.
func TestOneLoginForAll(t *testing.T) {
	clock := newTick()
	g := guard(t, clock.now)
	g.strict = true
	c := newClient(t, govc.Options{URL: g.url, Login: adminLogin, Now: clock.now})
	if _, err := c.EnsureRepo(t.Context()); err != nil {
		t.Fatal(err)
	}
	everybody(t, c, 3)
	if got := g.counts(); got != [3]int{1, 0, 0} {
		t.Errorf("logins, refreshes, refused: %v", got)
	}
	clock.pass(50 * time.Minute)
	everybody(t, c, 3)
	if got := g.counts(); got != [3]int{1, 1, 0} {
		t.Errorf("after 50 of 60 minutes: logins, refreshes, refused: %v", got)
	}
	clock.pass(3 * time.Hour)
	everybody(t, c, 3)
	if got := g.counts(); got != [3]int{2, 1, 0} {
		t.Errorf("after 3 hours: logins, refreshes, refused: %v", got)
	}
	a := c.Access()
	if a.Method != govc.MethodLogin || !a.Renews || a.Subject != "admin" || a.Problem != "" || !a.Expires.Equal(clock.now().Add(time.Hour)) {
		t.Errorf("Access = %+v", a)
	}
}

// TestRefusedMeanwhile: a token that the service stops accepting is replaced
// once for everybody; writes are not lost.
func TestRefusedMeanwhile(t *testing.T) {
	clock := newTick()
	g := guard(t, clock.now)
	g.strict = true
	c := openClient(t, govc.Options{URL: g.url, Login: adminLogin, Now: clock.now})
	g.change(func() { g.secret, g.csrf = "another", map[string]bool{} })
	everybody(t, c, 1)
	if got := g.counts(); got[0] != 2 {
		t.Errorf("%d logins, want 2", got[0])
	}
	g.change(func() { g.secret, g.csrf = "a third", map[string]bool{} })
	if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "x"))); err != nil {
		t.Errorf("Apply: %v", err)
	}
	if got := g.counts(); got[0] != 3 {
		t.Errorf("%d logins, want 3", got[0])
	}
}

// TestNoLoopOfLogins: a service that refuses what it has just given is not
// asked for more and more of it.
func TestNoLoopOfLogins(t *testing.T) {
	clock := newTick()
	g := guard(t, clock.now)
	g.strict, g.deny = true, true
	c := newClient(t, govc.Options{URL: g.url, Login: adminLogin, Now: clock.now})
	for range 20 {
		if _, err := c.Describe(t.Context()); !errors.Is(err, store.ErrUnauthorized) || errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Describe: %v", err)
		}
	}
	if got := g.counts(); got[0] != 2 {
		t.Errorf("%d logins, want 2", got[0])
	}
	g.change(func() { g.deny = false })
	clock.pass(time.Minute)
	if _, err := c.Describe(t.Context()); err != nil {
		t.Errorf("Describe once it accepts them: %v", err)
	}
}

// TestClockSkew: clocks that differ change neither when a token is renewed nor
// how often.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-26 * time.Hour, -time.Minute, time.Minute, 26 * time.Hour} {
		clock := newTick()
		g := guard(t, func() time.Time { return clock.now().Add(skew) })
		g.strict = true
		for name, o := range map[string]govc.Options{"login": {Login: adminLogin}, "token": {Token: govc.Secret(g.mint(time.Hour, 0))}} {
			before := g.counts()
			o.URL, o.Now = g.url, clock.now
			c := newClient(t, o)
			if _, err := c.EnsureRepo(t.Context()); err != nil {
				t.Fatalf("%v, %s: %v", skew, name, err)
			}
			for range 3 {
				everybody(t, c, 1)
				clock.pass(10 * time.Minute)
			}
			if got := g.counts(); got[1] != before[1] {
				t.Errorf("%v, %s: %d refreshes within 30 of 60 minutes", skew, name, got[1]-before[1])
			}
			clock.pass(20 * time.Minute)
			everybody(t, c, 1)
			if got := g.counts(); got[1] != before[1]+1 || got[0] > before[0]+1 {
				t.Errorf("%v, %s: %d refreshes and %d logins after 50 of 60 minutes", skew, name, got[1]-before[1], got[0]-before[0])
			}
			clock.pass(-50 * time.Minute)
		}
	}
}

// TestGivenTokenEnds: a token that nobody renews is told, used to its end, and
// then refused; with a user and a password it is replaced.
func TestGivenTokenEnds(t *testing.T) {
	clock := newTick()
	g := guard(t, clock.now)
	g.strict, g.old = true, true
	end := clock.now().Add(time.Hour)
	c := newClient(t, govc.Options{URL: g.url, Token: govc.Secret(g.mint(time.Hour, 0)), Now: clock.now})
	both := newClient(t, govc.Options{URL: g.url, Token: govc.Secret(g.mint(time.Hour, 0)), Login: adminLogin, Now: clock.now})
	if _, err := c.EnsureRepo(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.pass(55 * time.Minute)
	everybody(t, c, 1)
	if a := c.Access(); a.Renews || a.Problem == "" || !a.Expires.Equal(end) {
		t.Errorf("Access = %+v", a)
	}
	clock.pass(6 * time.Minute)
	if _, err := c.RepoExists(t.Context()); !errors.Is(err, store.ErrUnauthorized) || errors.Is(err, store.ErrForbidden) {
		t.Errorf("RepoExists: %v", err)
	}
	everybody(t, both, 1)
	if a := both.Access(); a.Method != govc.MethodLogin || g.counts()[0] != 1 {
		t.Errorf("Access = %+v after %d logins", a, g.counts()[0])
	}
}

// TestWrongPassword is sent once in a while, for five in a row lock an address
// out; a lockout is waited for.
func TestWrongPassword(t *testing.T) {
	clock := newTick()
	g := guard(t, clock.now)
	c := newClient(t, govc.Options{URL: g.url, Login: govc.Login{User: "admin", Password: "wrong"}, Now: clock.now, Retry: noWait})
	if _, err := c.Health(t.Context()); err != nil {
		t.Errorf("a service that lives is not well, because of a password: %v", err)
	}
	ask := func() error { return second(c.Describe(t.Context())) }
	for minute := range 14 {
		if err := ask(); !errors.Is(err, store.ErrUnauthorized) || strings.Contains(err.Error(), "wrong") {
			t.Fatalf("minute %d: %v", minute, err)
		}
		clock.pass(time.Minute)
	}
	if got := g.counts(); got[0] != 3 {
		t.Errorf("%d logins in 14 minutes, want 3", got[0])
	}
	g.change(func() { g.lockedUntil = clock.now().Add(15 * time.Minute) })
	clock.pass(time.Minute)
	for range 20 {
		if err := ask(); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnauthorized) || !strings.Contains(err.Error(), "no login is tried before 12:29:01") {
			t.Fatalf("locked out: %v", err)
		}
	}
	if got := g.counts(); got[0] != 4 {
		t.Errorf("%d logins, want 4", got[0])
	}
}

// TestServiceIsAwayAtLogin: that is an outage and not a refusal.
func TestServiceIsAwayAtLogin(t *testing.T) {
	var away bool
	g := guard(t, time.Now)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if away {
			hangUp(t, w)
			return
		}
		g.first(w, r)
	})
	away = true
	c := newClient(t, govc.Options{URL: url, Login: adminLogin, Retry: noWait})
	if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "x"))); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnauthorized) || errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Apply: %v", err)
	}
}

// TestLoginGivenUpByOne: whoever waits for another's login, which that one gives
// up, logs in; whoever waits no longer says so, and it is no refusal.
func TestLoginGivenUpByOne(t *testing.T) {
	g := guard(t, time.Now)
	entered, hang := make(chan struct{}), true
	inner := wiretest.NewEmulator(wiretest.EmulatorOptions{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") && hang {
			hang = false
			_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is seen
			close(entered)
			<-r.Context().Done()
			return
		}
		if !g.first(w, r) {
			inner.ServeHTTP(w, r)
		}
	})
	c := newClient(t, govc.Options{URL: url, Login: adminLogin, Retry: noWait, Timeouts: govc.Timeouts{Read: time.Minute}})
	first, giveUp := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := c.RepoExists(first); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnauthorized) {
			t.Errorf("who gave up: %v", err)
		}
	})
	<-entered
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	if _, err := c.RepoExists(late); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("who is late: %v", err)
	}
	end()
	both.Go(func() {
		if _, err := c.RepoExists(t.Context()); err != nil {
			t.Errorf("who waited: %v", err)
		}
	})
	giveUp()
	both.Wait()
	if got := g.counts(); got[0] != 1 {
		t.Errorf("%d more logins, want 1", got[0])
	}
}
