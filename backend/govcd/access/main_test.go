package access

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a clock that a test sets.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.at.Store(&noon)
	return c
}

func (c *clock) now() time.Time { return *c.at.Load() }

func (c *clock) pass(d time.Duration) {
	next := c.now().Add(d)
	c.at.Store(&next)
}

const (
	goodSecret  = "0a4c9d2f7be1836055f0c1b2d3e4f5a697881a2b3c4d5e6f70819203a4b5c6d7"
	otherSecret = "f7e6d5c4b3a29180706f5e4d3c2b1a0988776655443322110ffeeddccbbaa998"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func keyring(t testing.TB, secrets ...string) Keyring {
	t.Helper()
	var values []config.Secret
	for _, s := range secrets {
		values = append(values, config.NewSecret(s))
	}
	k, err := NewKeyring(values...)
	must(t, err)
	return k
}

func scopes(t testing.TB, text string) []Scope {
	t.Helper()
	s, err := ParseScopes(text)
	must(t, err)
	return s
}

func control(t testing.TB, o Options) *Control {
	t.Helper()
	c, err := New(o)
	must(t, err)
	return c
}

// request is one from another machine.
func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api/v2/repos", nil)
	r.RemoteAddr = "192.0.2.7:4711"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// wantDenied fails unless err is a refusal of that kind and reason, which tells
// nothing that must not be told.
func wantDenied(t testing.TB, name string, err, kind error, reason string) {
	t.Helper()
	var d *Denied
	if !errors.As(err, &d) || !errors.Is(err, kind) || d.Reason != reason || d.Text == "" {
		t.Errorf("%s: %#v, want %v (%s)", name, err, kind, reason)
	}
}

func makeKey(t testing.TB, r Register, name, scope string, expires time.Time) (Key, string) {
	t.Helper()
	key, secret, err := r.CreateKey(context.Background(), KeyRequest{Name: name, Scopes: scopes(t, scope), Expires: expires})
	must(t, err)
	return key, secret.Reveal()
}

// spoil changes one character of a text.
func spoil(s string, at int) string {
	to := byte('0')
	if s[at] == to {
		to = '1'
	}
	return s[:at] + string(to) + s[at+1:]
}

func repeated(s string, n int) string { return strings.Repeat(s, n) }
