package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// forked gives a repository whose branch side left main after a commit of the
// base changes, each side having made its own.
func forked(t *testing.T, r *Repo, base, main, side []Change) {
	t.Helper()
	at := commit(t, r, base...)
	if err := r.CreateBranch("side", at); err != nil {
		t.Fatal(err)
	}
	if main != nil {
		commitOn(t, r, "main", when.Add(time.Second), main...)
	}
	if side != nil {
		commitOn(t, r, "side", when.Add(2*time.Second), side...)
	}
}

func mergeSide(r *Repo) (Hash, error) {
	return r.Merge(context.Background(), MergeInput{From: "side", Author: ann, At: when.Add(time.Minute)})
}

func TestMergeThreeWay(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		forked(t, r,
			[]Change{put(t, "d/a", "a"), put(t, "d/b", "b"), put(t, "d/gone", "x"), put(t, "dir/only", "x"), put(t, "same", "0")},
			[]Change{put(t, "d/a", "main"), put(t, "new/main", "m"), put(t, "same", "1"), del(t, "dir")},
			[]Change{put(t, "d/b", "side"), put(t, "new/side", "s"), put(t, "same", "1"), del(t, "d/gone")})
		h, err := mergeSide(r)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"d/a": "main", "d/b": "side", "new/main": "m", "new/side": "s", "same": "1"} {
			wantFile(t, r, h, name, want)
		}
		wantNone(t, r, h, "d/gone")
		wantNone(t, r, h, "dir/only")
		c, err := r.ReadCommit(context.Background(), h)
		if err != nil || len(c.Parents) != 2 || c.Message != "Merge side into main\n" {
			t.Fatalf("%+v, %v", c, err)
		}
		again, err := mergeSide(r)
		if err != nil || again != h {
			t.Fatalf("merging again: %s, %v", again, err)
		}
		// What is merged is no conflict any more.
		commitOn(t, r, "side", when.Add(time.Hour), put(t, "d/b", "side again"))
		if h, err = mergeSide(r); err != nil {
			t.Fatal(err)
		}
		wantFile(t, r, h, "d/b", "side again")
	})
}

func TestMergeFastForward(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		forked(t, r, []Change{put(t, "a", "0")}, nil, []Change{put(t, "a", "1")})
		side, err := r.Tip("side")
		if err != nil {
			t.Fatal(err)
		}
		h, err := mergeSide(r)
		if err != nil || h != side {
			t.Fatalf("%s, %v; want %s", h, err, side)
		}
		if tip, err := r.Tip(""); err != nil || tip != side {
			t.Fatalf("%s, %v", tip, err)
		}
		if _, err := r.Merge(context.Background(), MergeInput{From: "nowhere", Author: ann, At: when}); !errors.Is(err, ErrNotFound) {
			t.Fatalf("missing branch: %v", err)
		}
	})
}

func TestMergeConflicts(t *testing.T) {
	cases := map[string]struct {
		base, main, side []Change
		want             []string
	}{
		"both changed":     {[]Change{put(t, "a/x", "0")}, []Change{put(t, "a/x", "1")}, []Change{put(t, "a/x", "2")}, []string{"a/x"}},
		"both added":       {[]Change{put(t, "b", "0")}, []Change{put(t, "a/x", "1")}, []Change{put(t, "a/x", "2")}, []string{"a/x"}},
		"deleted, changed": {[]Change{put(t, "a/x", "0")}, []Change{del(t, "a")}, []Change{put(t, "a/x", "2")}, []string{"a/x"}},
		"changed, deleted": {[]Change{put(t, "a/x", "0"), put(t, "a/y", "0")}, []Change{put(t, "a/x", "1")}, []Change{del(t, "a")}, []string{"a/x"}},
		"file and folder":  {[]Change{put(t, "b", "0")}, []Change{put(t, "a", "1")}, []Change{put(t, "a/x", "2")}, []string{"a"}},
		"two": {
			[]Change{put(t, "a", "0"), put(t, "b", "0"), put(t, "c", "0")},
			[]Change{put(t, "a", "1"), put(t, "b", "1"), put(t, "c", "1")},
			[]Change{put(t, "a", "2"), put(t, "b", "1"), put(t, "c", "2")},
			[]string{"a", "c"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *Repo) {
				forked(t, r, c.base, c.main, c.side)
				before, err := r.Tip("")
				if err != nil {
					t.Fatal(err)
				}
				_, err = mergeSide(r)
				var conflict *ConflictError
				if !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, c.want) {
					t.Fatalf("got %v, want a conflict in %v", err, c.want)
				}
				if after, err := r.Tip(""); err != nil || after != before {
					t.Fatalf("the refused merge moved main: %v", err)
				}
			})
		})
	}
}

func TestConflictListIsBounded(t *testing.T) {
	r := NewMemory(Options{})
	defer closeRepo(t, r)
	var base, main, side []Change
	for i := range MaxConflicts + 1 {
		name := fmt.Sprintf("d/%d", i)
		base, main, side = append(base, put(t, name, "0")), append(main, put(t, name, "1")), append(side, put(t, name, "2"))
	}
	forked(t, r, base, main, side)
	_, err := mergeSide(r)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || len(conflict.Paths) != MaxConflicts {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !strings.HasSuffix(text, "and 995 more") {
		t.Fatalf("%s", text)
	}
}

func TestMergeOfUnrelatedHistories(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		commit(t, r, put(t, "a", "1"))
		commitOn(t, r, "side", when, put(t, "b", "2"))
		if _, err := mergeSide(r); !errors.Is(err, ErrUnrelated) {
			t.Fatalf("merged without leave: %v", err)
		}
		h, err := r.Merge(context.Background(), MergeInput{From: "side", Author: ann, At: when, AllowUnrelated: true})
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, r, h, "a", "1")
		wantFile(t, r, h, "b", "2")
	})
}

// Ours wins where both changed a path, and nowhere else; the paths are told.
func TestMergeFavouringOurs(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		forked(t, r,
			[]Change{put(t, "d/a/x", "0"), put(t, "d/a/y", "0"), put(t, "d/b/x", "0"), put(t, "d/c/x", "0"), put(t, "d/e/x", "0")},
			[]Change{put(t, "d/a/x", "main"), del(t, "d/c"), put(t, "f", "main")},
			[]Change{put(t, "d/a/y", "side"), put(t, "d/b/x", "side"), put(t, "d/c/x", "side"), put(t, "d/e/x", "side"), put(t, "f/x", "side")})
		side, err := r.Tip("side")
		if err != nil {
			t.Fatal(err)
		}
		whole := func(folder string) bool { return strings.Count(folder, "/") == 1 }
		in := MergeInput{Theirs: side, Author: ann, At: when, Whole: whole}
		var conflict *ConflictError
		if _, err := r.Merge(context.Background(), in); !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"d/a", "d/c", "f"}) {
			t.Fatalf("favouring nobody: %v", err)
		}
		in.Favour = FavourOurs
		result, err := r.MergeFavouring(context.Background(), in)
		if err != nil || !slices.Equal(result.Overridden, []string{"d/a", "d/c", "f"}) {
			t.Fatalf("%+v, %v", result, err)
		}
		for name, want := range map[string]string{"d/a/x": "main", "d/a/y": "0", "d/b/x": "side", "d/e/x": "side", "f": "main"} {
			wantFile(t, r, result.Commit, name, want)
		}
		wantNone(t, r, result.Commit, "d/c/x")
		c, err := r.ReadCommit(context.Background(), result.Commit)
		if err != nil || !slices.Contains(c.Parents, side) || c.Message != "Merge commit "+side.String()+" into main\n" {
			t.Fatalf("%+v, %v", c, err)
		}
		again, err := r.MergeFavouring(context.Background(), in)
		if err != nil || again.Commit != result.Commit || again.Overridden != nil {
			t.Fatalf("merged again: %+v, %v", again, err)
		}
		in.Theirs = Hash{1}
		if _, err := r.Merge(context.Background(), in); !errors.Is(err, ErrNotFound) {
			t.Fatalf("no such commit: %v", err)
		}
	})
}

// Criss-cross: two merge bases that disagree are for a person to decide.
func TestMergeCrissCross(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		forked(t, r, []Change{put(t, "x", "0"), put(t, "y", "0")}, []Change{put(t, "x", "main")}, []Change{put(t, "y", "side")})
		mainTip, err := r.Tip("main")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CreateBranch("old", mainTip); err != nil {
			t.Fatal(err)
		}
		if _, err := mergeSide(r); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Merge(ctx, MergeInput{Into: "side", From: "old", Author: ann, At: when.Add(time.Minute + time.Second)}); err != nil {
			t.Fatal(err)
		}
		commitOn(t, r, "main", when.Add(time.Hour), put(t, "main only", "1"))
		commitOn(t, r, "side", when.Add(time.Hour), put(t, "side only", "1"))
		h, err := mergeSide(r)
		if err != nil {
			t.Fatalf("bases that agree: %v", err)
		}
		for name, want := range map[string]string{"x": "main", "y": "side", "main only": "1", "side only": "1"} {
			wantFile(t, r, h, name, want)
		}
	})
}

// The same on every branch shape: our merge bases are those of real git.
func TestMergeBasesAgreeWithRealGit(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "0", "0"))
	seed := uint32(1)
	next := func(n int) int { seed = seed*1664525 + 1013904223; return int(seed>>8) % n }
	names := []string{"main", "b1", "b2", "b3"}
	for _, b := range names[1:] {
		tip, err := r.Tip("main")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CreateBranch(b, tip); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		at := when.Add(time.Duration(i/3) * time.Second) // equal times happen
		into, from := names[next(4)], names[next(4)]
		if next(3) > 0 || into == from {
			commitOn(t, r, into, at, put(t, fmt.Sprintf("f%d", i), "x"))
			continue
		}
		if _, err := r.Merge(context.Background(), MergeInput{Into: into, From: from, Author: ann, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range names {
		for _, b := range names {
			compareBases(t, r, dir, a, b)
		}
	}
	fsck(t, dir)
}

func compareBases(t *testing.T, r *Repo, dir, a, b string) {
	t.Helper()
	left, err := r.tipCommit(headsPrefix + a)
	if err != nil {
		t.Fatal(err)
	}
	right, err := r.tipCommit(headsPrefix + b)
	if err != nil {
		t.Fatal(err)
	}
	bases, err := r.mergeBases(context.Background(), left, right)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range bases {
		got = append(got, c.Hash.String())
	}
	want := strings.Fields(git(t, dir, "merge-base", "--all", a, b))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("merge bases of %s and %s: %v, git says %v", a, b, got, want)
	}
}
