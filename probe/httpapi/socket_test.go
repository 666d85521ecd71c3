package httpapi_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestSocketIsPrivateAndGoesAway(t *testing.T) {
	dir := t.TempDir()
	ln, err := httpapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, httpapi.SocketName)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	for range 2 {
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := httpapi.New(t.Context(), dir); !errors.Is(err, httpapi.ErrNotRunning) || !errors.Is(err, httpapi.ErrUnavailable) {
		t.Errorf("a client without an engine: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{httpapi.SocketName, "control.new"} { // a crash leaves either
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		if err := stale.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := httpapi.New(t.Context(), dir); !errors.Is(err, httpapi.ErrNotRunning) {
		t.Errorf("a client of a dead engine: %v", err)
	}
	client := start(t, dir, &httpapitest.Engine{})
	if _, err := client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoSocketIsKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, httpapi.SocketName)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := httpapi.Listen(dir); !errors.Is(err, httpapi.ErrInvalid) {
		t.Errorf("listen over a file: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "mine" {
		t.Errorf("the file is now %q, %v", data, err)
	}
}

func TestLongPathsGoElsewhere(t *testing.T) {
	short := shortDir(t)
	t.Setenv("TMPDIR", short)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, runtime := range []string{"", short} {
		t.Setenv("XDG_RUNTIME_DIR", runtime)
		path, err := httpapi.SocketPath(dir)
		if err != nil || len(path) > 100 || !strings.HasPrefix(path, short) {
			t.Fatalf("path %q, %v", path, err)
		}
		if _, err := httpapi.New(t.Context(), dir); !errors.Is(err, httpapi.ErrNotRunning) {
			t.Errorf("a client without an engine: %v", err)
		}
		t.Run("serve", func(t *testing.T) {
			client := start(t, dir, &httpapitest.Engine{})
			if _, err := client.Status(t.Context()); err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the folder is %v, %v", info, err)
			}
		})
		folder := filepath.Dir(path)
		if err := os.Mkdir(folder, 0o750); err != nil {
			t.Fatal(err)
		}
		if _, err := httpapi.Listen(dir); !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("listen in a folder that others can read: %v", err)
		}
		if _, err := httpapi.New(t.Context(), dir); !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("a client of a folder that others can read: %v", err)
		}
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(short, strings.Repeat("x", 100)))
	if _, err := httpapi.SocketPath(dir); !errors.Is(err, httpapi.ErrInvalid) {
		t.Errorf("no short place at all: %v", err)
	}
}

// shortDir is a scratch folder with a short name: t.TempDir holds the name of
// the test, which is part of the path of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestALongPathLeavesAnEmptyFolderBehind: the folder that was made for the
// socket alone goes with it, but for what somebody else put there.
func TestALongPathLeavesAnEmptyFolderBehind(t *testing.T) {
	short := shortDir(t)
	t.Setenv("TMPDIR", short)
	t.Setenv("XDG_RUNTIME_DIR", "")
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"", "other"} {
		ln, err := httpapi.Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		path, err := httpapi.SocketPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		if other != "" {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), other), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		_, err = os.Stat(filepath.Dir(path))
		if gone := errors.Is(err, fs.ErrNotExist); gone != (other == "") {
			t.Errorf("with %q in it: the folder is gone: %t, %v", other, gone, err)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the state folder: %v", err)
	}
}
