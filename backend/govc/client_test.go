package govc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

func TestNewRefuses(t *testing.T) {
	for _, url := range []string{
		"", "localhost:8080", "ftp://host", "http://", "http://user:hunter2@host", "http://host/?key=hunter2", "http://host/#x", "http://us er:hunter2@%zz",
	} {
		_, err := govc.New(govc.Options{URL: url, Repo: "docs"})
		if err == nil {
			t.Errorf("New took the URL %q", url)
		} else if strings.Contains(err.Error(), "user:hunter2") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	if _, err := govc.New(govc.Options{URL: "http://host"}); err == nil {
		t.Error("New took no repository")
	}
}

func TestSecretNeverShows(t *testing.T) {
	o := govc.Options{URL: "http://h", Token: "hunter2", APIKey: "hunter2"}
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "token", o.Token, "all", o)
	encoded, err := json.Marshal(map[string]any{"token": o.Token})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(o.Token), fmt.Sprintf("%v %+v %#v %s %q %x %d", o.Token, o, o, o.Token, o.Token, o.Token, o.Token), out.String(), string(encoded),
	} {
		if strings.Contains(shown, "hunter2") || strings.Contains(shown, "68756e746572") {
			t.Errorf("the secret shows: %s", shown)
		}
	}
}

func TestKeyAndToken(t *testing.T) {
	_, url := startService(t, govcd.Options{Key: "right"})
	for _, o := range []govc.Options{{}, {APIKey: "wrong"}, {Token: "wrong"}} {
		o.URL = url
		c := newClient(t, o)
		for what, err := range map[string]error{
			"EnsureRepo": second(c.EnsureRepo(t.Context())), "Describe": second(c.Describe(t.Context())),
			"Get": second(c.Get(t.Context(), keyOf(newDoc(t, "a", "")))), "Apply": second(c.Apply(t.Context(), put(newDoc(t, "a", "")))),
		} {
			if !errors.Is(err, store.ErrUnauthorized) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnauthorized", what, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestDescribeAndHealth(t *testing.T) {
	_, url := startService(t, govcd.Options{Version: "1.2.3", Embedded: true, MaxRepos: 1})
	c := newClient(t, govc.Options{URL: url + "/"})
	info, err := c.Describe(t.Context())
	if err != nil || info.Dialect != govc.DialectV2 || info.Version != "1.2.3" || info.Implementation != govcd.Implementation || !info.Embedded || info.Durable {
		t.Errorf("Describe = %+v, %v", info, err)
	}
	for _, capability := range []string{govcd.CapDelete, govcd.CapRecursiveTree, govcd.CapFolder, govcd.CapLogPath, govcd.CapCommitTime, govcd.CapFullTree} {
		if !info.Has(capability) {
			t.Errorf("the capability %q is missing", capability)
		}
	}
	h, err := c.Health(t.Context())
	if err != nil || h.Status != "healthy" || h.Version != "1.2.3" || h.Uptime <= 0 || h.Checks["repositories"] != "healthy" {
		t.Errorf("Health = %+v, %v", h, err)
	}
	if created, err := c.EnsureRepo(t.Context()); !created || err != nil {
		t.Errorf("EnsureRepo = %v, %v", created, err)
	}
	if created, err := c.EnsureRepo(t.Context()); created || err != nil {
		t.Errorf("EnsureRepo again = %v, %v", created, err)
	}
	// All repositories that there may be: 503, and usable all the same.
	h, err = c.Health(t.Context())
	if err != nil || h.Status != "unhealthy" || h.Checks["repositories"] != "warning" {
		t.Errorf("Health of a full service = %+v, %v", h, err)
	}
	unwell := func(check string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health/live" {
				_, _ = io.WriteString(w, `{"status":"alive"}`)
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status":"unhealthy","checks":{`+check+`,"repositories":{"status":"warning"}}}`)
		})
	}
	// Neither keeps it from serving.
	h, err = newClient(t, govc.Options{URL: unwell(`"access":{"status":"warning"},"certificate":{"status":"warning"}`)}).Health(t.Context())
	if err != nil || h.Checks["certificate"] != "warning" {
		t.Errorf("Health of a full service with an old certificate = %+v, %v", h, err)
	}
	h, err = newClient(t, govc.Options{URL: unwell(`"storage":{"status":"unhealthy"}`)}).Health(t.Context())
	if !errors.Is(err, store.ErrUnavailable) || h.Checks["storage"] != "unhealthy" {
		t.Errorf("Health of a sick service = %+v, %v", h, err)
	}
}

func TestMarker(t *testing.T) {
	for name, url := range map[string]string{"ours": second2(startService(t, govcd.Options{})), "plain": startPlain(t)} {
		c := newClient(t, govc.Options{URL: url})
		if _, found, err := c.ReadMarker(t.Context()); found || err != nil {
			t.Errorf("%s: ReadMarker without a repository = %v, %v", name, found, err)
		}
		if _, err := c.EnsureRepo(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, found, err := c.ReadMarker(t.Context()); found || err != nil {
			t.Errorf("%s: ReadMarker of an empty repository = %v, %v", name, found, err)
		}
		for epoch := range int64(2) {
			want := govc.Marker{Lineage: "l", Epoch: epoch, Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
			if _, err := c.WriteMarker(t.Context(), want); err != nil {
				t.Fatalf("%s: WriteMarker: %v", name, err)
			}
			if got, found, err := c.ReadMarker(t.Context()); got != want || !found || err != nil {
				t.Errorf("%s: ReadMarker = %+v, %v, %v", name, got, found, err)
			}
		}
		for e, err := range c.List(t.Context()) {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: the marker is listed as %v, %v", name, e.Key, err)
			}
		}
	}
}

func second2[T any](_ T, s string) string { return s }

func TestQuirk18TooLarge(t *testing.T) {
	_, url := startService(t, govcd.Options{})
	var requests atomic.Int64
	c := openClient(t, govc.Options{URL: url, Observe: func(string, time.Duration, error) { requests.Add(1) }})
	requests.Store(0)
	big := newDoc(t, "big", strings.Repeat("x", document.MaxContent))
	binary := newDoc(t, "binary", "")
	binary.Content.Raw = make([]byte, 8<<20) // 10.7 MiB in base64
	escaped := newDoc(t, "escaped", strings.Repeat("\x01", 2<<20))
	for _, d := range []document.Document{big, binary, escaped} {
		if err := c.Fits(d); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), d.ID.String()) {
			t.Errorf("Fits(%s): %v", d.ID, err)
		}
		if _, err := c.Apply(t.Context(), put(newDoc(t, "small", "x"), d)); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("Apply(%s): %v", d.ID, err)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	// The largest text that fits, to the byte, and one more.
	path := keyOf(newDoc(t, "edge", "")).Folder.String() + "/" + document.TextFile
	room := 10<<20 - len(`{"path":"","content":""}`) - len(path)
	edge := newDoc(t, "edge", strings.Repeat("x", room))
	if err := c.Fits(edge); err != nil {
		t.Errorf("Fits at the limit: %v", err)
	}
	if _, err := c.Apply(t.Context(), put(edge)); err != nil {
		t.Errorf("Apply at the limit: %v", err)
	}
	if err := c.Fits(newDoc(t, "edge", strings.Repeat("x", room+1))); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Fits past the limit: %v", err)
	}
}

// TestForeignDocument: what the CAIA Library writes is read, edited in place
// and deleted, whatever the service can do.
func TestForeignDocument(t *testing.T) {
	for name, url := range map[string]string{"ours": second2(startService(t, govcd.Options{})), "plain": startPlain(t)} {
		t.Run(name, func(t *testing.T) {
			c := openClient(t, govc.Options{URL: url})
			d := newDoc(t, "lib-1", "text of the library")
			key := store.NewKey(document.LayoutLibrary, d)
			post := func(path, body string) {
				t.Helper()
				r, err := http.Post(url+"/api/v2/repos/docs"+path, "application/json", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = r.Body.Close() }()
				if text, _ := io.ReadAll(r.Body); r.StatusCode != 201 {
					t.Fatalf("%s: %s", body, text)
				}
			}
			add := func(name, content string) {
				t.Helper()
				encoded, err := json.Marshal(map[string]string{"path": key.Folder.String() + "/" + name, "content": content})
				if err != nil {
					t.Fatal(err)
				}
				post("/files", string(encoded))
			}
			add("metadata.json", `{"id":"lib-1","source":"https://example.invalid/x","created_at":"2026-03-14T15:09:26Z","reviewed":true}`)
			add("text.txt", "text of the library")
			add("raw", "%PDF")
			post("/commits", `{"message":"Add document lib-1"}`)
			http.DefaultClient.CloseIdleConnections()

			got, err := c.Get(t.Context(), key)
			if err != nil || got.Content.Text != "text of the library" || string(got.Content.Raw) != "%PDF" || got.Source.URL != "https://example.invalid/x" || got.Source.Type.String() != "text" {
				t.Fatalf("Get = %+v, %v", got, err)
			}
			got.Content.Text, got.Content.Raw = "edited", nil
			if _, err := c.Apply(t.Context(), store.Batch{Ops: []store.Op{{ID: "o", Key: key, Doc: &got}}, Author: store.Author{Name: "Two\nLines <x>", Email: "a@b.c"}}); err != nil {
				t.Fatal(err)
			}
			after, err := c.Get(t.Context(), key)
			if err != nil || after.Content.Text != "edited" || after.Content.Raw != nil {
				t.Fatalf("Get after the edit = %+v, %v", after, err)
			}
			if _, err := c.Apply(t.Context(), store.Batch{Ops: []store.Op{{ID: "o2", Key: key}}, Author: store.Author{Name: "A", Email: "a@b.c"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get after the delete: %v", err)
			}
		})
	}
}

// TestDeletionRecord: where nothing can be deleted, the record says what was
// deleted, and that it came back.
func TestDeletionRecord(t *testing.T) {
	url := startPlain(t)
	c := openClient(t, govc.Options{URL: url})
	d := newDoc(t, "a b", "x")
	hash, err := d.Hash()
	if err != nil {
		t.Fatal(err)
	}
	// The record's name is SHA-256("a b").
	const record = "caiatop/deleted/c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65.json"
	read := func() map[string]any {
		t.Helper()
		r, err := http.Get(url + "/api/v2/repos/docs/files?path=" + record)
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer func() { _ = r.Body.Close() }()
		var file struct{ Content string }
		var fields map[string]any
		if err := json.NewDecoder(r.Body).Decode(&file); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(file.Content), &fields); err != nil {
			t.Fatal(err)
		}
		return fields
	}
	apply := func(op store.Op) {
		t.Helper()
		op.Key = keyOf(d)
		b := put()
		b.Ops = []store.Op{op}
		if _, err := c.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	apply(store.Op{ID: "op-1", Doc: &d})
	apply(store.Op{ID: "op-2"})
	if got := read(); got["id"] != "a b" || got["base"] != hash.String() || got["op"] != "op-2" || got["restored"] != nil || got["time"] == nil {
		t.Errorf("the record of the delete is %v", got)
	}
	apply(store.Op{ID: "op-3", Doc: &d})
	if got := read(); got["restored"] != "op-3" || got["base"] != hash.String() {
		t.Errorf("the record after the document came back is %v", got)
	}
}

// TestQuirk15CSRF: a service that wants a token gets a fresh one with every write.
func TestQuirk15CSRF(t *testing.T) {
	var mu sync.Mutex
	valid, issued := map[string]bool{}, 0
	url := between(t, func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/api/v1/auth/csrf-token" {
			issued++
			token := fmt.Sprint("token-", issued)
			valid[token] = true
			_, _ = fmt.Fprintf(w, `{"csrf_token":%q,"expires_in":3600}`, token)
			return true
		}
		token := r.Header.Get("X-CSRF-Token")
		if r.Method == http.MethodGet || valid[token] {
			delete(valid, token)
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"Invalid or missing CSRF token","code":"CSRF_TOKEN_INVALID"}`)
		return true
	})
	c := openClient(t, govc.Options{URL: url})
	for i := range 3 {
		if _, err := c.Apply(t.Context(), put(newDoc(t, fmt.Sprint("d", i), "x"))); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// One lies ready for the next write.
	if issued != 1+3*3+1 || len(valid) != 1 {
		t.Errorf("%d tokens for 10 writes, %d left", issued, len(valid))
	}
}
