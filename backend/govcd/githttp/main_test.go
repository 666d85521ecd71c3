package githttp

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ann  = gitrepo.Signature{Name: "Ann Author", Email: "ann@example.org"}
	when = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
)

// always may read.
func always() bool { return true }

// serve answers git for one repository, named r.git.
func serve(t testing.TB, repo Repo, o Options) (url string) {
	t.Helper()
	s := New(o)
	handle := func(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			err := serve(w, r)
			if refused, ok := asRefusal(err); ok {
				http.Error(w, refused.Error(), refused.Status)
			} else if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r.git/info/refs", handle(func(w http.ResponseWriter, r *http.Request) error { return s.Advertise(w, r, repo) }))
	mux.HandleFunc("POST /r.git/git-upload-pack", handle(func(w http.ResponseWriter, r *http.Request) error {
		return s.UploadPack(w, r, repo, always)
	}))
	server := httptest.NewUnstartedServer(mux)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 30*time.Second, 60*time.Second
	server.Start()
	t.Cleanup(server.Close)
	return server.URL + "/r.git"
}

// try runs git, which reads no configuration but that of the command line.
func try(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{ // of the caller's only the path
		"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=" + filepath.Dir(dir), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := try(t, dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

// fsck has git look at all of a clone.
func fsck(t testing.TB, dir string) {
	t.Helper()
	if out, err := try(t, dir, "fsck", "--strict", "--full"); err != nil || strings.Contains(out, "dangling") || strings.Contains(out, "missing") {
		t.Fatalf("git fsck: %v\n%s", err, out)
	}
}

func disked(t testing.TB) (r *gitrepo.Repo, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "repo.git")
	r, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, dir
}

func put(t testing.TB, name, data string) gitrepo.Change {
	t.Helper()
	p, err := document.ParsePath(name)
	if err != nil {
		t.Fatal(err)
	}
	return gitrepo.Change{Path: p, Data: []byte(data)}
}

func commitOn(t testing.TB, r *gitrepo.Repo, branch string, at time.Time, changes ...gitrepo.Change) Hash {
	t.Helper()
	h, err := r.Commit(context.Background(), gitrepo.CommitInput{Branch: branch, Changes: changes, Message: "change", Author: ann, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// docs are documents from one number up to another one, in folders.
func docs(t testing.TB, from, to, version int) []gitrepo.Change {
	t.Helper()
	var out []gitrepo.Change
	for i := from; i < to; i++ {
		text := fmt.Sprintf("{\"id\":%d,\"version\":%d,\"text\":%q}\n", i, version, strings.Repeat(fmt.Sprint("word", i*7919, " "), 20))
		out = append(out, put(t, fmt.Sprintf("docs/%02x/%04d.json", i%64, i), text))
	}
	return out
}

// filled has commits of documents, one every minute.
func filled(t testing.TB, r *gitrepo.Repo, commits, each int) Hash {
	t.Helper()
	var tip Hash
	for i := range commits {
		tip = commitOn(t, r, "", when.Add(time.Duration(i)*time.Minute), docs(t, i*each/2, i*each/2+each, i)...)
	}
	return tip
}
