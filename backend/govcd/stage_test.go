package govcd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStagesOfClients(t *testing.T) {
	h := withRepo(t, Options{})
	in := func(stage, method, target, body string) *httptest.ResponseRecorder {
		return send(t, h, method, docs+target, body, headerStage, stage)
	}
	body := func(path, content string) string { return fmt.Sprintf(`{"path":%q,"content":%q}`, path, content) }
	want(t, in("a", "POST", "/files", body("x", "of a")), 201, "added")
	want(t, in("b", "POST", "/files", body("x", "of b")), 201, "added")
	add(t, h, "x", "shared")
	for stage, content := range map[string]string{"a": "of a", "b": "of b"} {
		want(t, in(stage, "GET", "/files?path=x", ""), 200, content)
		want(t, in(stage, "GET", "/status", ""), 200, `"staged":["x"]`)
		want(t, in(stage, "GET", "/tree", ""), 200, `"total":1`)
		want(t, in(stage, "GET", "/tree?recursive=true", ""), 200, `"total":1`)
	}
	want(t, ask(t, h, "GET", docs+"/files?path=x", ""), 200, "shared")
	want(t, in("c", "GET", "/files?path=x", ""), 404, "FILE_NOT_FOUND")
	want(t, in("c", "GET", "/status", ""), 200, `"clean":true`)
	want(t, in("c", "POST", "/commits", `{"message":"m"}`), 400, "nothing to commit")
	want(t, in("a", "POST", "/commits", `{"message":"a"}`), 201, "hash")
	want(t, in("a", "POST", "/commits", `{"message":"a"}`), 400, "nothing to commit")
	want(t, in("b", "GET", "/files?path=x", ""), 200, "of b")
	want(t, in("c", "GET", "/files?path=x", ""), 200, "of a")
	want(t, in("b", "DELETE", "/files?path=x", ""), 200, "removed")
	want(t, in("b", "GET", "/files?path=x", ""), 404, "FILE_NOT_FOUND")
	want(t, in("b", "POST", "/commits", `{"message":"b"}`), 201, "hash")
	want(t, in("c", "GET", "/files?path=x", ""), 404, "FILE_NOT_FOUND")
	want(t, ask(t, h, "GET", docs+"/files?path=x", ""), 200, "shared")
	commit(t, h, "shared")
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":3`)
	for _, bad := range []string{"", " ", "a b", "ä", "a/b", strings.Repeat("a", 65)} {
		want(t, in(bad, "POST", "/files", body("x", "1")), 400, "INVALID_STAGE")
	}
	want(t, in(strings.Repeat("a", 64), "POST", "/files", body("x", "1")), 201, "added")
}

// TestAStagedFileHasNoPlaceAnyMore: others committed a folder where a client
// staged a file, and the other way round. Nothing is overwritten.
func TestAStagedFileHasNoPlaceAnyMore(t *testing.T) {
	h := withRepo(t, Options{})
	mine := func(method, target, body string) *httptest.ResponseRecorder {
		return send(t, h, method, docs+target, body, headerStage, "mine")
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("keep/x", "1"))), 201, "hash")
	for _, p := range []string{"a", "b/c", "keep/y", "keep/x"} {
		want(t, mine("POST", "/files", `{"path":"`+p+`","content":"mine"}`), 201, "added")
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a/1", "theirs"), put("b", "theirs"), put("keep/x", "2"))), 201, "hash")
	want(t, mine("POST", "/commits", `{"message":"m"}`), 409, `"code":"MERGE_CONFLICT","details":{"paths":["a","b/c"]}`)
	want(t, ask(t, h, "GET", docs+"/files?path=a/1", ""), 200, "theirs")
	want(t, mine("GET", "/status", ""), 200, `["a","b/c","keep/x","keep/y"]`)
	want(t, mine("DELETE", "/files?path=a", ""), 200, "removed")
	want(t, mine("DELETE", "/files?path=b", ""), 200, "removed")
	want(t, mine("POST", "/files", `{"path":"a","content":"mine again"}`), 201, "added")
	want(t, mine("POST", "/files", `{"path":"b/c","content":"mine again"}`), 201, "added")
	want(t, mine("POST", "/commits", `{"message":"m"}`), 201, "hash")
	want(t, ask(t, h, "GET", docs+"/files?path=b/c", ""), 200, "mine again")
}

func TestStagesAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newService(t, Options{Now: func() time.Time { return now }})
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	stage := func(i int) *httptest.ResponseRecorder {
		return send(t, h, "POST", docs+"/files", `{"path":"a","content":"x"}`, headerStage, fmt.Sprint(i))
	}
	for i := range MaxAreas {
		want(t, stage(i), 201, "added")
	}
	want(t, stage(MaxAreas), 507, "STAGING_FULL")
	want(t, stage(0), 201, "added")
	add(t, h, "a", "the shared one is not counted")
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`, headerStage, "7"), 201, "hash")
	want(t, stage(MaxAreas), 201, "added")

	now = now.Add(areaIdle)
	want(t, send(t, h, "GET", docs+"/files?path=a", "", headerStage, "3"), 200, `"x"`)
	now = now.Add(1)
	want(t, send(t, h, "GET", docs+"/status", "", headerStage, "4"), 200, `"clean":true`)
	want(t, send(t, h, "GET", docs+"/status", "", headerStage, "3"), 200, `"staged":["a"]`)
	want(t, stage(1000), 201, "added") // and all the others are dropped
	r, release, err := s.repo("docs")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if n := len(r.areas); n != 3 {
		t.Errorf("%d areas are kept", n)
	}
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"staged":["a"]`)
	if one := costOfFile("a", []byte("x")); r.bytes > 6*one+commitCost {
		t.Errorf("%d bytes are counted after areas were dropped", r.bytes)
	}
}

// TestStageThatIsTakenBackIsFree: what a client stages and takes back leaves
// nothing behind.
func TestStageThatIsTakenBackIsFree(t *testing.T) {
	s := newService(t, Options{})
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	for range 3 {
		for _, p := range []string{"d/a", "d/a", "d/b"} {
			want(t, send(t, h, "POST", docs+"/files", `{"path":"`+p+`","content":"x"}`, headerStage, "s"), 201, "added")
		}
		want(t, send(t, h, "DELETE", docs+"/files?path=d", "", headerStage, "s"), 200, "removed")
	}
	if n := s.stored.Load(); n != 0 {
		t.Errorf("%d bytes are counted", n)
	}
}

// made is a commit that was acknowledged, and what it must be.
type made struct {
	author string
	paths  []string
}

// TestNoCommitIsLostMergedOrMisattributed: 32 clients commit to one repository
// at once, with areas of their own, in batches, and through the shared area,
// there one after the other, as it demands. Every acknowledged commit is in
// the log once, by its author, with its files and nothing else; a counter that
// is only written with if_match counts every success.
func TestNoCommitIsLostMergedOrMisattributed(t *testing.T) {
	t.Run("memory", func(t *testing.T) { manyClients(t, withRepo(t, Options{}), 12) })
	t.Run("disk", func(t *testing.T) {
		s, h := diskRepo(t)
		rounds := 12
		if raced {
			rounds = 4
		}
		manyClients(t, h, rounds)
		stopAndFsck(t, s, "docs")
	})
}

func manyClients(t *testing.T, h http.Handler, rounds int) {
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("counter", "0"))), 201, "hash")
	const clients = 32
	var group, turn sync.WaitGroup
	var mu, shared sync.Mutex
	acked := map[string]made{}
	counted := 0
	keep := func(hash, author string, paths ...string) {
		mu.Lock()
		defer mu.Unlock()
		if _, twice := acked[hash]; twice {
			t.Errorf("two commits have the hash %s", hash)
		}
		acked[hash] = made{author, paths}
	}
	turn.Add(1)
	for c := range clients {
		group.Go(func() {
			turn.Wait()
			author := fmt.Sprintf("client-%d", c)
			head := fmt.Sprintf(`"message":"by %s","author":"%s","email":"%s@b.c"`, author, author, author)
			for i := range rounds {
				one, two := fmt.Sprintf("d/%d/%d/a", c, i), fmt.Sprintf("d/%d/%d/b", c, i)
				switch c % 3 {
				case 0:
					counter := bump(t, h, head, c, &mu, &counted)
					keep(counter, author, "counter")
					w := send(t, h, "POST", docs+"/batch", "{"+head+`,"items":[`+put(one, author)+","+put(two, author)+"]}")
					want(t, w, 201, "hash")
					keep(decode[batchAnswer](t, w).Hash, author, one, two)
				case 1:
					for _, p := range []string{one, two} {
						want(t, send(t, h, "POST", docs+"/files", fmt.Sprintf(`{"path":%q,"content":%q}`, p, author), headerStage, author), 201, "added")
					}
					want(t, send(t, h, "GET", docs+"/status", "", headerStage, author), 200, fmt.Sprintf(`"staged":[%q,%q]`, one, two))
					w := send(t, h, "POST", docs+"/commits", "{"+head+"}", headerStage, author)
					want(t, w, 201, "hash")
					keep(decode[commitAnswer](t, w).Hash, author, one, two)
				default:
					shared.Lock()
					add(t, h, one, author)
					w := ask(t, h, "POST", docs+"/commits", "{"+head+"}")
					shared.Unlock()
					want(t, w, 201, "hash")
					keep(decode[commitAnswer](t, w).Hash, author, one)
				}
				want(t, ask(t, h, "GET", docs+"/files?path="+one, ""), 200, author)
			}
		})
	}
	turn.Done()
	group.Wait()
	want(t, ask(t, h, "GET", docs+"/files?path=counter", ""), 200, fmt.Sprintf(`"content":"%d"`, counted))
	wantHistory(t, h, acked)
}

// bump raises the counter with if_match until it succeeds.
func bump(t *testing.T, h http.Handler, head string, client int, mu *sync.Mutex, counted *int) string {
	for {
		w := ask(t, h, "GET", docs+"/files?path=counter&ref=main", "")
		var n int
		if _, err := fmt.Sscan(decode[fileAnswer](t, w).Content, &n); err != nil {
			t.Error(err)
		}
		tag := strings.Trim(w.Header().Get("ETag"), `"`)
		item := fmt.Sprintf(`{"op":"put","path":"counter","content":"%d","if_match":%q}`, n+1, tag)
		w = send(t, h, "POST", docs+"/batch", "{"+head+`,"items":[`+item+"]}")
		if w.Code == http.StatusCreated {
			mu.Lock()
			defer mu.Unlock()
			*counted++
			return decode[batchAnswer](t, w).Hash
		}
		if want(t, w, 409, codePrecondition); w.Code != http.StatusConflict {
			return ""
		}
	}
}

// wantHistory compares the log with what was acknowledged.
func wantHistory(t *testing.T, h http.Handler, acked map[string]made) {
	t.Helper()
	log := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits?limit=10000", ""))
	if len(log.Commits) != len(acked)+1 {
		t.Errorf("%d commits in the log, %d were acknowledged", len(log.Commits)-1, len(acked))
	}
	for i, c := range log.Commits[:len(log.Commits)-1] {
		if c.Parent != log.Commits[i+1].Hash {
			t.Errorf("%s is not built upon the one before", c.Hash)
		}
		m, ok := acked[c.Hash]
		if !ok || c.Author != m.author || c.Message != "by "+m.author {
			t.Errorf("%s is by %q, says %q, and should be by %q", c.Hash, c.Author, c.Message, m.author)
		}
		var paths []string
		for _, f := range decode[diffAnswer](t, ask(t, h, "GET", docs+"/diff?from="+c.Parent+"&to="+c.Hash, "")).Files {
			paths = append(paths, f.Path)
		}
		if !slices.Equal(paths, m.paths) {
			t.Errorf("%s by %s changed %v, should be %v", c.Hash, c.Author, paths, m.paths)
		}
	}
}

// TestOneKeyManyTimes: a request that is sent many times at once is made once.
func TestOneKeyManyTimes(t *testing.T) {
	t.Run("memory", func(t *testing.T) { oneKeyManyTimes(t, withRepo(t, Options{})) })
	t.Run("disk", func(t *testing.T) {
		_, h := diskRepo(t)
		oneKeyManyTimes(t, h)
	})
}

func oneKeyManyTimes(t *testing.T, h http.Handler) {
	var group sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 16 {
		group.Go(func() {
			w := send(t, h, "POST", docs+"/batch", batchOf(put("a", "1")), headerKey, "once")
			mu.Lock()
			defer mu.Unlock()
			answers[w.Body.String()]++
		})
	}
	group.Wait()
	if len(answers) != 1 {
		t.Errorf("different answers: %v", answers)
	}
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":1`)
}

// FuzzHeaders sends any headers and queries to what looks at them.
func FuzzHeaders(f *testing.F) {
	f.Add("If-Match", "*", "branch=main&ref=x")
	f.Add("If-None-Match", `"`+strings.Repeat("a", 40)+`"`, "since=2030-01-01T00:00:00Z&limit=1&after=d/e")
	f.Add("Idempotency-Key", "k", "branch=../x")
	f.Add("X-Stage", "s", "from=main&to=main&patch=true&path=d")
	f.Add("Content-Encoding", "gzip", "q=one+two&limit=0")
	f.Add("X-Stage", "\xff", "ref=%00&since="+strings.Repeat("0", 40))
	f.Fuzz(func(t *testing.T, name, value, query string) {
		h := withRepo(t, Options{})
		want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d/e", "one two"))), 201, "hash")
		for _, route := range []string{
			"POST /files", "PUT /files", "DELETE /files", "GET /files", "GET /folder", "GET /tree", "GET /commits", "POST /commits", "POST /batch",
			"GET /branches", "POST /branches", "DELETE /branches/x", "POST /merge", "GET /tags", "POST /tags", "DELETE /tags/v/1", "GET /diff", "GET /search",
			"GET /status",
		} {
			method, path, _ := strings.Cut(route, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, docs+path,
				strings.NewReader(`{"name":"x","from":"main","message":"m","path":"d/f","content":"c","items":[{"op":"put","path":"g","content":"c"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.RawQuery = query
			r.Header[http.CanonicalHeaderKey(name)] = []string{value}
			w := &discard{header: http.Header{}}
			h.ServeHTTP(w, r)
			if w.status >= 500 && w.status != http.StatusInsufficientStorage {
				t.Fatalf("%s answers %d", route, w.status)
			}
		}
		if !json.Valid(ask(t, h, "GET", docs+"/status", "").Body.Bytes()) {
			t.Fatal("the status is no JSON")
		}
	})
}
