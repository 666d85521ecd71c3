package govcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
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
	syncs := func(n int) int {
		var group []*sent
		for i := range n {
			group = append(group, batchRequest(fmt.Sprintf("d%d/%d", n, i), "x"))
		}
		before := d.Count(powercut.Sync)
		together(t, s, group, nil)
		after := d.Count(powercut.Sync)
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
	if many > one+2 { // the maintenance may sync something, too
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
	fsck(t, s.disk.path("docs"))
}

// TestEveryFaultOfTheDiskIsAnswered: whichever change of the disk fails while a
// group is made, those in it are told by name, reading goes on, what was staged
// is staged, and the same requests are made once each when the disk works
// again. What was acknowledged is there after a power cut.
func TestEveryFaultOfTheDiskIsAnswered(t *testing.T) {
	stride := 4
	if raced {
		stride = 13
	}
	if soakRounds(t) > 0 {
		stride = 1
	}
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		n := 1
		for ; faultAt(t, powercut.Fault{Kind: powercut.Change, N: n, Err: errno}); n += stride {
		}
		if n < 10 {
			t.Errorf("a group changes the disk %d times only", n)
		}
	}
	for n := 1; faultAt(t, powercut.Fault{Kind: powercut.SyncDir, N: n, Err: syscall.EIO}); n++ {
	}
}

// faultAt has one change of the disk fail, and reports whether it did.
func faultAt(t *testing.T, f powercut.Fault) bool {
	t.Helper()
	d := powercut.New()
	s, h := onPower(t, d)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("before", "1"))), 201, `"hash"`)
	add(t, h, "staged", "1")
	requests := func() []*sent {
		group := []*sent{
			batchRequest("x", "1", headerKey, "kx"),
			{method: "POST", path: docs + "/commits", body: `{"message":"m","author":"A"}`, headers: []string{headerKey, "ks"}},
			batchRequest("y", "1", headerKey, "ky"),
		}
		return group
	}
	group := requests()
	together(t, s, group, func() { d.Fail(f) })
	failed := d.Mend()
	for i, q := range group {
		code := decode[failure](t, q.answer).Code
		switch {
		case q.answer.Code == 201:
		case failed && f.Err == syscall.ENOSPC && q.answer.Code == 507 && code == "DISK_FULL":
		case failed && q.answer.Code == 500 && (code == "INTERNAL_ERROR" || code == "NOT_DURABLE"):
		default:
			t.Errorf("%v: request %d answers %d %s", f, i, q.answer.Code, q.answer.Body)
		}
	}
	want(t, ask(t, h, "GET", docs+"/files?path=before", ""), 200, `"1"`)
	want(t, ask(t, h, "GET", docs+"/files?path=staged", ""), 200, `"1"`)
	again := requests()
	together(t, s, again, nil)
	hashes := map[string]struct{}{}
	for i, q := range again {
		want(t, q.answer, 201, `"hash"`)
		hash := decode[commitAnswer](t, q.answer).Hash
		hashes[hash] = struct{}{}
		if was := group[i].answer; was.Code == 201 && decode[commitAnswer](t, was).Hash != hash {
			t.Errorf("%v: request %d was made twice", f, i)
		}
	}
	if len(hashes) != len(again) {
		t.Errorf("%v: %d commits of %d requests", f, len(hashes), len(again))
	}
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":4`)
	wantAfterCut(t, d, hashes)
	return failed
}

// wantAfterCut looks for commits on what a power cut leaves of a disk.
func wantAfterCut(t *testing.T, d *powercut.Disk, hashes map[string]struct{}) {
	t.Helper()
	s, h := onPower(t, d.Cut(rand.New(rand.NewPCG(1, 2))))
	log := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits", ""))
	for _, c := range log.Commits {
		delete(hashes, c.Hash)
	}
	if len(hashes) > 0 || len(log.Commits) != 4 {
		t.Errorf("%d acknowledged commits of %d are lost", len(hashes), len(log.Commits))
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// cramped is a disk on which no file may grow beyond a limit.
type cramped struct {
	durable.FS
	limit *atomic.Int64 // in bytes
}

type crampedFile struct {
	durable.Handle
	limit *atomic.Int64
	size  int64
}

func (c cramped) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	return &crampedFile{Handle: f, limit: c.limit}, err
}

func (f *crampedFile) Write(p []byte) (int, error) {
	if f.size += int64(len(p)); f.size > f.limit.Load() {
		return 0, syscall.ENOSPC
	}
	return f.Handle.Write(p)
}

// TestACommitThatIsTooMuchForTheDisk fails alone: those that came with it are
// made.
func TestACommitThatIsTooMuchForTheDisk(t *testing.T) {
	limit := &atomic.Int64{}
	limit.Store(1 << 15)
	s := newService(t, Options{Data: powerData, Volume: durable.Volume{FS: cramped{powercut.New(), limit}}})
	if _, err := s.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, send(t, h, "POST", docs+"/files", `{"path":"large","content":"`+strings.Repeat("x", 1<<16)+`"}`, headerStage, "l"), 201, "added")
	group := []*sent{
		batchRequest("small/1", "1"),
		{method: "POST", path: docs + "/commits", body: `{"message":"m"}`, headers: []string{headerStage, "l"}},
		batchRequest("small/2", "1"),
	}
	together(t, s, group, nil)
	for i, status := range []int{201, 507, 201} {
		if got := group[i].answer; got.Code != status {
			t.Errorf("%d answers %d %s", i, got.Code, got.Body)
		}
	}
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":2`)
	limit.Store(1 << 20)
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`, headerStage, "l"), 201, `"hash"`)
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
