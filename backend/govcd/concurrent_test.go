package govcd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// TestAnyMixOfClients: 16 clients add, commit, read, list, ask for status and
// delete on one repository at once. Nothing that was acknowledged is missing,
// no commit is lost from the log.
func TestAnyMixOfClients(t *testing.T) {
	h := withRepo(t, Options{})
	const clients, rounds = 16, 12
	var group sync.WaitGroup
	var mu sync.Mutex
	hashes := map[string]bool{}
	for c := range clients {
		group.Go(func() {
			for i := range rounds {
				path := fmt.Sprintf("documents/t/%d/%d/content.txt", c, i)
				add(t, h, path, path)
				w := ask(t, h, "POST", docs+"/commits", `{"message":"m","author":"A","email":"a@b.c"}`)
				var made commitAnswer
				switch w.Code {
				case 201:
					if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil {
						t.Error(err)
					}
					mu.Lock()
					if hashes[made.Hash] {
						t.Errorf("two commits have the hash %s", made.Hash)
					}
					hashes[made.Hash] = true
					mu.Unlock()
				default:
					want(t, w, 400, "nothing to commit") // another client's commit took it
				}
				want(t, ask(t, h, "GET", docs+"/files?path="+path, ""), 200, path)
				for _, rest := range []string{"/status", "/tree?recursive=true", "/tree", "/commits?limit=5", "", "/commits?path=documents/t"} {
					if w := ask(t, h, "GET", docs+rest, ""); w.Code != http.StatusOK {
						t.Errorf("%s: %d %s", rest, w.Code, w.Body)
					}
				}
				if i%5 == 4 {
					want(t, ask(t, h, "DELETE", docs+"/files?path="+path, ""), 200, "removed")
				}
			}
		})
	}
	group.Wait()
	wantInLog(t, h, hashes)
	for c := range clients {
		for i := range rounds {
			w := ask(t, h, "GET", fmt.Sprintf("%s/folder?path=documents/t/%d/%d", docs, c, i), "")
			if i%5 == 4 {
				want(t, w, 404, "FILE_NOT_FOUND")
			} else {
				want(t, w, 200, "content.txt")
			}
		}
	}
}

// wantInLog commits what is left and looks for acknowledged commits in the log.
func wantInLog(t *testing.T, h http.Handler, hashes map[string]bool) {
	t.Helper()
	ask(t, h, "POST", docs+"/commits", `{"message":"the rest"}`)
	var log logAnswer
	if err := json.Unmarshal(ask(t, h, "GET", docs+"/commits?limit=10000", "").Body.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	for _, c := range log.Commits {
		delete(hashes, c.Hash)
	}
	if len(hashes) > 0 {
		t.Errorf("%d acknowledged commits are missing from the log", len(hashes))
	}
}

// TestRepositoriesComeAndGo: creating and deleting a repository under load ends
// in answers, never in a panic.
func TestRepositoriesComeAndGo(t *testing.T) {
	t.Run("memory", func(t *testing.T) { comeAndGo(t, withRepo(t, Options{}), 50) })
	t.Run("disk", func(t *testing.T) {
		s, h := diskRepo(t)
		comeAndGo(t, h, 10)
		want(t, ask(t, restart(t, s).Handler(), "GET", "/health", ""), 200, "is operational")
	})
}

func comeAndGo(t *testing.T, h http.Handler, rounds int) {
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() {
			for i := range rounds {
				var w interface{ Result() *http.Response }
				switch {
				case c == 0 && i%2 == 0:
					w = ask(t, h, "DELETE", docs, "")
				case c == 0:
					w = ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`)
				case c%2 == 0:
					w = ask(t, h, "POST", docs+"/files", fmt.Sprintf(`{"path":"a/%d","content":"x"}`, i))
				default:
					w = ask(t, h, "POST", docs+"/commits", `{"message":"m"}`)
				}
				if status := w.Result().StatusCode; status >= 500 {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	group.Wait()
}

func FuzzAdd(f *testing.F) {
	for _, seed := range []string{
		"a", "../x", "/abs", ".hidden", "a/./b", "a//b", "a\\b", "C:x", "a\x00b", ".git/config", "a/.GIT/x", "a/git~1", "\u202ea", "a/b/",
		strings.Repeat("d/", 600) + "f", strings.Repeat("n", 256), "caf\xe9",
	} {
		f.Add(seed, "content")
	}
	f.Add("a", "\x00\x01\xff")
	f.Fuzz(func(t *testing.T, path, content string) {
		h := withRepo(t, Options{})
		body, err := json.Marshal(AddFileRequest{Path: path, Content: &content})
		if err != nil {
			t.Fatal(err)
		}
		w := ask(t, h, "POST", docs+"/files", string(body))
		if w.Code >= 500 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if w.Code != 201 {
			return
		}
		commit(t, h, "m")
		stored, err := writablePath(strings.ToValidUTF8(path, "\ufffd"))
		if err != nil {
			t.Fatalf("the service took %q: %v", path, err)
		}
		r := ask(t, h, "GET", docs+"/tree?recursive=true", "")
		var tree struct{ Entries []treeEntry }
		if err := json.Unmarshal(r.Body.Bytes(), &tree); err != nil || len(tree.Entries) != 1 || tree.Entries[0].Path != stored.String() {
			t.Fatalf("tree of %q: %s", path, r.Body)
		}
		if utf8.ValidString(content) {
			want(t, ask(t, h, "GET", docs+"/files?path="+url.QueryEscape(stored.String()), ""), 200, fmt.Sprintf(`"size":%d}`, len(content)))
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{"", "{}", "null", "[]", `{"path":1}`, `{"path":"a","content":"b"}x`, strings.Repeat("[", 20000), `{"message":"\u0000"}`} {
		f.Add(seed, "limit=1&path=a")
	}
	f.Add("{", "path=%zz&limit=99999999999999999999&offset=-1")
	f.Fuzz(func(t *testing.T, body, query string) {
		h := withRepo(t, Options{})
		for _, route := range []string{
			"POST /files", "PUT /files", "POST /commits", "GET /files", "GET /tree", "GET /commits", "GET /folder", "POST /folders", "DELETE /files",
			"POST /batch", "POST /branches", "POST /merge", "POST /tags", "GET /diff", "GET /search",
		} {
			method, path, _ := strings.Cut(route, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, docs+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.RawQuery = query
			w := &discard{header: http.Header{}}
			h.ServeHTTP(w, r)
			if w.status >= 500 {
				t.Fatalf("%s answers %d", route, w.status)
			}
		}
	})
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
