package govcd

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

// onDisk opens a service with its repositories in a folder.
func onDisk(t testing.TB, dir string) *Service {
	t.Helper()
	s := newService(t, Options{Data: dir})
	if _, err := s.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// diskRepo returns a service on disk with the repository "docs".
func diskRepo(t testing.TB) (*Service, http.Handler) {
	t.Helper()
	s := onDisk(t, t.TempDir())
	want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, `"id":"docs"`)
	return s, s.Handler()
}

// restart stops a service as the end of its process does, and opens its folder
// again.
func restart(t testing.TB, s *Service) *Service {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return onDisk(t, s.disk.data)
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Gil", "GIT_AUTHOR_EMAIL=gil@example.org", "GIT_COMMITTER_NAME=Gil", "GIT_COMMITTER_EMAIL=gil@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// fsck lets git judge a repository.
func fsck(t testing.TB, dir string) {
	t.Helper()
	if out := git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "error") || strings.Contains(out, "missing") {
		t.Errorf("git fsck: %s", out)
	}
}

// stopAndFsck lets git look at what a service has left: the maintenance takes no
// pack away from it meanwhile.
func stopAndFsck(t testing.TB, s *Service, id string) {
	t.Helper()
	path := s.disk.path(id)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	fsck(t, path)
}

func TestARestartKeepsEverything(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	want(t, ask(t, h, "GET", "/version", ""), 200, `"durable":true`)
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs","memory_only":true}`), 201, `"durable":true`)
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"empty"}`), 201, `"path":"`+s.disk.path("empty")+`"`)
	batch := batchOf(put("d/a", "one"), put("b", ""), `{"op":"delete","path":"none"}`)
	first := send(t, h, "POST", docs+"/batch", batch, headerKey, "k1")
	want(t, first, 201, `"hash"`)
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side/one"}`), 201, "side")
	add(t, h, "d/c", "two")
	second := send(t, h, "POST", docs+"/commits", `{"message":"second","author":"Ann","email":"ann@example.org"}`, headerKey, "k2")
	want(t, second, 201, `"hash"`)
	want(t, send(t, h, "POST", docs+"/batch?branch=side/one", batchOf(put("s", "three"))), 201, `"hash"`)
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"v1","message":"first"}`), 201, "v1")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side/one"}`), 200, `"hash"`)
	add(t, h, "staged", "is lost")
	asked := []string{
		docs, docs + "/commits?limit=100", docs + "/commits?branch=side/one", docs + "/tree?recursive=true&view=committed",
		docs + "/branches", docs + "/tags", docs + "/files?path=d/a", docs + "/files?path=s", "/api/v2/repos/empty",
	}
	before := map[string]string{}
	for _, path := range asked {
		before[path] = ask(t, h, "GET", path, "").Body.String()
	}
	if s.stored.Load() <= 0 {
		t.Error("what is staged is not counted")
	}
	again := restart(t, s)
	want(t, ask(t, h, "GET", docs, ""), 503, "SERVICE_STOPPED")
	want(t, ask(t, h, "GET", "/api/v2/repos", ""), 503, "SERVICE_STOPPED")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 503, "SERVICE_STOPPED")
	want(t, ask(t, h, "DELETE", docs, ""), 503, "SERVICE_STOPPED")
	h = again.Handler()
	for _, path := range asked {
		if got := ask(t, h, "GET", path, ""); got.Code != 200 || got.Body.String() != before[path] {
			t.Errorf("%s answers %d %s\nbefore %s", path, got.Code, got.Body, before[path])
		}
	}
	want(t, ask(t, h, "GET", docs+"/files?path=staged", ""), 404, "FILE_NOT_FOUND")
	want(t, ask(t, h, "GET", "/api/v2/repos", ""), 200, `"count":2`)
	w := send(t, h, "POST", docs+"/batch", batch, headerKey, "k1")
	if got, was := decode[batchAnswer](t, w), decode[batchAnswer](t, first); w.Header().Get(headerReplayed) != "true" || got.Hash != was.Hash {
		t.Errorf("key k1 answers %d %s", w.Code, w.Body)
	}
	w = send(t, h, "POST", docs+"/commits", `{"message":"second","author":"Ann","email":"ann@example.org"}`, headerKey, "k2")
	if got, was := decode[commitAnswer](t, w), decode[commitAnswer](t, second); w.Header().Get(headerReplayed) != "true" || got.Hash != was.Hash {
		t.Errorf("key k2 answers %d %s", w.Code, w.Body)
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "four"))), 201, `"hash"`)
	for _, id := range []string{"docs", "empty"} {
		fsck(t, again.disk.path(id))
	}
	if log := git(t, again.disk.path("docs"), "log", "--format=%an %s", "main"); !strings.Contains(log, "Ann second") {
		t.Errorf("git log: %s", log)
	}
}

// TestAStoppedServiceStartsAgain with all that it had.
func TestAStoppedServiceStartsAgain(t *testing.T) {
	s := newService(t, Options{Data: t.TempDir()})
	for i, status := range []int{201, 409} {
		url, err := s.Start("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post(url+"/api/v2/repos", "application/json", strings.NewReader(`{"id":"docs"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != status {
			t.Errorf("start %d answers %s, %v", i, answer.Status, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestStopIsBounded, also where a request is held by a disk that does not answer.
func TestStopIsBounded(t *testing.T) {
	s := New(Options{Data: t.TempDir(), Grace: time.Millisecond})
	if _, err := s.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	_, release, err := s.repo("docs")
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ended); err == nil || !strings.Contains(err.Error(), "do not end") {
		t.Errorf("Stop: %v", err)
	}
	if _, err := LockData(s.disk.data); !errors.As(err, new(*durable.LockedError)) {
		t.Errorf("the folder is given away while it is used: %v", err)
	}
	release()
	for { // what was left behind ends
		lock, err := LockData(s.disk.data)
		if err == nil {
			if err := lock.Release(); err != nil {
				t.Error(err)
			}
			return
		}
		runtime.Gosched()
	}
}

func TestOneServiceAFolder(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir)
	if _, err := Open(t.Context(), Options{Data: dir}); !errors.As(err, new(*durable.LockedError)) {
		t.Errorf("a second service: %v", err)
	}
	if _, err := New(Options{Data: dir}).Start("127.0.0.1:0"); !errors.As(err, new(*durable.LockedError)) {
		t.Errorf("a second service: %v", err)
	}
	if _, err := LockData(dir); !errors.As(err, new(*durable.LockedError)) {
		t.Errorf("a second process: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	lock, err := LockData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Data: dir}); !errors.As(err, new(*durable.LockedError)) {
		t.Errorf("beside its caller: %v", err)
	}
	mine, err := Open(t.Context(), Options{Data: dir, Lock: lock})
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := LockData(dir); !errors.As(err, new(*durable.LockedError)) {
		t.Errorf("the service gave back its caller's lock: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

// TestARepositoryWithoutOurBranchIsNoEmptyOne: what was put into the folder and
// has its history on another branch is not served as if it had none.
func TestARepositoryWithoutOurBranchIsNoEmptyOne(t *testing.T) {
	s := onDisk(t, t.TempDir())
	want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, send(t, s.Handler(), "POST", docs+"/batch", batchOf(put("a", "1"))), 201, `"hash"`)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	heads := filepath.Join(s.disk.path("docs"), "refs", "heads")
	if err := os.Rename(filepath.Join(heads, "main"), filepath.Join(heads, "master")); err != nil {
		t.Fatal(err)
	}
	s = onDisk(t, s.disk.data)
	want(t, ask(t, s.Handler(), "GET", docs+"/commits", ""), 503, "REPO_UNAVAILABLE")
	want(t, send(t, s.Handler(), "POST", docs+"/batch", batchOf(put("a", "2"))), 503, "REPO_UNAVAILABLE")
	want(t, ask(t, s.Handler(), "GET", "/health", ""), 200, `1 repositories cannot be opened`)
	if err := errors.Join(s.Stop(t.Context()), os.Rename(filepath.Join(heads, "master"), filepath.Join(heads, "main"))); err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, onDisk(t, s.disk.data).Handler(), "GET", docs+"/files?path=a", ""), 200, `"1"`)
}

// TestABrokenRepositoryLeavesTheOthers served, and can be deleted.
func TestABrokenRepositoryLeavesTheOthers(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	for _, id := range []string{"docs", "half", "spoilt"} {
		want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`), 201, id)
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 201, `"hash"`)
	half, spoilt := s.disk.path("half"), s.disk.path("spoilt")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// All that half had is gone, as on a disk that is not mounted.
	if err := errors.Join(os.RemoveAll(half), os.Mkdir(half, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spoilt, "refs", "heads", "main"), bytes.Repeat([]byte{'x'}, 41), 0o644); err != nil {
		t.Fatal(err)
	}
	// None of these is a repository.
	if err := errors.Join(os.WriteFile(s.disk.path("file"), nil, 0o644), os.Mkdir(s.disk.path(".hidden"), 0o755)); err != nil {
		t.Fatal(err)
	}
	s = onDisk(t, s.disk.data)
	h = s.Handler()
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, `"1"`)
	list := ask(t, h, "GET", "/api/v2/repos", "")
	want(t, list, 200, `"count":3`)
	if n := strings.Count(list.Body.String(), `"error":"it cannot be opened`); n != 2 {
		t.Errorf("%d are listed as broken: %s", n, list.Body)
	}
	want(t, ask(t, h, "GET", "/health", ""), 200, `2 repositories cannot be opened`)
	for _, id := range []string{"half", "spoilt"} {
		repo := "/api/v2/repos/" + id
		want(t, ask(t, h, "GET", repo, ""), 503, "REPO_UNAVAILABLE")
		want(t, send(t, h, "POST", repo+"/batch", batchOf(put("a", "1"))), 503, "REPO_UNAVAILABLE")
		want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`), 409, "REPO_EXISTS")
		want(t, ask(t, h, "DELETE", repo, ""), 200, "deleted")
		want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`), 201, id)
	}
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"file"}`), 409, "REPO_EXISTS")
	want(t, ask(t, restart(t, s).Handler(), "GET", "/health", ""), 200, "is operational")
}

// TestWhatADeadProcessLeft of making and dropping repositories is cleared up.
func TestWhatADeadProcessLeft(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"gone"}`), 201, "gone")
	root := s.disk.root()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(
		os.MkdirAll(filepath.Join(root, madePrefix+"x", "objects", "pack"), 0o755),
		os.WriteFile(filepath.Join(root, madePrefix+"x", "config"), nil, 0o444),
		os.Rename(filepath.Join(root, "gone.git"), filepath.Join(root, droppedPrefix+"gone-x")),
	)
	if err != nil {
		t.Fatal(err)
	}
	s = onDisk(t, s.disk.data)
	want(t, ask(t, s.Handler(), "GET", "/api/v2/repos", ""), 200, `"count":1`)
	want(t, ask(t, s.Handler(), "DELETE", docs, ""), 200, "deleted")
	want(t, ask(t, s.Handler(), "GET", docs, ""), 404, "REPO_NOT_FOUND")
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	want(t, ask(t, restart(t, s).Handler(), "GET", "/api/v2/repos", ""), 200, `"count":0`)
}

// TestIDsThatDifferInCase would share a folder on some machines.
func TestIDsThatDifferInCase(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"Docs"}`), 201, "Docs")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 409, "REPO_EXISTS")
	want(t, ask(t, h, "GET", docs, ""), 404, "REPO_NOT_FOUND")
	h = restart(t, s).Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"DOCS"}`), 409, "REPO_EXISTS")
	want(t, ask(t, h, "GET", "/api/v2/repos/Docs", ""), 200, `"id":"Docs"`)
	want(t, ask(t, h, "DELETE", "/api/v2/repos/Docs", ""), 200, "deleted")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
}

// TestAPushFromOutside into the folder is noticed by the next commit, and built
// upon by the one after.
func TestAPushFromOutside(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 201, `"hash"`)
	work := filepath.Join(t.TempDir(), "work")
	git(t, s.disk.data, "clone", "--quiet", s.disk.path("docs"), work)
	if err := os.WriteFile(filepath.Join(work, "pushed"), []byte("by git"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, work, "add", ".")
	git(t, work, "commit", "--quiet", "-m", "outside")
	git(t, work, "push", "--quiet", "origin", "main")
	add(t, h, "b", "2")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m"}`), 409, "BRANCH_MOVED")
	want(t, ask(t, h, "GET", docs+"/files?path=pushed", ""), 200, "by git")
	commit(t, h, "m")
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true&view=committed", ""), 200, `"total":3`)
	stopAndFsck(t, s, "docs")
}

// TestCommitsOnDiskAreNotCounted: what bounds them is the disk, and what is
// staged is given back whatever becomes of it.
func TestCommitsOnDiskAreNotCounted(t *testing.T) {
	s := onDisk(t, t.TempDir())
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	for _, content := range []string{"one", "two"} {
		add(t, h, "a", content)
		want(t, ask(t, h, "PUT", docs+"/files", `{"path":"a","content":"`+content+`"}`), 201, "written")
		add(t, h, "b/c", content)
		want(t, ask(t, h, "DELETE", docs+"/files?path=b", ""), 200, "removed")
		add(t, h, "a", content)
		commit(t, h, "m")
		want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d", content))), 201, `"hash"`)
		want(t, ask(t, h, "POST", docs+"/tags", `{"name":"`+content+`"}`), 201, "tag")
		want(t, ask(t, h, "POST", docs+"/branches", `{"name":"`+content+`"}`), 201, content)
		want(t, send(t, h, "POST", docs+"/batch?branch="+content, batchOf(put("e", content))), 201, `"hash"`)
		want(t, ask(t, h, "POST", docs+"/merge", `{"from":"`+content+`"}`), 200, `"hash"`)
		want(t, ask(t, h, "DELETE", docs+"/branches/"+content, ""), 200, "deleted")
	}
	if n := s.stored.Load(); n != 0 {
		t.Errorf("%d bytes are counted", n)
	}
}
