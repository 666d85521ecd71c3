package state

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// files are the names and sizes of what lies in a folder.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = info.Size() + info.ModTime().UnixNano()
	}
	return out
}

func TestPeekChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder?with #odd%20 name")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Peek(t.Context(), dir, "one"); err != nil || !slices.Equal(got, []string{""}) {
		t.Fatalf("without a file: %q, %v", got, err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Fatalf("files were made: %v", left)
	}
	db, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"one": "first", "two": "second"} {
		if err := db.SetMeta(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	// As a killed process leaves it.
	if _, err := Peek(t.Context(), dir, "one"); !errors.Is(err, ErrUnsettled) {
		t.Errorf("with a log beside it: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	got, err := Peek(t.Context(), dir, "two", "none", "one")
	if err != nil || !slices.Equal(got, []string{"second", "", "first"}) {
		t.Errorf("%q, %v", got, err)
	}
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
}

func TestPeekSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte("no database, but more than a header of one would have, so that it is read"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Peek(t.Context(), dir, "one"); err == nil {
		t.Errorf("%q of a file that is none", got)
	}
}
