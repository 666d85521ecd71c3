package gitrepo

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// TestFinder: where there is nothing, it tells what is above, and whether a file
// is in the way; whatever it was asked before.
func TestFinder(t *testing.T) {
	r := NewMemory(Options{})
	t.Cleanup(func() { closeRepo(t, r) })
	tip := commit(t, r, put(t, "a/b/c", "one"), put(t, "a/b/cc/e", "two"), put(t, "file", "three"), put(t, "ab/c", "four"))
	want := map[string]Entry{
		"a/b/c": {Path: "a/b/c"}, "a/b": {Path: "a/b", IsDir: true}, "a/b/d": {Path: "a/b", IsDir: true}, "a/x/y/z": {Path: "a", IsDir: true},
		"none": {IsDir: true}, "none/at/a": {IsDir: true}, "a/b/c/d/e": {Path: "a/b/c"}, "file/x": {Path: "file"}, "file": {Path: "file"},
		"ab": {Path: "ab", IsDir: true}, "ab/c": {Path: "ab/c"}, "abc": {IsDir: true}, "a/b/cc/e": {Path: "a/b/cc/e"}, "a/b/cc/f": {Path: "a/b/cc", IsDir: true},
	}
	var names []string
	for name := range want {
		names = append(names, name)
	}
	rapid.Check(t, func(rt *rapid.T) {
		f, err := r.Finder(context.Background(), tip)
		if err != nil {
			rt.Fatal(err)
		}
		for _, asked := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 12).Draw(rt, "asked") {
			got, err := f.Nearest(context.Background(), path(t, asked))
			if err != nil || got.Path != want[asked].Path || got.IsDir != want[asked].IsDir || got.Hash.IsZero() {
				rt.Fatalf("Nearest(%s) = %+v, %v, want %+v", asked, got, err, want[asked])
			}
		}
	})
	if _, err := r.Finder(t.Context(), Hash{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Finder of no commit: %v", err)
	}
	f, err := r.Finder(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Nearest(ended, path(t, "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Nearest for nobody: %v", err)
	}
}
