package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// powerData is the folder of a service whose disk fails when a test wants it.
const powerData = "/data"

// onPower returns a service with the repository "docs" on such a disk.
func onPower(t testing.TB, d *powercut.Disk) (*Service, http.Handler) {
	t.Helper()
	s := newService(t, Options{Data: powerData, Volume: d.Volume()})
	if _, err := s.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.count() == 0 {
		want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	}
	return s, s.Handler()
}

// sent is a request, and its answer.
type sent struct {
	method, path, body string
	headers            []string
	ctx                context.Context //nolint:containedctx // of the request
	answer             *httptest.ResponseRecorder
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// together sends requests for commits that become one group, in their order:
// nobody may commit before all of them wait. meanwhile runs before that ends.
func together(t testing.TB, s *Service, requests []*sent, meanwhile func()) {
	t.Helper()
	r, release, err := s.repo("docs")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	leave, err := r.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	for i, q := range requests {
		go func() {
			defer func() { done <- struct{}{} }()
			request := httptest.NewRequest(q.method, q.path, strings.NewReader(q.body))
			if q.ctx != nil {
				request = request.WithContext(q.ctx)
			}
			for h := range slices.Chunk(q.headers, 2) {
				request.Header.Set(h[0], h[1])
			}
			q.answer = httptest.NewRecorder()
			s.Handler().ServeHTTP(q.answer, request)
		}()
		for r.queue.length() <= i {
			runtime.Gosched()
		}
	}
	if meanwhile != nil {
		meanwhile()
	}
	leave()
	for range requests {
		<-done
	}
}

func batchRequest(path, content string, headers ...string) *sent {
	return &sent{method: "POST", path: docs + "/batch", body: batchOf(put(path, content)), headers: headers}
}

// TestAGroupIsSyncedOnce: commits that come together are commits of their own,
// in the order they came, with one sync for all.
func TestAGroupIsSyncedOnce(t *testing.T) {
	d := powercut.New()
	s, h := onPower(t, d)
	// Those of the journal: packs are made of it in the background.
	var journal atomic.Int64
	d.Before(func(op powercut.Op) {
		if op.Kind == powercut.Sync && strings.Contains(op.Path, "caiatop-journal.") {
			journal.Add(1)
		}
	})
	syncs := func(n int) int64 {
		var group []*sent
		for i := range n {
			group = append(group, batchRequest(fmt.Sprintf("d%d/%d", n, i), "x"))
		}
		before := journal.Load()
		together(t, s, group, nil)
		after := journal.Load()
		log := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits?limit=100", "")).Commits
		for i, q := range group {
			want(t, q.answer, 201, `"hash"`)
			made := decode[batchAnswer](t, q.answer)
			at := log[n-1-i]
			if at.Hash != made.Hash || at.Parent != made.Parent {
				t.Errorf("%d. in the log is %s upon %s, answered was %+v", i, at.Hash, at.Parent, made)
			}
		}
		return after - before
	}
	syncs(2)
	one, many := syncs(1), syncs(32)
	if one == 0 || many > one+2 { // a file of the journal may be begun, and ended
		t.Errorf("a commit takes %d syncs, 32 take %d", one, many)
	}
}

// TestOneOfAGroupFailsAlone, for its own reason, and everybody else's commit is
// what it should be.
func TestOneOfAGroupFailsAlone(t *testing.T) {
	d := powercut.New()
	s, h := onPower(t, d)
	tip := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"), put("f/g", "1")))).Hash
	staged := func(stage, path string, headers ...string) {
		t.Helper()
		want(t, send(t, h, "POST", docs+"/files", `{"path":"`+path+`","content":"staged"}`, append(headers, headerStage, stage)...), 201, "added")
	}
	staged("one", "s/1")
	staged("two", "a", "If-Match", tagOf("1"))
	staged("three", "n")
	gone, cancel := context.WithCancel(t.Context())
	group := []*sent{
		batchRequest("b", "1", "If-Match", `"`+tip+`"`),
		batchRequest("c", "1", "If-Match", `"`+tip+`"`), // the first moved it
		{method: "POST", path: docs + "/commits", body: `{"message":"m","author":"One"}`, headers: []string{headerStage, "one"}},
		{method: "POST", path: docs + "/commits", body: `{"message":"m","author":"One"}`, headers: []string{headerStage, "one"}},
		{method: "POST", path: docs + "/batch", body: batchOf(`{"op":"put","path":"a","content":"2","if_match":"` + tagHash("1") + `"}`)},
		{method: "POST", path: docs + "/commits", body: `{"message":"m"}`, headers: []string{headerStage, "two"}}, // a is another
		{method: "POST", path: docs + "/batch", body: batchOf(put("n/below", "1"))},
		{method: "POST", path: docs + "/commits", body: `{"message":"m"}`, headers: []string{headerStage, "three"}}, // n is a folder
		{method: "POST", path: docs + "/batch", body: batchOf(`{"op":"delete","path":"none"}`)},
		batchRequest("k", "1", headerKey, "key"),
		batchRequest("k", "1", headerKey, "key"),
		batchRequest("k", "2", headerKey, "key"),
		batchRequest("late", "1"),
		{method: "POST", path: docs + "/batch?branch=none", body: batchOf(put("x", "1"))},
		batchRequest("last", "1"),
	}
	group[12].ctx = gone
	together(t, s, group, cancel)
	for i, c := range []struct {
		status int
		part   string
	}{
		{201, "hash"},
		{412, codePrecondition},
		{201, "One"},
		{400, "nothing to commit"},
		{201, "hash"},
		{412, codePrecondition},
		{201, "hash"},
		{409, "MERGE_CONFLICT"},
		{409, "BATCH_FAILED"},
		{201, "hash"},
		{201, "hash"},
		{422, "IDEMPOTENCY_MISMATCH"},
		{503, "CANCELLED"},
		{404, "BRANCH_NOT_FOUND"},
		{201, "hash"},
	} {
		if w := group[i].answer; w.Code != c.status || !strings.Contains(w.Body.String(), c.part) {
			t.Errorf("%d answers %d %s, want %d %s", i, w.Code, w.Body, c.status, c.part)
		}
	}
	if a, b := decode[batchAnswer](t, group[9].answer), decode[batchAnswer](t, group[10].answer); a.Hash != b.Hash || group[10].answer.Header().Get(headerReplayed) != "true" {
		t.Errorf("one key made %s and %s", a.Hash, b.Hash)
	}
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":7`)
	want(t, send(t, h, "GET", docs+"/status", "", headerStage, "two"), 200, `"staged":["a"]`)
	want(t, send(t, h, "GET", docs+"/status", "", headerStage, "three"), 200, `"staged":["n"]`)
	want(t, send(t, h, "GET", docs+"/status", "", headerStage, "one"), 200, `"clean":true`)
	want(t, ask(t, h, "GET", docs+"/files?path=late", ""), 404, "FILE_NOT_FOUND")
}

func tagHash(content string) string { return strings.Trim(tagOf(content), `"`) }

// TestNoAuthorInAGroup: who names none is shown as the author of the commit
// before, also of one that is not on the disk yet.
func TestNoAuthorInAGroup(t *testing.T) {
	s, h := onPower(t, powercut.New())
	add(t, h, "a", "1")
	group := []*sent{
		{method: "POST", path: docs + "/batch", body: `{"message":"m","author":"Ann","email":"ann@b.c","items":[` + put("b", "1") + `]}`},
		{method: "POST", path: docs + "/commits", body: `{"message":"m"}`},
	}
	together(t, s, group, nil)
	want(t, group[1].answer, 201, `"author":"Ann","email":"ann@b.c"`)
	for _, c := range decode[logAnswer](t, ask(t, h, "GET", docs+"/commits", "")).Commits {
		if c.Author != "Ann" {
			t.Errorf("%s is by %s", c.Hash, c.Author)
		}
	}
}

// TestAGroupMeetsAPush from outside: everybody in it is told, nothing is made,
// and what was staged is staged.
func TestAGroupMeetsAPush(t *testing.T) {
	s, h := diskRepo(t)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 201, `"hash"`)
	add(t, h, "b", "2")
	group := []*sent{
		batchRequest("c", "3", headerKey, "k"),
		{method: "POST", path: docs + "/commits", body: `{"message":"m"}`},
		// Refused, had the first been made: it was not.
		{method: "POST", path: docs + "/batch", body: batchOf(`{"op":"put","path":"c","content":"4","if_match":""}`)},
	}
	together(t, s, group, func() {
		work := filepath.Join(t.TempDir(), "work")
		git(t, s.disk.data, "clone", "--quiet", s.disk.path("docs"), work)
		if err := os.WriteFile(filepath.Join(work, "pushed"), []byte("by git"), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, work, "add", ".")
		git(t, work, "commit", "--quiet", "-m", "outside")
		git(t, work, "push", "--quiet", "origin", "main")
	})
	for _, q := range group[:2] {
		want(t, q.answer, 409, "BRANCH_MOVED")
	}
	want(t, group[2].answer, 201, `"hash"`)
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"staged":["b"]`)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("c", "3")), headerKey, "k"), 201, `"hash"`)
	commit(t, h, "m")
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true&view=committed", ""), 200, `"total":4`)
	stopAndFsck(t, s, "docs")
}

// TestAPanicOfOneLeavesTheOthers: nobody waits for ever, and the next commit is
// made.
func TestAPanicOfOneLeavesTheOthers(t *testing.T) {
	s, h := onPower(t, powercut.New())
	r, release, err := s.repo("docs")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	add(t, h, "a", "1")
	_, err = r.inGroup(&job{
		ctx: t.Context(), branch: shared.branch,
		prepare: func(place) (prepared, error) { panic("broken") }, settle: func(turn, error) {},
	})
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the panic ended as %v", err)
	}
	commit(t, h, "m")
	if w := ask(t, h, "GET", docs+"/status", ""); w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}
