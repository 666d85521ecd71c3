package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/config"
)

// guarded is a service as small as can be: each path is a repository, GET reads
// and POST writes it, and every write is in the audit before its answer.
func guarded(t *testing.T, c *Control, log *audit.Log) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repo := strings.Trim(r.URL.Path, "/")
		route := Route{Repo: repo, Need: Read, Git: strings.HasSuffix(repo, ".git")}
		if r.Method == http.MethodPost {
			route.Need = Write
		}
		if repo == "whoami" {
			route = Route{}
		}
		who, err := c.Check(r, route)
		entry := audit.Entry{Who: who.Subject, Via: who.Via(), From: Address(r), What: r.Method, Repo: repo, Result: audit.OK}
		status, code, text, header, denied := Answer(err)
		if denied {
			entry.Result = code
			for name := range header {
				w.Header().Set(name, header.Get(name))
			}
			if route.Git && status == http.StatusUnauthorized {
				w.Header().Set("Www-Authenticate", GitChallenge)
			}
		}
		if denied || route.Need >= Write {
			if err := log.Append(entry); err != nil {
				t.Error(err)
			}
		}
		if denied {
			http.Error(w, text, status)
			return
		}
		me, err := c.Whoami(From(With(r.Context(), who)))
		if err == nil {
			err = json.NewEncoder(w).Encode(me)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func asked(t *testing.T, client *http.Client, method, url string, headers ...string) (int, http.Header, string) {
	r, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(r)
	must(t, err)
	body, err := io.ReadAll(answer.Body)
	must(t, errors.Join(err, answer.Body.Close()))
	return answer.StatusCode, answer.Header, string(body)
}

// atOnce lets many write at once: nobody is taken for another.
func atOnce(t *testing.T, c *Control, clients int, ask func(method, path string, headers ...string) (int, http.Header, string)) {
	var all sync.WaitGroup
	for i := range clients {
		token, err := c.Mint(TokenRequest{Subject: fmt.Sprint("s", i), TTL: time.Hour, Scopes: []Scope{{fmt.Sprint("r", i), Write}}})
		must(t, err)
		all.Go(func() {
			for range 4 {
				status, _, body := ask("POST", fmt.Sprint("/r", i), bearer(token.Value.Reveal())...)
				var me Whoami
				if err := json.Unmarshal([]byte(body), &me); err != nil || status != 200 || me.ID != fmt.Sprint("s", i) {
					t.Errorf("%d: %d %s", i, status, body)
				}
				if status, _, _ := ask("POST", fmt.Sprint("/r", (i+1)%clients), bearer(token.Value.Reveal())...); status != 403 {
					t.Errorf("%d at another's: %d", i, status)
				}
			}
		})
	}
	all.Wait()
}

// TestServed goes over real connections: who is unknown, who may not, who may,
// and who asks too often.
func TestServed(t *testing.T) {
	at := newClock()
	dir := t.TempDir()
	c := control(t, Options{Dir: dir, AdminKey: config.NewSecret(adminKey), Keyring: keyring(t, goodSecret), Now: at.now, Limits: Limits{Failures: 1}})
	_, key := makeKey(t, c.Register(), "ci", "docs:read", time.Time{})
	must(t, c.Reload())
	log, err := audit.Open(filepath.Join(dir, AuditDir), audit.Options{})
	must(t, err)
	server := httptest.NewServer(guarded(t, c, log))
	client := server.Client()
	ask := func(method, path string, headers ...string) (int, http.Header, string) {
		return asked(t, client, method, server.URL+path, headers...)
	}
	for _, x := range []struct {
		method, path string
		headers      []string
		status       int
		header       string
	}{
		{"GET", "/docs", nil, 401, `Bearer realm="caiatop"`},
		{"GET", "/docs.git", nil, 401, GitChallenge},
		{"GET", "/docs", []string{"X-API-Key", key}, 200, ""},
		{"POST", "/docs", []string{"X-API-Key", key}, 403, ""},
		{"GET", "/other", []string{"X-API-Key", key}, 403, ""},
		{"GET", "/whoami", []string{"X-API-Key", key}, 200, ""},
		{"POST", "/other", []string{"X-API-Key", adminKey}, 200, ""},
		{"GET", "/docs.git", basic("git", adminKey), 200, ""},
	} {
		status, header, body := ask(x.method, x.path, x.headers...)
		if status != x.status || header.Get("Www-Authenticate") != x.header || strings.Contains(body, key) {
			t.Errorf("%s %s: %d %v %s", x.method, x.path, status, header, body)
		}
	}

	const clients = 64
	atOnce(t, c, clients, ask)
	for range localFactor {
		ask("GET", "/docs", "X-API-Key", spoil(key, 30))
	}
	if status, header, _ := ask("GET", "/docs", "X-API-Key", key); status != 429 || header.Get("Retry-After") != "3" {
		t.Errorf("locked out: %d %v", status, header)
	}
	client.CloseIdleConnections()
	server.Close()
	must(t, log.Close())
	count := map[string]int{}
	_, err = audit.Scan(c.Register().Volume, filepath.Join(dir, AuditDir), "", func(e audit.Entry) error {
		count[e.What+" "+e.Result]++
		return nil
	})
	want := map[string]int{"POST ok": 1 + 4*clients, "POST FORBIDDEN": 1 + 4*clients, "GET FORBIDDEN": 1, "GET UNAUTHORIZED": 2 + localFactor, "GET RATE_LIMITED": 1}
	if err != nil || fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("the audit has %v, %v", count, err)
	}
}

// TestManyAtOnce lets requests, edits and reloads meet.
func TestManyAtOnce(t *testing.T) {
	at := newClock()
	c := control(t, Options{Dir: t.TempDir(), Keyring: keyring(t, goodSecret), Now: at.now})
	_, key := makeKey(t, c.Register(), "ci", "docs:read", time.Time{})
	must(t, c.Reload())
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Hour})
	must(t, err)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 50 {
				who, err := c.Authenticate(request("X-API-Key", key))
				if err == nil {
					err = c.Allow(who, "docs", Read)
				}
				if err == nil {
					_, err = c.Authenticate(request(bearer(token.Value.Reveal())...))
				}
				if err != nil {
					t.Error(err)
				}
				at.pass(checkEvery / 4)
			}
		})
		if i%4 == 0 {
			all.Go(func() {
				name := string(rune('a' + i))
				err := c.Register().Grant(t.Context(), name, Scope{"docs", Read})
				if err = errors.Join(err, c.Reload()); err != nil {
					t.Error(err)
				}
				if err := c.Allow(Identity{Kind: JWT, Subject: name, Expires: noon.Add(time.Hour * 24)}, "docs", Read); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	all.Wait()
	if days, err := c.Register().LastUsed(); err != nil || len(days) != 1 {
		t.Errorf("%v, %v", days, err)
	}
	if _, err := os.Stat(filepath.Join(c.Register().Dir, usedName)); err != nil {
		t.Error(err)
	}
}
