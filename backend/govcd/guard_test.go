package govcd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

const testSecret = "0a4c9d2f7be1836055f0c1b2d3e4f5a697881a2b3c4d5e6f70819203a4b5c6d7"

// TestEveryRouteSaysWhoMayCallIt: no route is there without a decision, and
// whatever changes something needs more than reading and is audited.
func TestEveryRouteSaysWhoMayCallIt(t *testing.T) {
	decided := map[string]guard{
		"GET /health": anybody, "GET /health/live": anybody, "GET /health/ready": anybody, "GET /version": anybody,
		"POST /api/v1/auth/login": anybody, "POST /api/v1/auth/refresh": somebody, "GET /api/v1/auth/whoami": somebody,
		"GET /metrics": ifManaged, "GET /api/v1/metrics": atService,
		"POST /api/v1/repos": somebody, "POST /api/v2/repos": somebody, "GET /api/v1/repos": somebody, "GET /api/v2/repos": somebody,
	}
	for _, r := range newService(t, Options{}).routes() {
		name := r.method + " " + r.pattern
		want, special := decided[name]
		delete(decided, name)
		if !special {
			want = atRepo
		}
		if r.guard != want || (r.guard == atRepo) != strings.Contains(r.pattern, "{id}") {
			t.Errorf("%s: guard %d, want %d", name, r.guard, want)
		}
		need := access.Write
		switch {
		case special && r.need == 0 && (want == anybody || want == somebody):
			continue
		case r.method == "GET", strings.HasSuffix(name, "/folders"), r.git:
			need = access.Read
		case r.method == "DELETE" && strings.HasSuffix(r.pattern, "/repos/{id}"):
			need = access.Admin
		}
		if r.need != need || (need > access.Read) != (r.what != "") {
			t.Errorf("%s: need %v, audited as %q; want %v", name, r.need, r.what, need)
		}
	}
	if len(decided) > 0 {
		t.Errorf("there are no routes %v", decided)
	}
}

// managed is a service with rights, and its audit; bearer makes a token.
func managed(t *testing.T) (h http.Handler, c *access.Control, log *audit.Log, bearer func(scope string) string) {
	t.Helper()
	ring, err := access.NewKeyring(config.NewSecret(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if log, err = audit.Open(dir+"/"+access.AuditDir, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	c = unlimited(t, access.Options{Dir: dir, Keyring: ring})
	bearer = func(scope string) string { return bearerOf(t, c, scope) }
	return newService(t, Options{Access: c, Audit: log}).Handler(), c, log, bearer
}

// bearerOf makes a token.
func bearerOf(t *testing.T, c *access.Control, scope string) string {
	t.Helper()
	s, err := access.ParseScopes(scope)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.Mint(access.TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: s})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token.Value.Reveal()
}

// TestWhoMayCallEachRoute asks every route as nobody, as one who has too little
// and as one with the rights of another repository.
func TestWhoMayCallEachRoute(t *testing.T) {
	h, _, _, bearer := managed(t)
	other := bearer("other:admin")
	less := map[access.Need]string{access.Read: other, access.Write: bearer("docs:read"), access.Admin: bearer("docs:write")}
	enough := map[access.Need]string{access.Read: bearer("docs:read"), access.Write: bearer("docs:write"), access.Admin: bearer("docs:admin")}
	for _, r := range newService(t, Options{}).routes() {
		path := strings.NewReplacer("{id}", "docs", "{name}", "x").Replace(r.pattern)
		t.Run(r.method+" "+r.pattern, func(t *testing.T) {
			if r.guard == anybody {
				if w := ask(t, h, r.method, path, ""); w.Code == 403 || (w.Code == 401) != strings.HasSuffix(path, "/login") {
					t.Errorf("nobody: %d", w.Code)
				}
				return
			}
			w := ask(t, h, r.method, path, "")
			want(t, w, 401, "UNAUTHORIZED")
			if w.Header().Get("Www-Authenticate") == "" {
				t.Error("the refusal names no scheme")
			}
			switch r.guard {
			case atRepo:
				for _, credential := range []string{less[r.need], other} {
					want(t, send(t, h, r.method, path, "", "Authorization", credential), 403, "FORBIDDEN")
				}
				if w := send(t, h, r.method, path, "", "Authorization", enough[r.need]); w.Code == 401 || w.Code == 403 && !strings.Contains(w.Body.String(), "PUSH_NOT_OFFERED") {
					t.Errorf("with the right: %d %s", w.Code, w.Body)
				}
			case atService, ifManaged:
				want(t, send(t, h, r.method, path, "", "Authorization", other), 403, "FORBIDDEN")
				want(t, send(t, h, r.method, path, "", "Authorization", bearer("*:read")), 200, "govc_repositories_total")
			default:
			}
		})
	}
	want(t, ask(t, h, "GET", "/api/v2/nowhere", ""), 401, "UNAUTHORIZED")
	want(t, send(t, h, "GET", "/api/v2/nowhere", "", "Authorization", other), 404, "ENDPOINT_NOT_FOUND")
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", other), 403, "FORBIDDEN")
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", enough[access.Write]), 403, "FORBIDDEN")
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", enough[access.Admin]), 201, "docs")
	want(t, send(t, h, "GET", "/api/v2/repos", "", "Authorization", other), 200, `"count":0`)
	want(t, send(t, h, "GET", "/api/v2/repos", "", "Authorization", enough[access.Read]), 200, `"count":1`)
	want(t, send(t, h, "GET", "/api/v1/auth/whoami", "", "Authorization", other), 200, `"repo_permissions":{"other":"admin"}`)
	want(t, send(t, h, "POST", "/api/v1/auth/refresh", "", "Authorization", other), 200, `"token":"ey`)
	want(t, ask(t, h, "POST", "/api/v1/auth/login", `{"username":"a","password":"b"}`), 401, "no login with a password")
}

// TestOneAddressIsLimited, and each of its requests counts once.
func TestOneAddressIsLimited(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c, err := access.New(access.Options{Now: func() time.Time { return at }, Limits: access.Limits{Requests: 1, Burst: 4}})
	if err != nil {
		t.Fatal(err)
	}
	h := newService(t, Options{Access: c}).Handler()
	want(t, ask(t, h, "GET", "/health", ""), 200, "")
	want(t, ask(t, h, "GET", "/api/v2/repos", ""), 200, "")
	want(t, ask(t, h, "GET", "/api/v2/repos/", ""), 301, "")
	want(t, ask(t, h, "GET", "/api/v2/nowhere", ""), 404, "")
	for _, path := range []string{"/health", "/api/v2/repos", "/api/v2/repos/", "/nowhere"} {
		w := ask(t, h, "GET", path, "")
		want(t, w, 429, "RATE_LIMITED")
		if w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

// TestAStoryInTheAudit: each change is a line before its answer, and so is each
// refusal; reading is none.
func TestAStoryInTheAudit(t *testing.T) {
	h, c, log, bearer := managed(t)
	admin, reader := bearer("docs:admin"), bearer("docs:read")
	as := func(who, method, path, body string, status int) string {
		t.Helper()
		w := send(t, h, method, path, body, "Authorization", who)
		want(t, w, status, "")
		return w.Body.String()
	}
	as(admin, "POST", "/api/v2/repos", `{"id":"docs"}`, 201)
	as(admin, "POST", docs+"/files", `{"path":"a","content":"secret text"}`, 201)
	as(admin, "POST", docs+"/commits", `{"message":"m"}`, 201)
	as(admin, "POST", docs+"/batch", batchOf(put("b", "1")), 201)
	as(admin, "POST", docs+"/batch", batchOf(`{"op":"delete","path":"none"}`), 409)
	as(admin, "POST", docs+"/branches", `{"name":"side"}`, 201)
	as(admin, "POST", docs+"/merge", `{"from":"side"}`, 200)
	as(admin, "POST", docs+"/tags", `{"name":"v1"}`, 201)
	as(admin, "DELETE", docs+"/tags/v1", "", 200)
	as(admin, "DELETE", docs+"/branches/side", "", 200)
	as(admin, "DELETE", docs+"/files?path=none", "", 404)
	as(reader, "GET", docs+"/files?path=a", "", 200)
	as(reader, "POST", docs+"/commits", `{"message":"m"}`, 403)
	as("Bearer x.y.z", "GET", docs+"/status", "", 401)
	as(admin, "DELETE", docs, "", 200)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	_, err := audit.Scan(c.Register().Volume, c.Register().Dir+"/"+access.AuditDir, "", func(e audit.Entry) error {
		if e.From != "192.0.2.1" || (e.Who == "ann") != strings.HasPrefix(e.Via, "jwt ") {
			t.Errorf("%+v", e)
		}
		ref := ""
		if len(e.Ref) == 40 {
			ref = "commit"
		}
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(e.Who, " ", e.What, " ", e.Repo, " ", e.Path, " ", ref, " ", e.Result)), " "))
		return nil
	})
	const story = `ann repo.create docs ok
ann file.add docs a ok
ann commit docs refs/heads/main commit ok
ann batch docs refs/heads/main commit ok
ann batch docs refs/heads/main BATCH_FAILED
ann branch.create docs refs/heads/side commit ok
ann merge docs refs/heads/main commit ok
ann tag.create docs refs/tags/v1 commit ok
ann tag.delete docs refs/tags/v1 ok
ann branch.delete docs refs/heads/side ok
ann file.delete docs none FILE_NOT_FOUND
ann commit docs FORBIDDEN
GET /api/v2/repos/{id}/status docs UNAUTHORIZED
ann repo.delete docs ok`
	if got := strings.Join(lines, "\n"); err != nil || got != story {
		t.Errorf("%v\n%s", err, got)
	}
	// Without the audit nothing is changed any more.
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", admin), 503, `"code":"AUDIT_FAILED","details":{"changed":false}`)
	want(t, send(t, h, "GET", "/api/v2/repos", "", "Authorization", admin), 200, `"count":0`)
}

// TestAChangeThatIsNotRecordedSaysSo: the audit ends while the change is made.
func TestAChangeThatIsNotRecordedSaysSo(t *testing.T) {
	log, err := audit.Open(t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, Options{Audit: log})
	r, err := http.NewRequestWithContext(t.Context(), "POST", "/api/v2/repos", &ending{Reader: strings.NewReader(`{"id":"docs"}`), end: log.Close})
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	want(t, w, 503, `"details":{"changed":true}`)
	want(t, ask(t, s.Handler(), "GET", docs, ""), 200, "docs")
}

// TestARevokedKeyEndsItsStream at the next commit or heartbeat.
func TestARevokedKeyEndsItsStream(t *testing.T) {
	h, c, _, bearer := managed(t)
	admin := bearer("docs:admin")
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", admin), 201, "")
	scopes, err := access.ParseScopes("docs:read")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	key, secret, err := c.Register().CreateKey(ctx, access.KeyRequest{Name: "ci", Scopes: scopes})
	if err == nil {
		err = c.Reload()
	}
	if err != nil {
		t.Fatal(err)
	}
	stream := listenTo(t, withHeader(h, "X-Api-Key", secret.Reveal()), "", "")
	batch := func(name string) {
		want(t, send(t, h, "POST", docs+"/batch", batchOf(put(name, "1")), "Authorization", admin), 201, "")
	}
	batch("a")
	stream.next(t, "commit")
	if _, err = c.Register().RevokeKey(ctx, key.ID); err == nil {
		err = c.Reload()
	}
	if err != nil {
		t.Fatal(err)
	}
	batch("b")
	select {
	case text := <-stream.writes:
		t.Errorf("it went on with %q", text)
	case <-stream.done:
	}
}

// TestTLS: 1.2 at least, on every loopback address.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, Options{TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}})
	url, err := s.Start("localhost:0")
	if err != nil || !strings.HasPrefix(url, "https://localhost:") {
		t.Fatal(url, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	get := func(url string, most uint16) (int, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MaxVersion: most}}} //nolint:gosec // an old version is what is tried
		defer client.CloseIdleConnections()
		answer, err := client.Get(url + "/health/live")
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		for _, most := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if status, err := get(strings.Replace(url, "localhost", host, 1), most); status != 200 || err != nil {
				t.Errorf("%s: %d, %v", host, status, err)
			}
		}
	}
	if _, err := get(url, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if status, err := get(strings.Replace(url, "https", "http", 1), 0); status == 200 {
		t.Errorf("plain HTTP is answered (%v)", err)
	}
}

// ending is a body that does something when it was read.
type ending struct {
	*strings.Reader
	end func() error
}

// Read implements io.Reader.
func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if e.Len() > 0 {
		return n, err
	}
	return n, errors.Join(err, e.end())
}

// withHeader adds a header to every request.
func withHeader(h http.Handler, name, value string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(name, value)
		h.ServeHTTP(w, r)
	})
}

// TestAnExpiredTokenEndsItsStream at a heartbeat, without any commit.
func TestAnExpiredTokenEndsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, err := access.NewKeyring(config.NewSecret(testSecret))
		if err != nil {
			t.Fatal(err)
		}
		c := unlimited(t, access.Options{Keyring: ring})
		scopes, err := access.ParseScopes("docs:admin")
		if err != nil {
			t.Fatal(err)
		}
		token, err := c.Mint(access.TokenRequest{Subject: "ann", TTL: time.Second, Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		h := withHeader(newService(t, Options{Access: c}).Handler(), "Authorization", "Bearer "+token.Value.Reveal())
		want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "")
		stream, beats := listenTo(t, h, "", ""), 0
		for ended := false; !ended; {
			select {
			case <-stream.writes:
				beats++
			case <-stream.done:
				ended = true
			}
		}
		if beats != 2 { // at 15 and 30 s; at 45 s the second and the leeway are over
			t.Errorf("%d heartbeats", beats)
		}
	})
}
