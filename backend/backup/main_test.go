package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ann  = gitrepo.Signature{Name: "Ann Author", Email: "ann@example.org"}
	when = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

// grown is a repository with n commits of size bytes each.
func grown(t testing.TB, n, size int) *gitrepo.Repo {
	t.Helper()
	r := gitrepo.NewMemory(gitrepo.Options{})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	grow(t, r, 0, n, size)
	return r
}

func grow(t testing.TB, r *gitrepo.Repo, from, n, size int) {
	t.Helper()
	filler := make([]byte, size)
	for i := from; i < from+n; i++ {
		random := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}) // does not compress
		_, _ = random.Read(filler)
		commit(t, r, fmt.Sprintf("a/%d/f%d", i%7, i), string(filler)+fmt.Sprint(i))
	}
}

func commit(t testing.TB, r *gitrepo.Repo, name, data string) gitrepo.Hash {
	t.Helper()
	p, err := document.ParsePath(name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.Commit(context.Background(), gitrepo.CommitInput{
		Changes: []gitrepo.Change{{Path: p, Data: []byte(data)}}, Message: "change", Author: ann, At: when,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func tipOf(t testing.TB, r *gitrepo.Repo) gitrepo.Hash {
	t.Helper()
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

func parse(t testing.TB, s Settings, remote string) *Target {
	t.Helper()
	s.Remote = config.NewSecret(remote)
	if s.Temp == "" {
		s.Temp = t.TempDir()
	}
	target, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = isolated()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func isolated() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Gil", "GIT_AUTHOR_EMAIL=gil@example.org", "GIT_COMMITTER_NAME=Gil", "GIT_COMMITTER_EMAIL=gil@example.org")
}

// bare makes an empty repository, as real git does, and returns its folder.
func bare(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: there is no real server")
	}
	root := t.TempDir()
	git(t, root, "init", "-q", "--bare", "-b", "main", "store.git")
	dir := filepath.Join(root, "store.git")
	git(t, dir, "config", "http.receivepack", "true")
	git(t, dir, "config", "receive.fsckObjects", "true")
	return dir
}

// daemon serves the folder around dir by git daemon and returns the URL of dir.
func daemon(t testing.TB, dir string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "daemon", "--listen=127.0.0.1", fmt.Sprintf("--port=%d", addr.Port),
		"--enable=receive-pack", "--export-all", "--reuseaddr", "--informative-errors", "--base-path="+filepath.Dir(dir))
	cmd.Env = isolated()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with those that it starts
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // ended by the signal
	})
	for range 500 { // until another process listens
		conn, err := net.DialTimeout("tcp", addr.String(), time.Second)
		if err == nil {
			_ = conn.Close()
			return fmt.Sprintf("git://%s/%s", addr, filepath.Base(dir))
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("git daemon does not listen")
	return ""
}

const (
	user   = "bob"
	secret = "p@ss w/ö%rd:1\"\\" //nolint:gosec // of a server in this test
)

// web is a real git server behind HTTP with basic authentication.
type web struct {
	*httptest.Server
	posts atomic.Int32
	// before, if set, is called for every request and may answer it.
	before func(w http.ResponseWriter, r *http.Request) bool
	open   bool // wants no credentials
}

func serveWeb(t testing.TB, dir string) *web {
	t.Helper()
	backend := &cgi.Handler{
		Path: strings.TrimSpace(git(t, dir, "--exec-path")) + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + user, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null"},
	}
	s := &web{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.posts.Add(1)
		}
		if s.before != nil && s.before(w, r) {
			return
		}
		if name, password, _ := r.BasicAuth(); !s.open && (name != user && name != "git" || password != secret) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			// Some servers repeat what they were sent.
			http.Error(w, "no entry for "+r.Header.Get("Authorization")+" "+name+":"+password, http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// with is the address of the repository with credentials.
func (s *web) with(credentials string) string {
	return strings.Replace(s.URL, "://", "://"+credentials, 1) + "/store.git"
}

// check lets real git judge what lies at a target.
func check(t testing.TB, dir string, tip gitrepo.Hash) {
	t.Helper()
	if got := git(t, dir, "rev-parse", "main"); got != tip.String() {
		t.Errorf("main is at %s, want %s", got, tip)
	}
	if out := git(t, dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress"); out != "" {
		t.Errorf("git fsck: %s", out)
	}
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// run runs a service of git for a channel, until it ends.
func run(cmd *exec.Cmd, channel io.ReadWriter, words io.Writer) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = channel, words
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, channel) // until either is gone
		_ = in.Close()
	}()
	return cmd.Wait()
}

// unpack makes loose objects of a pack.
func unpack(t testing.TB, dir, pack string) {
	t.Helper()
	in, err := os.Open(pack)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	cmd := exec.Command("git", "unpack-objects", "-q")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, isolated(), in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
