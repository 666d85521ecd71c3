package govc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// The quirks of real services that a client has to live with, by number of the
// list that was made of them. Each holds at both dialects unless it says which.

// eachOther runs a test at every service that is not ours.
func eachOther(t *testing.T, test func(t *testing.T, s emulated)) {
	for name, o := range others {
		t.Run(name, func(t *testing.T) { test(t, emulate(t, o, nil)) })
	}
}

// asked is the JSON answer to a request of somebody else than our client.
func asked(t *testing.T, method, url, body string) map[string]any {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Close = true
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	out := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return out
}

// tour does everything that a client does to a repository.
func tour(t *testing.T, c *govc.Client) {
	t.Helper()
	ctx := t.Context()
	a, b := newDoc(t, "a", "one"), newDoc(t, "b", "two")
	b.Content.Raw = []byte{0, 1, 0xff}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
	}
	must(c.Describe(ctx))
	must(c.EnsureRepo(ctx))
	must(c.WriteMarker(ctx, govc.Marker{Lineage: "l", Epoch: 1}))
	must(c.Apply(ctx, put(a, b)))
	a.Content.Text, b.Content.Raw = "", nil
	must(c.Apply(ctx, put(a, b)))
	must(c.Apply(ctx, store.Batch{Ops: []store.Op{{ID: "x", Key: keyOf(a)}}, Author: put().Author}))
	must(c.Apply(ctx, put(a)))
	must(c.Get(ctx, keyOf(b)))
	must(c.History(ctx, keyOf(b), 10))
	must(c.Tip(ctx))
	must(c.Health(ctx))
	must(c.RepoExists(ctx))
	must(c.Named(ctx, []document.Type{a.Source.Type}))
	for _, err := range c.List(ctx) {
		must(nil, err)
	}
}

// TestQuirk01ProbeTheDialect: the dialects are told apart without a side
// effect, at recorded services and emulated ones, and never mixed.
func TestQuirk01ProbeTheDialect(t *testing.T) {
	want := map[string]string{wiretest.New: "v2", wiretest.NewExplicit: "v2", wiretest.Legacy: "v1"}
	for configuration, dialect := range want {
		r, err := wiretest.NewReplay(configuration)
		if err != nil {
			t.Fatal(err)
		}
		watch := wiretest.NewWatch(r, "caiatop")
		info, err := newClient(t, govc.Options{URL: serve(t, watch.ServeHTTP)}).Describe(t.Context())
		if err != nil || info.Dialect != dialect || !strings.Contains(info.Reason, "limit=0") || info.Version != "1.0.0-dev" || len(info.Capabilities) > 0 {
			t.Errorf("%s: Describe = %+v, %v", configuration, info, err)
		}
		for _, q := range watch.Asked() {
			if !strings.HasPrefix(q, "GET ") || strings.Contains(q, "docs") {
				t.Errorf("%s: the probe asked %s", configuration, q)
			}
		}
	}
	_, url := startService(t, govcd.Options{})
	info, err := newClient(t, govc.Options{URL: url}).Describe(t.Context())
	if err != nil || info.Dialect != govc.DialectV2 || !strings.Contains(info.Reason, govcd.Implementation) {
		t.Errorf("ours: %+v, %v", info, err)
	}
	eachOther(t, func(t *testing.T, s emulated) {
		c := newClient(t, govc.Options{URL: s.url})
		tour(t, c)
		info, err := c.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range s.watch.Asked() {
			if strings.Contains(q, "/docs") && !strings.Contains(q, "/api/"+info.Dialect+"/") {
				t.Errorf("at a service of %s it asked %s", info.Dialect, q)
			}
		}
	})
}

// TestQuirk01TooOldAService: what answers the probe as LEGACY does and has no
// API v2 is refused by name, before anything is written.
func TestQuirk01TooOldAService(t *testing.T) {
	var wrote bool
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		wrote = wrote || r.Method != http.MethodGet
		if strings.HasPrefix(r.URL.Path, "/api/v2") {
			http.NotFound(w, r) // text/plain
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"repository not found: no-such-repo","code":"REPO_NOT_FOUND"}`)
	})
	c := newClient(t, govc.Options{URL: url})
	for what, err := range map[string]error{
		"Describe": second(c.Describe(t.Context())), "EnsureRepo": second(c.EnsureRepo(t.Context())), "Apply": second(c.Apply(t.Context(), put(newDoc(t, "a", "")))),
	} {
		var wrong *govc.NotGovcError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "98ae706") || !strings.Contains(err.Error(), "caiatop server") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if wrote {
		t.Error("something was written to it")
	}
}

// TestQuirk02OneWriterARepository: from the first addition to the commit
// nobody else of this process writes, and nothing is asked beside it that ends
// a service.
func TestQuirk02OneWriterARepository(t *testing.T) {
	eachOther(t, func(t *testing.T, s emulated) {
		openClient(t, govc.Options{URL: s.url})
		var group sync.WaitGroup
		for n := range 4 {
			c := newClient(t, govc.Options{URL: s.url})
			group.Go(func() {
				for i := range 4 {
					d := newDoc(t, fmt.Sprintf("doc-%d-%d", n, i), "text")
					if receipt, err := c.Apply(t.Context(), put(d)); err != nil || receipt.Commit == "" {
						t.Errorf("Apply = %+v, %v", receipt, err)
					}
					if _, err := c.Get(t.Context(), keyOf(d)); err != nil {
						t.Errorf("Get: %v", err)
					}
					if _, err := c.Health(t.Context()); err != nil {
						t.Errorf("Health: %v", err)
					}
					if exists, err := c.RepoExists(t.Context()); !exists || err != nil {
						t.Errorf("RepoExists = %v, %v", exists, err)
					}
				}
			})
		}
		group.Wait()
	})
}

// TestQuirk03NoReadAtARef: such a read beside a writer hides and loses files,
// so none is ever made.
func TestQuirk03NoReadAtARef(t *testing.T) {
	s := emulate(t, others["legacy"], nil)
	tour(t, newClient(t, govc.Options{URL: s.url}))
	for _, q := range s.watch.Asked() {
		if strings.Contains(q, "ref=") {
			t.Error(q)
		}
	}
}

// TestQuirk04ReadBack: a commit that was answered 201 need not hold what was
// sent, so it is read back.
func TestQuirk04ReadBack(t *testing.T) {
	for name, o := range others {
		t.Run(name, func(t *testing.T) {
			d, foreign := newDoc(t, "a", "ours"), ""
			var s emulated
			s = emulate(t, o, func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/commit") && r.Method == http.MethodPost && foreign != "" {
					body := `{"path":"` + keyOf(d).Folder.String() + `/content.txt","content":"` + foreign + `"}`
					at := strings.Replace(strings.Replace(r.URL.Path, "/commits", "/files", 1), "/commit", "/add", 1)
					other := httptest.NewRequest(http.MethodPost, at, strings.NewReader(body))
					s.ServeHTTP(httptest.NewRecorder(), other)
				}
				return false
			})
			c := openClient(t, govc.Options{URL: s.url})
			foreign = "theirs"
			if _, err := c.Apply(t.Context(), put(d)); !errors.Is(err, store.ErrConflict) {
				t.Errorf("Apply: %v, want ErrConflict", err)
			}
			foreign = "ours"
			if _, err := c.Apply(t.Context(), put(d)); err != nil {
				t.Errorf("Apply: %v", err)
			}
		})
	}
}

// TestQuirk04ForeignCommit: another client's commit takes what we staged. Ours
// answers "nothing to commit" in NEW and is empty in LEGACY; the batch is done.
func TestQuirk04ForeignCommit(t *testing.T) {
	for name, o := range others {
		t.Run(name, func(t *testing.T) {
			var s emulated
			s = emulate(t, o, func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/commit") && r.Method == http.MethodPost {
					other := httptest.NewRequest(http.MethodPost, r.URL.Path, strings.NewReader(`{"message":"theirs","author":"B","email":"b@c.d"}`))
					s.ServeHTTP(httptest.NewRecorder(), other)
				}
				return false
			})
			c := openClient(t, govc.Options{URL: s.url})
			d := newDoc(t, "a", "x")
			if _, err := c.Apply(t.Context(), put(d)); err != nil {
				t.Errorf("Apply: %v", err)
			}
			if _, err := c.Get(t.Context(), keyOf(d)); err != nil {
				t.Errorf("Get: %v", err)
			}
		})
	}
}

// TestQuirk05AuthorAndEmail are always given and never what ends a log.
func TestQuirk05AuthorAndEmail(t *testing.T) {
	eachOther(t, func(t *testing.T, s emulated) {
		c := openClient(t, govc.Options{URL: s.url})
		for i, author := range []store.Author{{Name: "Zoë <z>\nx", Email: "z@x.org"}, {Name: "<>", Email: "\n"}, {}} {
			b := put(newDoc(t, fmt.Sprint("d", i), "x"))
			b.Author = author
			if _, err := c.Apply(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		log := asked(t, http.MethodGet, s.url+logPath(c, t), "")["commits"].([]any)
		if len(log) != 3 {
			t.Fatalf("the log has %d commits, want 3", len(log))
		}
		oldest, newest := log[2].(map[string]any), log[0].(map[string]any)
		if oldest["author"] != "Zoë zx" || oldest["email"] != "z@x.org" || newest["author"] != "caiatop" || newest["email"] != "caiatop@localhost" {
			t.Errorf("the authors are %v and %v", oldest, newest)
		}
	})
}

func logPath(c *govc.Client, t *testing.T) string {
	t.Helper()
	info, err := c.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return "/api/" + info.Dialect + "/repos/docs/" + map[string]string{"v1": "log", "v2": "commits"}[info.Dialect]
}

// TestQuirk06ASCIIMessages: what no service takes in a message is replaced.
func TestQuirk06ASCIIMessages(t *testing.T) {
	eachOther(t, func(t *testing.T, s emulated) {
		c := openClient(t, govc.Options{URL: s.url})
		b := put(newDoc(t, "zürich ✓", "x"))
		b.Trailers = []store.Trailer{{Key: "Op-Id", Value: "ü\x01"}}
		if _, err := c.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		newest := asked(t, http.MethodGet, s.url+logPath(c, t), "")["commits"].([]any)[0].(map[string]any)
		if newest["message"] != "Put document z?rich ?\n\nOp-Id: ??\n" {
			t.Errorf("the message is %q", newest["message"])
		}
	})
}

// TestQuirk07EmptyAndBinaryContent: no service takes the one or keeps the
// other; both come back byte for byte.
func TestQuirk07EmptyAndBinaryContent(t *testing.T) {
	eachOther(t, func(t *testing.T, s emulated) {
		c := openClient(t, govc.Options{URL: s.url})
		controls := strings.Repeat("\x01", 31) + strings.Repeat("a", 69) // NEW answers it in base64
		for i, content := range []document.Content{
			{}, {Text: "a\x00b"}, {Raw: []byte("caf\xe9\x00\xff")}, {Raw: []byte{}}, {Text: controls}, {Text: "\ufeffx\r\n\u2028\ufffd"},
		} {
			d := newDoc(t, fmt.Sprint("d", i), "")
			d.Content = content
			if _, err := c.Apply(t.Context(), put(d)); err != nil {
				t.Errorf("%q: %v", content, err)
				continue
			}
			got, err := c.Get(t.Context(), keyOf(d))
			if err != nil || got.Content.Text != content.Text || string(got.Content.Raw) != string(content.Raw) {
				t.Errorf("%q came back as %q, %v", content, got.Content, err)
			}
		}
	})
}

// TestQuirk08Paths: what one dialect refuses and the other takes and then
// cannot read is sent to neither.
func TestQuirk08Paths(t *testing.T) {
	for _, path := range []string{"../x", "a/../b", "/abs", "a//b", "./a", "a\x00b", "a/", ""} {
		if _, err := document.ParsePath(path); err == nil {
			t.Errorf("the path %q can be made", path)
		}
	}
	eachOther(t, func(t *testing.T, s emulated) {
		c := openClient(t, govc.Options{URL: s.url})
		before := len(s.watch.Asked())
		for _, path := range []string{".hidden/x", "a:b/x", ".x"} {
			folder, err := document.ParsePath(path)
			if err != nil {
				t.Fatal(err)
			}
			b := put(newDoc(t, "a", "x"))
			b.Ops[0].Key.Folder = folder
			var refused *govc.RefusedError
			if _, err := c.Apply(t.Context(), b); !errors.As(err, &refused) || refused.Code != "INVALID_FILE_PATH" {
				t.Errorf("%s: %v", path, err)
			}
		}
		if asked := s.watch.Asked(); len(asked) != before {
			t.Errorf("something was sent: %q", asked[before:])
		}
	})
}

// TestQuirk09FilesInURLs (LEGACY): a name with "files" in it, the repository's
// included, makes a path that the service checks as another one.
func TestQuirk09FilesInURLs(t *testing.T) {
	s := emulate(t, others["legacy"], nil)
	c := openClient(t, govc.Options{URL: s.url, Repo: "myfiles"})
	d := newDoc(t, "profiles {x} 100%+#?&", "one")
	d.Content.Raw = []byte("raw")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	d.Content = document.Content{Text: "two"}
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), keyOf(d)); err != nil || got.Content.Text != "two" || got.Content.Raw != nil {
		t.Errorf("Get = %+v, %v", got, err)
	}
	listed := 0
	for _, err := range c.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed++
	}
	if exists, err := c.RepoExists(t.Context()); !exists || err != nil || listed != 1 {
		t.Errorf("RepoExists = %v, %v; %d documents", exists, err, listed)
	}
	if _, err := c.Apply(t.Context(), store.Batch{Ops: []store.Op{{Key: keyOf(d)}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after the delete: %v", err)
	}
	if !slices.ContainsFunc(s.watch.Asked(), func(q string) bool { return strings.HasPrefix(q, "DELETE ") && strings.Contains(q, "path=ok") }) {
		t.Error("nothing was removed by a path with files in it")
	}
}

// TestQuirk09LoginInARepositoryName: five writes to it lock the address out.
func TestQuirk09LoginInARepositoryName(t *testing.T) {
	eachOther(t, func(t *testing.T, s emulated) {
		var refused *govc.RefusedError
		if _, err := newClient(t, govc.Options{URL: s.url, Repo: "login-data"}).EnsureRepo(t.Context()); !errors.As(err, &refused) {
			t.Errorf("EnsureRepo: %v", err)
		}
	})
	_, url := startService(t, govcd.Options{})
	openClient(t, govc.Options{URL: url, Repo: "login-data"})
}
