package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func edits(t testing.TB, r *Repo, from, to Hash, folder string) []string {
	t.Helper()
	at := pathRoot
	if folder != "" {
		at = path(t, folder)
	}
	var out []string
	err := r.Diff(context.Background(), from, to, at, func(e Edit) error {
		kind := "M"
		switch {
		case e.Before.IsZero():
			kind = "A"
		case e.After.IsZero():
			kind = "D"
		}
		out = append(out, kind+" "+e.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDiff(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		first := commit(t, r, put(t, "a", "1"), put(t, "b/c", "1"), put(t, "b/d/e", "1"), put(t, "b.x", "1"), put(t, "same/s", "1"))
		second := commit(t, r, put(t, "a/n", "2"), del(t, "b"), put(t, "b", "2"), put(t, "z", "2"), put(t, "b.x", "2"))
		for _, c := range []struct {
			name     string
			from, to Hash
			folder   string
			want     string
		}{
			{"root", first, second, "", "D a, A a/n, A b, M b.x, D b/c, D b/d/e, A z"},
			{"back", second, first, "", "A a, D a/n, D b, M b.x, A b/c, A b/d/e, D z"},
			{"equal", first, first, "", ""},
			{"from nothing", Hash{}, first, "", "A a, A b.x, A b/c, A b/d/e, A same/s"},
			{"to nothing", first, Hash{}, "b", "D b/c, D b/d/e"},
			{"nothing", Hash{}, Hash{}, "", ""},
			{"a folder that became a file", first, second, "b", "A b, D b/c, D b/d/e"},
			{"a folder that is the same", first, second, "same", ""},
			{"a path that neither has", first, second, "none/x", ""},
		} {
			if got := strings.Join(edits(t, r, c.from, c.to, c.folder), ", "); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		ctx := context.Background()
		stop := errors.New("stop")
		calls := 0
		if err := r.Diff(ctx, first, second, pathRoot, func(Edit) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
		if err := r.Diff(ctx, first, Hash{9}, pathRoot, func(Edit) error { return nil }); !errors.Is(err, ErrNotFound) {
			t.Errorf("a commit that is not there: %v", err)
		}
	})
}

// Real git names the same files in the same order, whatever became of them.
func TestDiffIsThatOfRealGit(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	random := rand.New(rand.NewPCG(1, 2))
	tips := []Hash{commit(t, r, put(t, "a", "0"))}
	for i := range 12 {
		changes := []Change{put(t, "n", fmt.Sprint(i))}
		for range 6 {
			parts := []string{"a", "a.b", "a-b", "c"}
			name := parts[random.IntN(4)]
			for random.IntN(2) == 0 {
				name += "/" + parts[random.IntN(4)]
			}
			if random.IntN(3) == 0 {
				changes = append(changes, del(t, name))
			} else {
				changes = append(changes, put(t, name, fmt.Sprint(random.IntN(3))))
			}
		}
		tips = append(tips, commit(t, r, changes...))
	}
	for i := range tips[1:] {
		from, to := tips[random.IntN(len(tips))], tips[i+1]
		want := strings.Fields(git(t, dir, "diff-tree", "-r", "--no-renames", "--name-status", from.String(), to.String()))
		got := strings.Fields(strings.Join(edits(t, r, from, to, ""), "\n"))
		if !slices.Equal(got, want) {
			t.Fatalf("%s to %s: %v, git says %v", from, to, got, want)
		}
	}
}

func TestIsAncestor(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		first := commit(t, r, put(t, "a", "1"))
		if err := r.CreateBranch("side", first); err != nil {
			t.Fatal(err)
		}
		side := commitOn(t, r, "side", when, put(t, "s", "1"))
		second := commit(t, r, put(t, "a", "2"))
		merged, err := r.Merge(ctx, MergeInput{From: "side", Author: ann, At: when})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			a, b Hash
			want bool
		}{{first, merged, true}, {side, merged, true}, {second, merged, true}, {merged, merged, true}, {merged, first, false}, {side, second, false}, {second, side, false}} {
			if got, err := r.IsAncestor(ctx, c.a, c.b); err != nil || got != c.want {
				t.Errorf("%s in %s: %v, %v", c.a, c.b, got, err)
			}
		}
		for _, c := range [][2]Hash{{{9}, first}, {first, {9}}} {
			if _, err := r.IsAncestor(ctx, c[0], c[1]); !errors.Is(err, ErrNotFound) {
				t.Errorf("a commit that is not there: %v", err)
			}
		}
	})
}
