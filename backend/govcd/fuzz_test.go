package govcd

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

// FuzzStranger sends any header to a service with rights: without a credential
// of its own nobody gets more than the open routes, and nothing is our fault.
func FuzzStranger(f *testing.F) {
	ring, err := access.NewKeyring(config.NewSecret(testSecret))
	if err != nil {
		f.Fatal(err)
	}
	c := unlimited(f, access.Options{Keyring: ring, AdminKey: config.NewSecret("the-admin-key-of-this-test")})
	scopes, err := access.ParseScopes("*:admin")
	if err != nil {
		f.Fatal(err)
	}
	token, err := c.Mint(access.TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes})
	if err != nil {
		f.Fatal(err)
	}
	good := token.Value.Reveal()
	for _, value := range []string{
		"", "Bearer", "Bearer ", "bearer x.y.z", "Basic OmE=", "Bearer " + good[:len(good)-1], "Bearer " + good[1:], "Bearer the-admin-key-of-this-tes",
		"caia_" + strings.Repeat("0", 72), "the-admin-key-of-this-test ", "\x00", strings.Repeat("x", 9000),
	} {
		f.Add("Authorization", value, "/api/v2/repos/docs/status", "localhost")
		f.Add("X-Api-Key", value, "/docs.git/info/refs?service=git-upload-pack", "evil.example")
	}
	f.Add("Range", "bytes=0-1,2-3,-1", "/health", "[::1]:1")
	f.Add("Accept-Encoding", "gzip;q=\xff", "/metrics", "a:b:c")
	f.Add("Cookie", "token="+good, "/api/v2/repos", "")
	f.Add("X-Forwarded-For", "127.0.0.1", "/api/v1/auth/whoami", "localhost")
	f.Add("Transfer-Encoding", "chunked", "/api/v2/repos/docs/files?path=a&api_key="+good, "localhost")
	h := newService(f, Options{Access: c}).Handler()
	open := map[string]bool{"/health": true, "/health/live": true, "/health/ready": true, "/version": true}
	f.Fuzz(func(t *testing.T, name, value, target, host string) {
		if strings.Contains(value, good) || strings.Contains(value, "the-admin-key-of-this-test") {
			if key := http.CanonicalHeaderKey(name); key == "Authorization" || key == "X-Api-Key" {
				return // a credential is no stranger
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
		r.Host, r.RemoteAddr = host, "192.0.2.1:1"
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case w.Code >= 500:
			t.Fatalf("%q answers %d %s", target, w.Code, w.Body)
		case w.Code < 300 && !open[r.URL.Path]:
			t.Fatalf("a stranger gets %q: %d %s", target, w.Code, w.Body)
		case strings.Contains(w.Body.String(), good):
			t.Fatalf("the answer has a credential: %s", w.Body)
		}
	})
}

// FuzzPacked sends any bytes as a packed batch: it is answered, and takes no more
// memory than its limits allow.
func FuzzPacked(f *testing.F) {
	f.Add([]byte(`{"message":"m","items":[]}`), uint16(0))
	f.Add([]byte(`{"message":"m","items":[{"op":"put","path":"a","content":"`), uint16(2000))
	f.Add([]byte(`{},`), uint16(40_000))
	f.Add([]byte(`"\"",[`), uint16(9999))
	f.Add([]byte{0, 0xff}, uint16(1))
	h := withRepo(f, Options{})
	f.Fuzz(func(t *testing.T, part []byte, times uint16) {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		for range int(times) + 1 {
			if _, err := z.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		for _, body := range [][]byte{packed.Bytes(), part, packed.Bytes()[:packed.Len()/2]} {
			r := httptest.NewRequest("POST", docs+"/batch", bytes.NewReader(body))
			r.Header.Set("Content-Encoding", "gzip")
			w := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			if w.Code >= 500 && w.Code != http.StatusInsufficientStorage {
				t.Fatalf("it answers %d %s", w.Code, w.Body)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16*MaxUnpacked {
				t.Fatalf("%d bytes of a body take %d bytes", len(body), grown)
			}
			if _, err := io.Copy(io.Discard, w.Body); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzMembers compares the count of commas with one that is made byte by byte.
func FuzzMembers(f *testing.F) {
	f.Add(`{"a":[1,2,"b,c\",d"],"e":"\\"}`, uint16(3))
	f.Add(`","\\\",",`, uint16(1))
	f.Add(`"`, uint16(0))
	f.Fuzz(func(t *testing.T, body string, most uint16) {
		inside, escaped, want := false, false, 0
		for _, c := range []byte(body) {
			switch {
			case escaped:
				escaped = false
			case inside && c == '\\':
				escaped = true
			case c == '"':
				inside = !inside
			case c == ',' && !inside:
				want++
			}
		}
		if got := membersOf([]byte(body), int(most)); got != min(want, int(most)) {
			t.Fatalf("%q has %d, up to %d; counted are %d", body, want, most, got)
		}
	})
}
