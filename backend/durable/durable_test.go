package durable_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFileReplacesWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Repeat("n", 255))
	for _, want := range []string{"a long first version", "", "short"} {
		if err := durable.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if got := names(t, dir); len(got) != 1 {
		t.Fatalf("left behind: %v", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestWriteFileFailureKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(path, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("replaced a folder that is not empty")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Fatalf("left behind: %v", got)
	}
}

func TestCreateIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := durable.Volume{}.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (durable.Volume{}).Create(path, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("second Create: %v", err)
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := f.Abort(); err != nil {
		t.Fatalf("second Abort: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("aborted file: %v", err)
	}
	if err := f.Commit(path); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("Commit after Abort: %v", err)
	}
}

func TestCommitAcrossFolders(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	if err := durable.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(deep, 0o700); err != nil {
		t.Fatalf("again: %v", err)
	}
	f, err := durable.Volume{}.CreateTemp(dir, "tmp-", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(deep, "final")
	if err := f.Commit(target); err != nil {
		t.Fatal(err)
	}
	if read(t, target) != "hello" {
		t.Fatal("content")
	}
	moved := filepath.Join(dir, "moved")
	if err := durable.Rename(target, moved); err != nil {
		t.Fatal(err)
	}
	if err := durable.Remove(moved); err != nil {
		t.Fatal(err)
	}
	if err := durable.Remove(moved); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("second Remove: %v", err)
	}
	if err := durable.MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestMkdirAllOverAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := durable.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{path, filepath.Join(path, "below")} {
		if err := durable.MkdirAll(dir, 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// Writes to a device that is always full give the typed error.
func TestDiskFullIsTyped(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	err := durable.WriteToDevFull()
	if !errors.Is(err, durable.ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
}

func TestReadOnlyIsTyped(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		if err := durable.Wrap("write", "f", errno); !errors.Is(err, durable.ErrReadOnly) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := durable.Wrap("write", "f", syscall.EIO); errors.Is(err, durable.ErrReadOnly) || errors.Is(err, durable.ErrDiskFull) {
		t.Errorf("EIO: %v", err)
	}
}

func TestLockExcludesAndIsReusable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("99999999999999999\nold"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := durable.AcquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = durable.AcquireLock(path)
	var locked *durable.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("second AcquireLock: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatalf("second Release: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the lock file is gone: %v", err)
	}
	again, err := durable.AcquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

const lockVariable = "CAIATOP_TEST_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockVariable); path != "" {
		holdLock(path)
	}
	os.Exit(m.Run())
}

// holdLock is the body of the other process: it takes the lock, says so, and
// ends when its standard input does.
func holdLock(path string) {
	l, err := durable.AcquireLock(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	bufio.NewScanner(os.Stdin).Scan()
	if err := l.Release(); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func TestLockNamesTheOtherProcessAndDiesWithIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockVariable+"="+path)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "held\n" {
		t.Fatalf("other process: %q, %v", line, err)
	}
	_, err = durable.AcquireLock(path)
	var locked *durable.LockedError
	if !errors.As(err, &locked) || locked.PID != other.Process.Pid {
		t.Fatalf("got %v, want process %d", err, other.Process.Pid)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := other.Wait(); err == nil {
		t.Fatal("the killed process ended well")
	}
	l, err := durable.AcquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}
