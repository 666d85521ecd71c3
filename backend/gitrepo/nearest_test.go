package gitrepo

import (
	"errors"
	"testing"
)

// TestFindNearest: where there is nothing, it tells what is above, and whether a
// file is in the way.
func TestFindNearest(t *testing.T) {
	r := NewMemory(Options{})
	t.Cleanup(func() { closeRepo(t, r) })
	tip := commit(t, r, put(t, "a/b/c", "one"), put(t, "file", "two"))
	for asked, want := range map[string]Entry{
		"a/b/c":     {Path: "a/b/c"},
		"a/b":       {Path: "a/b", IsDir: true},
		"a/b/d":     {Path: "a/b", IsDir: true},
		"a/x/y/z":   {Path: "a", IsDir: true},
		"none":      {IsDir: true},
		"none/at/a": {IsDir: true},
		"a/b/c/d/e": {Path: "a/b/c"},
		"file/x":    {Path: "file"},
		"ab":        {IsDir: true},
	} {
		got, err := r.FindNearest(t.Context(), tip, path(t, asked))
		if err != nil || got.Path != want.Path || got.IsDir != want.IsDir || got.Hash.IsZero() {
			t.Errorf("FindNearest(%s) = %+v, %v, want %+v", asked, got, err, want)
		}
	}
	if _, err := r.FindNearest(t.Context(), Hash{1}, path(t, "a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("FindNearest in no commit: %v", err)
	}
}
