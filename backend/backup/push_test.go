package backup

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/config"
)

var (
	zero    gitrepo.Hash
	escaped = strings.TrimPrefix(url.UserPassword("", secret).String(), ":")
)

func now() time.Time { return when }

// eachServer runs a test against every sort of target; dir is where real git
// looks.
func eachServer(t *testing.T, test func(t *testing.T, dir string, target *Target)) {
	t.Run("folder", func(t *testing.T) {
		dir := bare(t)
		test(t, dir, parse(t, Settings{}, dir))
	})
	t.Run("git", func(t *testing.T) {
		dir := bare(t)
		test(t, dir, parse(t, Settings{}, daemon(t, dir)))
	})
	t.Run("http", func(t *testing.T) {
		dir := bare(t)
		test(t, dir, parse(t, Settings{}, serveWeb(t, dir).with(user+":"+escaped+"@")))
	})
	t.Run("ssh", func(t *testing.T) {
		dir := bare(t)
		s := serveSSH(t)
		test(t, dir, parse(t, Settings{SSHKey: s.keyFile, KnownHosts: s.known(t, s.host)}, "ssh://"+s.addr+dir))
	})
}

// TestAnInterruptedPushGoesOn: what lies at the target after each part is
// a whole history, and the next push begins there.
func TestAnInterruptedPushGoesOn(t *testing.T) {
	repo := grown(t, 10, 4<<10)
	eachServer(t, func(t *testing.T, dir string, target *Target) {
		s, isServer := target.place.(*server)
		if !isServer {
			return // package gitrepo tests that
		}
		s.part = 12 << 10
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		first, err := target.Push(ctx, repo, tipOf(t, repo), zero, func(gitrepo.Copied) { cancel() })
		if !isCanceled(err) || first.Commits == 0 || first.Commits >= 10 {
			t.Fatalf("%+v, %v", first, err)
		}
		check(t, dir, first.Tip)
		parts := 0
		second, err := target.Push(context.Background(), repo, tipOf(t, repo), first.Tip, func(gitrepo.Copied) { parts++ })
		if err != nil || first.Commits+second.Commits != 10 || parts < 2 {
			t.Fatalf("%+v in %d parts, %v", second, parts, err)
		}
		check(t, dir, tipOf(t, repo))
		again, err := target.Push(context.Background(), repo, tipOf(t, repo), first.Tip, nil)
		if err != nil || again.Objects != 0 || again.Tip != tipOf(t, repo) {
			t.Errorf("with nothing new: %+v, %v", again, err)
		}
	})
}

func TestATargetWithOtherCommitsIsLeftAlone(t *testing.T) {
	repo := grown(t, 5, 10)
	log, err := repo.Log(context.Background(), tipOf(t, repo), gitrepo.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eachServer(t, func(t *testing.T, dir string, target *Target) {
		ctx := context.Background()
		refuse := func(what string, tip gitrepo.Hash, want error) {
			t.Helper()
			was := git(t, dir, "for-each-ref")
			if _, err := target.Push(ctx, repo, tip, zero, nil); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			if now := git(t, dir, "for-each-ref"); now != was {
				t.Errorf("%s: %q, was %q", what, now, was)
			}
		}
		if _, err := target.Push(ctx, repo, tipOf(t, repo), zero, nil); err != nil {
			t.Fatal(err)
		}
		refuse("newer", log[2].Hash, gitrepo.ErrNotForward)
		// Somebody took the branch back: what is missing goes there again.
		git(t, dir, "update-ref", "refs/heads/main", log[3].Hash.String())
		if done, err := target.Push(ctx, repo, tipOf(t, repo), tipOf(t, repo), nil); err != nil || done.Commits != 3 {
			t.Errorf("rewound: %+v, %v", done, err)
		}
		tree := git(t, dir, "rev-parse", "main^{tree}")
		theirs := git(t, dir, "commit-tree", "-p", "main", "-m", "theirs", tree)
		git(t, dir, "update-ref", "refs/heads/main", theirs)
		refuse("commits of others", tipOf(t, repo), gitrepo.ErrNotForward)
		report, err := target.Verify(ctx, repo, tipOf(t, repo), now)
		if err != nil || report.Good() || report.Behind != -1 || report.Strange == "" {
			t.Errorf("verified: %+v, %v", report, err)
		}
		alone := git(t, dir, "commit-tree", "-m", "alone", tree)
		git(t, dir, "update-ref", "refs/heads/main", alone)
		refuse("another history", tipOf(t, repo), gitrepo.ErrNotForward)
		git(t, dir, "branch", "-m", "main", "master")
		refuse("another branch", tipOf(t, repo), gitrepo.ErrForeign)
		git(t, dir, "update-ref", "-d", "refs/heads/master")
		if _, err := target.Push(ctx, repo, tipOf(t, repo), log[0].Hash, nil); !errors.Is(err, ErrEmptied) {
			t.Errorf("emptied: %v, want ErrEmptied", err)
		}
	})
}

func TestFolders(t *testing.T) {
	repo := grown(t, 2, 10)
	root := t.TempDir()
	push := func(dir string, known gitrepo.Hash) error {
		_, err := parse(t, Settings{}, dir).Push(context.Background(), repo, tipOf(t, repo), known, nil)
		return err
	}
	fresh := filepath.Join(root, "new.git")
	if err := push("file://"+fresh, zero); err != nil {
		t.Fatal(err)
	}
	check(t, fresh, tipOf(t, repo))
	if err := os.RemoveAll(fresh); err != nil {
		t.Fatal(err)
	}
	if err := push(fresh, tipOf(t, repo)); !errors.Is(err, ErrEmptied) {
		t.Errorf("a backup that is gone: %v, want ErrEmptied", err)
	}
	if _, err := os.Stat(fresh); !os.IsNotExist(err) {
		t.Errorf("the folder was made anew: %v", err)
	}
	if err := push(filepath.Join(root, "not", "mounted"), zero); !errors.Is(err, ErrUnavailable) || !strings.HasPrefix(Advice(err), "Mount the disk") {
		t.Errorf("no parent: %v, want ErrUnavailable; %s", err, Advice(err))
	}
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := push(root, zero); !errors.Is(err, gitrepo.ErrInvalid) {
		t.Errorf("a folder with something else: %v, want ErrInvalid", err)
	}
	for _, known := range []gitrepo.Hash{zero, tipOf(t, repo)} {
		if err := push(filepath.Join(root, "file"), known); !errors.Is(err, ErrInvalid) {
			t.Errorf("a file: %v, want ErrInvalid", err)
		}
	}
	for cause, want := range map[error]error{syscall.ENOSPC: durable.ErrDiskFull, syscall.EROFS: durable.ErrReadOnly} {
		target := parse(t, Settings{Volume: durable.Volume{FS: failing{err: cause}}}, filepath.Join(root, "other.git"))
		if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", cause, err, want)
		}
	}
}

// failing is a file system on which nothing can be made.
type failing struct {
	durable.FS // nil: a method that is not here is not to be called
	err        error
}

func (f failing) OpenFile(name string, _ int, _ os.FileMode) (durable.Handle, error) {
	return nil, &os.PathError{Op: "open", Path: name, Err: f.err}
}

func (f failing) Mkdir(name string, _ os.FileMode) error {
	return &os.PathError{Op: "mkdir", Path: name, Err: f.err}
}

func (failing) Stat(name string) (os.FileInfo, error)      { return os.Stat(name) }
func (failing) Lstat(name string) (os.FileInfo, error)     { return os.Lstat(name) }
func (failing) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(name) }

func TestAnUnreachableTarget(t *testing.T) {
	repo := grown(t, 1, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := ln.Addr().String()
	_ = ln.Close()
	for name, address := range map[string]string{"git": "git://" + down + "/x", "http": "http://bob:hunter2@" + down + "/x"} {
		_, err := parse(t, Settings{}, address).Push(context.Background(), repo, tipOf(t, repo), zero, nil)
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "hunter2") || Advice(err) == "" {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}

// TestASilentServerHoldsNobody: who gives up is let go at once, whatever the
// server is waiting for.
func TestASilentServerHoldsNobody(t *testing.T) {
	repo := grown(t, 1, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	met := make(chan net.Conn)
	var accepts sync.WaitGroup
	accepts.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			met <- conn
		}
	})
	defer accepts.Wait()
	defer func() { _ = ln.Close() }()
	key := serveSSH(t)
	settings := Settings{SSHKey: key.keyFile, KnownHosts: key.known(t, key.host)}
	for _, scheme := range []string{"git", "http", "ssh"} {
		target := parse(t, settings, scheme+"://"+ln.Addr().String()+"/x")
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() {
			_, err := target.Push(ctx, repo, tipOf(t, repo), zero, nil)
			ended <- err
		}()
		conn := <-met
		cancel()
		if err := <-ended; err == nil || errors.Is(err, ErrUnavailable) && scheme == "http" {
			t.Errorf("%s: %v", scheme, err)
		}
		_ = conn.Close()
	}
}

// TestAServerThatTakesNoMore says why, though it does not read to the end.
func TestAServerThatTakesNoMore(t *testing.T) {
	dir := bare(t)
	git(t, dir, "config", "receive.maxInputSize", "100000")
	repo := grown(t, 1, 4<<20)
	s := serveSSH(t)
	target := parse(t, Settings{SSHKey: s.keyFile, KnownHosts: s.known(t, s.host)}, "ssh://"+s.addr+dir)
	_, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil)
	if !errors.Is(err, ErrRejected) {
		t.Errorf("%v, want ErrRejected", err)
	}
}

func TestHTTPRefuses(t *testing.T) {
	dir := bare(t)
	repo := grown(t, 2, 10)
	s := serveWeb(t, dir)
	other := serveWeb(t, dir)
	for name, c := range map[string]struct {
		credentials, token string
		before             func(w http.ResponseWriter, r *http.Request) bool
		want               error
		says               string
	}{
		"no credentials": {want: ErrRefused, says: "none are set"},
		"wrong password": {credentials: user + ":hunter2hunter2@", want: ErrRefused, says: "401"},
		"wrong token":    {token: "hunter2hunter2", want: ErrRefused, says: "401"},
		"redirect": {token: secret, want: ErrMissing, says: "redirects to " + other.URL, before: func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, other.URL+r.URL.String(), http.StatusMovedPermanently)
			return true
		}},
		"no git": {token: secret, want: ErrMissing, says: "text/html", before: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>welcome"))
			return true
		}},
		"broken": {token: secret, want: ErrUnavailable, says: "503", before: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
			return true
		}},
		"protected": {token: secret, want: ErrRejected, says: "hook declined"},
	} {
		t.Run(name, func(t *testing.T) {
			s.before = c.before
			if name == "protected" {
				hook := filepath.Join(dir, "hooks", "pre-receive")
				if err := os.WriteFile(hook, []byte("#!/bin/sh\necho main is protected >&2\nexit 1\n"), 0o700); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = os.Remove(hook) }()
			}
			before := other.posts.Load()
			target := parse(t, Settings{Token: config.NewSecret(c.token)}, s.with(c.credentials))
			_, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v that says %q", err, c.want, c.says)
			}
			if strings.Contains(err.Error(), "hunter2") || other.posts.Load() != before {
				t.Errorf("credentials went too far: %v", err)
			}
		})
	}
	s.before = nil
	target := parse(t, Settings{Token: config.NewSecret(secret)}, s.with(""))
	if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); err != nil {
		t.Errorf("with the token: %v", err)
	}
	check(t, dir, tipOf(t, repo))
}

// TestAHugeCommitIsPushed: a part larger than memory is to be goes by a file.
func TestAHugeCommitIsPushed(t *testing.T) {
	dir := bare(t)
	repo := grown(t, 1, 1<<20)
	s := serveWeb(t, dir)
	target := parse(t, Settings{Token: config.NewSecret(secret)}, s.with(""))
	target.place.(*server).part = 64 << 10
	if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); err != nil {
		t.Fatal(err)
	}
	check(t, dir, tipOf(t, repo))
}
