package govcd

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

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

func (f *crampedFile) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.limit.Load() {
		return 0, syscall.ENOSPC
	}
	return f.Handle.(io.WriterAt).WriteAt(p, at)
}

// TestACommitThatIsTooMuchForTheDisk fails alone: those that came with it are
// made. That holds for the first commits, which make a branch, and for later
// ones, which go by the journal.
func TestACommitThatIsTooMuchForTheDisk(t *testing.T) {
	t.Run("first", func(t *testing.T) { tooMuchForTheDisk(t, 0) })
	t.Run("later", func(t *testing.T) { tooMuchForTheDisk(t, 1) })
}

func tooMuchForTheDisk(t *testing.T, before int) {
	t.Helper()
	limit := &atomic.Int64{}
	limit.Store(1 << 20)
	s := newService(t, Options{Data: powerData, Volume: durable.Volume{FS: cramped{powercut.New(), limit}}})
	if _, err := s.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, send(t, h, "POST", docs+"/files", `{"path":"large","content":"`+strings.Repeat("x", 3<<19)+`"}`, headerStage, "l"), 201, "added")
	for range before {
		want(t, send(t, h, "POST", docs+"/batch", batchOf(put("before", "1"))), 201, `"hash"`)
	}
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
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, fmt.Sprintf(`"total":%d`, before+2))
	limit.Store(1 << 22)
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`, headerStage, "l"), 201, `"hash"`)
}

// TestADeletedFolderIsCalledHealthy: what is open is still read, but nothing can
// be written, and a restart would find nothing.
func TestADeletedFolderIsCalledHealthy(t *testing.T) {
	s, h := diskRepo(t)
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy"`)
	if err := os.RemoveAll(s.disk.path("docs")); err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, h, "GET", "/health", ""), 503, "The folders of 1 repositories are gone")
	want(t, ask(t, h, "GET", "/api/v2/repos", ""), 200, `"error":"the folder of the repository is gone`)
	want(t, ask(t, h, "POST", "/api/v2/repos/docs/batch", `{"message":"m","items":[{"op":"put","path":"a","content":"x"}]}`), 503, `put it back, or to delete the repository","code":"REPO_UNAVAILABLE"`)
	want(t, ask(t, h, "DELETE", "/api/v2/repos/docs", ""), 200, "")
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy"`)
}
