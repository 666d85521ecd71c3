package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestCommitChain(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		const ref = "refs/caiatop/import/x"
		var links []Link
		for i := range 20 {
			links = append(links, Link{
				Changes: []Change{put(t, fmt.Sprintf("d/%d/x", i), "same"), put(t, "d/last", fmt.Sprint(i))},
				Message: fmt.Sprint("link ", i), Author: ann, At: when,
			})
		}
		tip, err := r.CommitChain(ctx, ref, Hash{}, Hash{}, links[:15])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.CommitChain(ctx, ref, Hash{}, Hash{}, links); !errors.Is(err, ErrMoved) {
			t.Errorf("over a reference that is elsewhere: %v", err)
		}
		if _, err := r.CommitChain(ctx, "refs/heads/main", Hash{}, Hash{}, links); !errors.Is(err, ErrInvalid) {
			t.Errorf("onto a branch: %v", err)
		}
		if tip, err = r.CommitChain(ctx, ref, tip, tip, append(links[15:], Link{Changes: []Change{del(t, "d")}, Message: "all gone", Author: ann, At: when})); err != nil {
			t.Fatal(err)
		}
		if at, err := r.Ref(ref); err != nil || at != tip {
			t.Errorf("%s, %v", at, err)
		}
		log, err := r.Log(ctx, tip, LogOptions{})
		if err != nil || len(log) != 21 || log[20].Message != "link 0\n" || log[0].Message != "all gone\n" {
			t.Fatalf("%d commits, %v", len(log), err)
		}
		wantNone(t, r, tip, "d/last")
		wantFile(t, r, log[1].Hash, "d/last", "19")
		wantFile(t, r, log[1].Hash, "d/3/x", "same")
		wantFile(t, r, log[20].Hash, "d/last", "0")
		if err := r.CreateBranch("main", tip); err != nil { // git fsck wants one
			t.Fatal(err)
		}
		if _, err := r.CommitChain(ctx, ref, tip, tip, nil); err != nil {
			t.Errorf("no link: %v", err)
		}
	})
}

// Theirs wins where both changed a path, and Before can refuse it.
func TestMergeFavouringTheirs(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		forked(t, r, []Change{put(t, "x", "0"), put(t, "gone", "0")},
			[]Change{put(t, "x", "main"), put(t, "gone", "main"), put(t, "main", "main")},
			[]Change{put(t, "x", "side"), del(t, "gone"), put(t, "side", "side")})
		into, err := r.Tip("main")
		if err != nil {
			t.Fatal(err)
		}
		refused := errors.New("refused")
		in := MergeInput{From: "side", Author: ann, At: when, Favour: FavourTheirs, Parent: &Hash{1}}
		if _, err := r.MergeFavouring(ctx, in); !errors.Is(err, ErrMoved) {
			t.Errorf("another parent: %v", err)
		}
		in.Parent = &into
		in.Before = func(overridden []string) error { return fmt.Errorf("%w: %q", refused, overridden) }
		if _, err := r.MergeFavouring(ctx, in); !errors.Is(err, refused) {
			t.Errorf("refused: %v", err)
		}
		if at, err := r.Tip("main"); err != nil || at != into {
			t.Errorf("moved by a merge that was refused: %v, %v", at, err)
		}
		in.Before = nil
		result, err := r.MergeFavouring(ctx, in)
		if err != nil || fmt.Sprint(result.Overridden) != "[gone x]" {
			t.Fatalf("%+v, %v", result, err)
		}
		wantFile(t, r, result.Commit, "x", "side")
		wantFile(t, r, result.Commit, "main", "main")
		wantFile(t, r, result.Commit, "side", "side")
		wantNone(t, r, result.Commit, "gone")
	})
}

// TestChain: what a chain made is seen through it alone until it is published,
// and a commit that cannot be made leaves no trace.
func TestChain(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		begin := func(tip Hash) *Chain {
			t.Helper()
			c, err := r.NewChain(ctx, "side", tip)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first, other := begin(Hash{}), begin(Hash{})
		var made []Hash
		for i := range 3 {
			h, err := first.Add(ctx, Link{Changes: []Change{put(t, fmt.Sprint("d/", i), fmt.Sprint(i)), put(t, "same", "x")}, Message: "m", Author: ann, At: when})
			if err != nil || h != first.Tip() {
				t.Fatal(h, err)
			}
			wantFile(t, first.View(), h, fmt.Sprint("d/", i), fmt.Sprint(i))
			made = append(made, h)
		}
		before := first.Size()
		if _, err := first.Add(ctx, Link{Changes: []Change{put(t, "d/3", "3"), {}}, Message: "m", Author: ann, At: when}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a change of the root: %v", err)
		}
		if _, err := first.Add(ctx, Link{Changes: []Change{put(t, "d/3", "3")}, Message: "m", Author: Signature{Name: "a\n"}, At: when}); err == nil {
			t.Error("an author of two lines was taken")
		}
		if first.Tip() != made[2] || first.Size() != before || before == 0 {
			t.Errorf("a commit that failed left %s, %d bytes", first.Tip(), first.Size())
		}
		if _, err := first.View().Commit(ctx, CommitInput{AllowEmpty: true, Author: ann, At: when}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("a commit by the view: %v", err)
		}
		if _, err := r.ReadCommit(ctx, made[0]); !errors.Is(err, ErrNotFound) {
			t.Errorf("seen before it is published: %v", err)
		}
		if err := first.Publish(ctx); err != nil {
			t.Fatal(err)
		}
		if log, err := r.Log(ctx, made[2], LogOptions{}); err != nil || len(log) != 3 || log[0].Hash != made[2] || log[2].Hash != made[0] {
			t.Errorf("log %v, %v", log, err)
		}
		if err := r.CreateBranch("main", made[0]); err != nil { // git fsck wants one
			t.Fatal(err)
		}
		if _, err := other.Add(ctx, Link{Changes: []Change{put(t, "late", "x")}, Message: "m", Author: ann, At: when}); err != nil {
			t.Fatal(err)
		}
		if err := other.Publish(ctx); !errors.Is(err, ErrMoved) {
			t.Errorf("over a branch that moved: %v", err)
		}
		if err := begin(made[2]).Publish(ctx); err != nil {
			t.Errorf("without commits: %v", err)
		}
		if tip, err := r.Tip("side"); err != nil || tip != made[2] {
			t.Errorf("the branch is at %s, %v", tip, err)
		}
	})
}
