package govc_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
)

// tick is a clock that a test sets.
type tick struct{ ns atomic.Int64 }

func newTick() *tick {
	c := &tick{}
	c.ns.Store(time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *tick) now() time.Time       { return time.Unix(0, c.ns.Load()).UTC() }
func (c *tick) pass(d time.Duration) { c.ns.Add(int64(d)) }

// guarded is a plain govc with auth.enabled: true, as it was recorded.
type guarded struct {
	url string

	mu      sync.Mutex
	now     func() time.Time
	secret  string
	life    time.Duration
	debug   bool // no CSRF tokens
	headers bool // answers to GET carry one
	strict  bool // repositories are protected, too, as they are not
	deny    bool // every login gives a token that is not accepted
	old     bool // no refresh
	keys    map[string]bool
	csrf    map[string]bool

	failures                             int
	lockedUntil                          time.Time
	logins, refreshes, issued, refusedBy int
	asked                                []string // headers of credentials, in order
}

const apiKey = "govc_0123456789abcdef"

// guard runs one.
func guard(t testing.TB, now func() time.Time) *guarded {
	g := &guarded{now: now, secret: "one", life: time.Hour, headers: true, keys: map[string]bool{apiKey: true}, csrf: map[string]bool{}}
	g.url = emulate(t, wiretest.EmulatorOptions{Fragile: true, Now: now}, g.first).url
	return g
}

func tell(w http.ResponseWriter, status int, body string) bool {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return true
}

func problemOf(w http.ResponseWriter, status int, code string) bool {
	return tell(w, status, fmt.Sprintf(`{"error":"refused","code":%q}`, code))
}

// mint makes a token; skewed is how much later the clock of its maker is.
func (g *guarded) mint(life, skewed time.Duration) string {
	at := g.now().Add(skewed)
	g.issued++
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"user_id": "admin", "iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(life).Unix(), "jti": fmt.Sprint(g.issued),
	}).SignedString([]byte(g.secret))
	if err != nil {
		panic(err)
	}
	return text
}

func (g *guarded) newCSRF() string {
	g.issued++
	token := fmt.Sprint("csrf-", g.issued)
	g.csrf[token] = true
	return token
}

// user returns who a request comes from, "" for nobody.
func (g *guarded) user(r *http.Request) (method string) {
	bearer, key := r.Header.Get("Authorization"), r.Header.Get("X-Api-Key")
	if bearer == "" {
		if g.keys[key] {
			return "apikey"
		}
		return ""
	}
	text, ok := strings.CutPrefix(bearer, "Bearer ")
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return []byte(g.secret), nil }, jwt.WithTimeFunc(g.now))
	if !ok || err != nil || !token.Valid {
		return ""
	}
	return "jwt"
}

// first answers what auth adds.
func (g *guarded) first(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"))
	w.Header().Set("Date", g.now().UTC().Format(http.TimeFormat))
	path := r.URL.Path
	if path == "/api/v1/auth/csrf-token" && g.debug {
		return problemOf(w, http.StatusNotFound, "ENDPOINT_NOT_FOUND")
	}
	if path == "/api/v1/auth/login" {
		return g.login(w, r)
	}
	if r.Method != http.MethodGet && !g.debug && !g.spend(r) {
		g.refusedBy++
		return problemOf(w, http.StatusForbidden, "CSRF_TOKEN_INVALID")
	}
	if r.Method == http.MethodGet && g.headers && !g.debug && !strings.HasPrefix(path, "/health") {
		w.Header().Set("X-Csrf-Token", g.newCSRF())
	}
	who := g.user(r)
	switch {
	case path == "/api/v1/auth/csrf-token":
		return tell(w, http.StatusOK, fmt.Sprintf(`{"csrf_token":%q,"expires_in":3600}`, g.newCSRF()))
	case path == "/api/v1/auth/refresh" && g.old:
		return problemOf(w, http.StatusNotFound, "ENDPOINT_NOT_FOUND")
	case path == "/api/v1/auth/refresh" && r.Header.Get("Authorization") == "":
		return problemOf(w, http.StatusBadRequest, "MISSING_AUTH_HEADER")
	case path == "/api/v1/auth/refresh":
		g.refreshes++
		if who != "jwt" {
			return problemOf(w, http.StatusUnauthorized, "TOKEN_REFRESH_FAILED")
		}
		return tell(w, http.StatusOK, g.token())
	case who == "" && (path == "/api/v1/auth/whoami" || g.strict && strings.Contains(path, "/repos")):
		return tell(w, http.StatusUnauthorized, `{"code":"UNAUTHORIZED","error":"Authentication required"}`)
	case path == "/api/v1/auth/whoami":
		return tell(w, http.StatusOK, fmt.Sprintf(`{"id":"admin","username":"admin","permissions":["repo:admin"],"repo_permissions":{},"auth_method":%q}`, who))
	}
	return false
}

func (g *guarded) spend(r *http.Request) bool {
	token := r.Header.Get("X-Csrf-Token")
	ok := g.csrf[token]
	delete(g.csrf, token)
	return ok
}

func (g *guarded) token() string {
	text := g.mint(g.life, 0)
	if g.deny {
		text += "x"
	}
	return fmt.Sprintf(`{"token":%q,"expires_at":%q}`, text, g.now().Add(g.life).Format(time.RFC3339Nano))
}

func (g *guarded) login(w http.ResponseWriter, r *http.Request) bool {
	g.logins++
	var in struct{ Username, Password string }
	if g.now().Before(g.lockedUntil) {
		return tell(w, http.StatusTooManyRequests, fmt.Sprintf(`{"error":"Too many login attempts. Try again after %s","code":"LOGIN_LOCKOUT"}`, g.lockedUntil.Format(time.RFC3339)))
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Username == "" || in.Password == "" {
		return problemOf(w, http.StatusBadRequest, "INVALID_REQUEST")
	}
	if in.Username != "admin" || in.Password != "admin" {
		if g.failures++; g.failures >= 5 {
			g.lockedUntil = g.now().Add(15 * time.Minute)
		}
		return problemOf(w, http.StatusUnauthorized, "INVALID_CREDENTIALS")
	}
	g.failures = 0
	return tell(w, http.StatusOK, g.token())
}

// counts returns logins, refreshes, and requests refused for their CSRF token.
func (g *guarded) counts() [3]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return [3]int{g.logins, g.refreshes, g.refusedBy}
}

// change changes the service under its lock.
func (g *guarded) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

var adminLogin = govc.Login{User: "admin", Password: "admin"}

// imitated are the lines of the record that need no user but the admin, no
// token of others and no key that was revoked: login, lockout, CSRF, whoami and
// refresh.
var imitated = func() map[int]bool {
	lines := map[int]bool{}
	for _, few := range [][2]int{{758, 763}, {770, 776}, {799, 801}, {815, 817}, {824, 824}, {826, 827}, {829, 829}, {831, 833}, {868, 874}, {1397, 1397}} {
		for line := few[0]; line <= few[1]; line++ {
			lines[line] = true
		}
	}
	return lines
}()

// TestGuardedIsAsRecorded: the imitation answers the recorded exchanges as the
// service did.
func TestGuardedIsAsRecorded(t *testing.T) {
	record, err := wiretest.Record(wiretest.NewAuthFull)
	if err != nil {
		t.Fatal(err)
	}
	g := guard(t, time.Now)
	valid := strings.NewReplacer("<jwt>", g.mint(time.Hour, 0), "<api-key>", apiKey)
	compared := 0
	for _, e := range record {
		if !imitated[e.Line] {
			continue
		}
		r, err := http.NewRequestWithContext(t.Context(), e.Method, g.url+e.Path, strings.NewReader(e.Body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range e.Headers {
			r.Header.Set(name, valid.Replace(value))
		}
		if r.Header.Get("X-Csrf-Token") != "" && e.Status != http.StatusForbidden {
			g.change(func() { r.Header.Set("X-Csrf-Token", g.newCSRF()) })
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got, want struct{ Code string }
		_ = json.NewDecoder(answer.Body).Decode(&got) // some have none
		_ = json.Unmarshal([]byte(e.Response), &want)
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != e.Status || got != want {
			t.Errorf("line %d, %s %s: %d %q, recorded was %d %q", e.Line, e.Method, e.Path, answer.StatusCode, got.Code, e.Status, want.Code)
		}
		compared++
	}
	http.DefaultClient.CloseIdleConnections()
	if compared != len(imitated) {
		t.Errorf("%d exchanges were compared, of %d", compared, len(imitated))
	}
}
