package gitrepo

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		first := commit(t, r, put(t, "a", "1"))
		annotated := TagInput{Name: "v1/final", Commit: first, Message: "The first one.", Tagger: ann, At: when}
		for _, in := range []TagInput{{Name: "light", Commit: first}, annotated} {
			if err := r.CreateTag(ctx, in); err != nil {
				t.Fatal(err)
			}
			if err := r.CreateTag(ctx, in); !errors.Is(err, ErrExists) {
				t.Errorf("%s again: %v", in.Name, err)
			}
		}
		for name, in := range map[string]TagInput{
			"no such commit": {Name: "x", Commit: Hash{9}}, "below a tag": {Name: "light/x", Commit: first},
			"bad name": {Name: "a b", Commit: first}, "an option": {Name: "-d", Commit: first}, "no name": {Commit: first},
			"nobody": {Name: "x", Commit: first, Message: "m", At: when},
		} {
			want := ErrInvalid
			if in.Commit != first {
				want = ErrNotFound
			}
			if err := r.CreateTag(ctx, in); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		got, err := r.Tags(ctx)
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if got[0] != (Tag{Name: "light", Object: first, Target: first, IsCommit: true}) {
			t.Errorf("%+v", got[0])
		}
		want := Tag{Name: "v1/final", Object: got[1].Object, Target: first, IsCommit: true, Annotated: true, Tagger: ann, At: when, Message: "The first one.\n"}
		if got[1] != want || got[1].Object == first {
			t.Errorf("%+v", got[1])
		}
		if one, err := r.Tag(ctx, "v1/final"); err != nil || one != want {
			t.Errorf("%+v, %v", one, err)
		}
		if err := r.DeleteTag(ctx, "light"); err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteTag(ctx, "light"); !errors.Is(err, ErrNotFound) {
			t.Errorf("second delete: %v", err)
		}
		if _, err := r.Tag(ctx, "light"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a deleted tag: %v", err)
		}
	})
}

// Tags of ours and of git, packed and loose, of commits, trees and tags.
func TestTagsAreThoseOfRealGit(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	ctx := context.Background()
	first := commit(t, r, put(t, "a", "1"))
	if err := r.CreateTag(ctx, TagInput{Name: "ours", Commit: first, Message: "ours", Tagger: ann, At: when}); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "tag", "-a", "-m", "theirs", "theirs", "main")
	git(t, dir, "tag", "-a", "-m", "twice", "twice", "theirs")
	git(t, dir, "tag", "tree", "main^{tree}")
	compare := func() {
		t.Helper()
		tags, err := r.Tags(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tag := range tags {
			got = append(got, strings.TrimSpace(strings.Join([]string{tag.Name, tag.Object.String(), tag.Target.String(), tag.Message}, " ")))
		}
		var want []string
		for _, name := range strings.Fields(git(t, dir, "tag", "--list")) {
			message := ""
			if git(t, dir, "cat-file", "-t", name) == "tag" {
				message = git(t, dir, "for-each-ref", "--format=%(contents:subject)", "refs/tags/"+name)
			}
			want = append(want, strings.TrimSpace(strings.Join([]string{name, git(t, dir, "rev-parse", name), git(t, dir, "rev-parse", name+"^{}"), message}, " ")))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("we see\n%s\ngit sees\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	compare()
	if out := git(t, dir, "for-each-ref", "--format=%(objecttype) %(taggername) %(taggerdate:iso-strict)", "refs/tags/ours"); out != "tag Ann Author 2026-11-22T10:00:00+00:00" {
		t.Errorf("git reads our tag as %q", out)
	}
	git(t, dir, "pack-refs", "--all")
	git(t, dir, "gc", "-q", "--prune=now")
	compare()
	if err := r.DeleteTag(ctx, "twice"); err != nil {
		t.Fatal(err)
	}
	compare()
	fsck(t, dir)
}

func TestRevert(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		root := commit(t, r, put(t, "a", "1"), put(t, "d/x", "1"))
		second := commit(t, r, put(t, "a", "2"), put(t, "new", "2"), del(t, "d"))
		commit(t, r, put(t, "later", "3"))
		in := RevertInput{Commit: second, Author: ann, At: when, Mark: testMark}
		h, err := r.Revert(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, r, h, "a", "1")
		wantFile(t, r, h, "d/x", "1")
		wantFile(t, r, h, "later", "3")
		wantNone(t, r, h, "new")
		wantRef(t, r, testMark, h)
		c, err := r.ReadCommit(ctx, h)
		if err != nil || c.Message != "Revert \"change\"\n\nThis reverts commit "+second.String()+".\n" || len(c.Parents) != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := r.Revert(ctx, in); !errors.Is(err, ErrNothing) {
			t.Errorf("once more: %v", err)
		}
		changed := commit(t, r, put(t, "a", "4"))
		var conflict *ConflictError
		if _, err := r.Revert(ctx, RevertInput{Commit: root, Author: ann, At: when}); !errors.As(err, &conflict) || strings.Join(conflict.Paths, " ") != "a" {
			t.Errorf("changed since: %v", err)
		}
		wantRef(t, r, "refs/heads/main", changed)
		for name, bad := range map[string]RevertInput{
			"no such commit": {Commit: Hash{9}}, "no such branch": {Branch: "none", Commit: second}, "no such parent": {Commit: second, Mainline: 2}, "a parent below one": {Commit: second, Mainline: -1},
		} {
			bad.Author, bad.At = ann, when
			if _, err := r.Revert(ctx, bad); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestRevertOfTheFirstCommitAndOfAMerge(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		root := commit(t, r, put(t, "a", "1"))
		if err := r.CreateBranch("side", root); err != nil {
			t.Fatal(err)
		}
		side := commitOn(t, r, "side", when, put(t, "s", "1"))
		commit(t, r, put(t, "m", "1"))
		merged, err := r.Merge(ctx, MergeInput{From: "side", Author: ann, At: when})
		if err != nil {
			t.Fatal(err)
		}
		in := RevertInput{Commit: merged, Author: ann, At: when}
		if _, err := r.Revert(ctx, in); !errors.Is(err, ErrInvalid) {
			t.Fatalf("a merge without a mainline: %v", err)
		}
		in.Mainline = 1
		h, err := r.Revert(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		wantNone(t, r, h, "s")
		wantFile(t, r, h, "m", "1")
		in.Branch, in.Mainline = "side", 2 // to the side: what main had brought
		if err := r.DeleteBranch("side"); err != nil {
			t.Fatal(err)
		}
		if err := r.CreateBranch("side", merged); err != nil {
			t.Fatal(err)
		}
		if h, err = r.Revert(ctx, in); err != nil {
			t.Fatal(err)
		}
		wantFile(t, r, h, "s", "1")
		wantNone(t, r, h, "m")
		if c, err := r.ReadCommit(ctx, h); err != nil || !strings.Contains(c.Message, side.String()) {
			t.Errorf("%+v, %v", c, err)
		}
		if err := r.CreateBranch("root", root); err != nil {
			t.Fatal(err)
		}
		empty, err := r.Revert(ctx, RevertInput{Branch: "root", Commit: root, Author: ann, At: when})
		if err != nil {
			t.Fatal(err)
		}
		wantNone(t, r, empty, "a")
	})
}
