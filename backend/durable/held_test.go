package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHeldTellsTheHolderAndChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	look := func(want bool, pid int) {
		t.Helper()
		if held, who, err := Held(path); held != want || who != pid || err != nil {
			t.Errorf("held %t by %d, %v; want %t by %d", held, who, err, want, pid)
		}
	}
	look(false, 0)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Fatalf("the file was made: %v", err)
	}
	lock, err := AcquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	look(true, os.Getpid())
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	look(false, 0)
	again, err := AcquireLock(path)
	if err != nil {
		t.Fatalf("who looked still holds it: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}
