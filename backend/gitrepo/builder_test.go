package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestCommitsThatShareRoomKeepTheirTrees makes commits that follow each other
// in the same room, in two repositories at once, some of which fail after their
// trees were made.
func TestCommitsThatShareRoomKeepTheirTrees(t *testing.T) {
	const rounds = 300
	var wait sync.WaitGroup
	for _, who := range []string{"a", "b"} {
		r := NewMemory(Options{})
		defer closeRepo(t, r)
		wait.Go(func() { shareRoom(t, r, who, rounds) })
	}
	wait.Wait()
}

func shareRoom(t *testing.T, r *Repo, who string, rounds int) {
	ctx := context.Background()
	name := func(i int) string { return fmt.Sprintf("%s/%x/%x/%d/file", who, i%16, i%7, i%50) }
	text := func(i int) string { return fmt.Sprint(who, i) }
	var made []Hash
	for i := range rounds {
		in := CommitInput{Changes: []Change{put(t, name(i), text(i))}, Message: "change", Author: ann, At: when}
		if i%5 == 1 {
			in.Changes[0] = put(t, name(i), "lost")
			in.Author.Name = "" // found only when the trees are made
			if _, err := r.Commit(ctx, in); !errors.Is(err, ErrInvalid) {
				t.Errorf("a commit of nobody: %v", err)
			}
			in.Changes[0], in.Author = put(t, name(i), text(i)), ann
		}
		h, err := r.Commit(ctx, in)
		if err != nil {
			t.Error(err)
			return
		}
		made = append(made, h)
	}
	for i, h := range made {
		if got, err := r.ReadFile(ctx, h, path(t, name(i))); err != nil || string(got) != text(i) {
			t.Errorf("%s: %q, %v", name(i), got, err)
		}
	}
	report, err := r.Verify(ctx, VerifyOptions{})
	if err != nil || !report.Whole() {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestRoomIsGivenOnce(t *testing.T) {
	r := new(room)
	var all [][]byte
	for i := range 2000 {
		b := r.take(i * 3)
		if len(b) != 0 || cap(b) != i*3 {
			t.Fatalf("%d bytes with room for %d, not for %d", len(b), cap(b), i*3)
		}
		for range i * 3 {
			b = append(b, byte(i))
		}
		all = append(all, b)
	}
	for i, b := range all {
		for _, c := range b {
			if c != byte(i) {
				t.Fatalf("%d was given twice", i)
			}
		}
	}
}
