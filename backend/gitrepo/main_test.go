package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashVariable); dir != "" {
		crashChild(dir)
	}
	goleak.VerifyTestMain(m)
}

var (
	ann  = Signature{"Ann Author", "ann@example.org"}
	when = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

func path(t testing.TB, s string) document.Path {
	t.Helper()
	p, err := document.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func put(t testing.TB, name, data string) Change {
	t.Helper()
	return Change{Path: path(t, name), Data: []byte(data)}
}

func del(t testing.TB, name string) Change {
	t.Helper()
	return Change{Path: path(t, name), Delete: true}
}

func disked(t testing.TB) (*Repo, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo.git")
	return opened(t, dir), dir
}

func opened(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := OpenDisk(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r
}

func closeRepo(t testing.TB, r *Repo) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func commit(t testing.TB, r *Repo, changes ...Change) Hash {
	t.Helper()
	return commitOn(t, r, "", when, changes...)
}

func commitOn(t testing.TB, r *Repo, branch string, at time.Time, changes ...Change) Hash {
	t.Helper()
	h, err := r.Commit(context.Background(), CommitInput{Branch: branch, Changes: changes, Message: "change", Author: ann, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func wantFile(t testing.TB, r *Repo, at Hash, name, want string) {
	t.Helper()
	got, err := r.ReadFile(context.Background(), at, path(t, name))
	if err != nil || string(got) != want {
		t.Fatalf("%s: %q, %v; want %q", name, got, err, want)
	}
}

func wantNone(t testing.TB, r *Repo, at Hash, name string) {
	t.Helper()
	if got, err := r.ReadFile(context.Background(), at, path(t, name)); !errors.Is(err, ErrNotFound) {
		t.Fatalf("%s: %q, %v; want ErrNotFound", name, got, err)
	}
}

func needGit(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: real git cannot judge the repository")
	}
}

// git runs real git, isolated from the configuration of this machine.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(out, "\n")
}

func tryGit(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Gil", "GIT_AUTHOR_EMAIL=gil@example.org", "GIT_COMMITTER_NAME=Gil", "GIT_COMMITTER_EMAIL=gil@example.org")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// fsck lets real git check the whole repository; not a word is accepted.
func fsck(t testing.TB, dir string) {
	t.Helper()
	needGit(t)
	if out := git(t, dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress"); out != "" {
		t.Fatalf("git fsck: %s", out)
	}
}

// pathRoot is the root folder.
var pathRoot document.Path
