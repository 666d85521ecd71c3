package gitrepo

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func both(t *testing.T, test func(t *testing.T, r *Repo)) {
	t.Run("memory", func(t *testing.T) {
		r := NewMemory(Options{})
		t.Cleanup(func() { closeRepo(t, r) })
		test(t, r)
	})
	t.Run("disk", func(t *testing.T) {
		r, dir := disked(t)
		test(t, r)
		closeRepo(t, r) // git fsck complains of packs that are consolidated under it
		fsck(t, dir)
	})
}

func TestCommitAndRead(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		if _, err := r.Tip(""); !errors.Is(err, ErrNotFound) {
			t.Fatalf("tip of an empty repository: %v", err)
		}
		first := commit(t, r, put(t, "a/b/c", "1"), put(t, "a/b.txt", "2"), put(t, "z", "3"))
		second := commit(t, r, put(t, "a/b/d", ""), del(t, "z"), del(t, "absent/file"))
		wantFile(t, r, first, "z", "3")
		wantNone(t, r, first, "a/b/d")
		wantFile(t, r, second, "a/b/c", "1")
		wantFile(t, r, second, "a/b/d", "")
		wantNone(t, r, second, "z")
		wantNone(t, r, second, "a/b")
		wantNone(t, r, second, "z/below")
		tip, err := r.Tip("main")
		if err != nil || tip != second {
			t.Fatalf("tip %s, %v", tip, err)
		}
		files, err := r.ReadFolder(ctx, second, path(t, "a/b"))
		if err != nil || len(files) != 2 || string(files["c"]) != "1" {
			t.Fatalf("folder: %v, %v", files, err)
		}
		if _, err := r.ReadFolder(ctx, second, path(t, "a/b.txt")); !errors.Is(err, ErrNotFound) {
			t.Fatalf("a file read as a folder: %v", err)
		}
		if _, err := r.ReadFile(ctx, Hash{1}, path(t, "z")); !errors.Is(err, ErrNotFound) {
			t.Fatalf("unknown commit: %v", err)
		}
		entries, err := r.List(ctx, second, path(t, "a"))
		if err != nil || len(entries) != 2 || entries[0].Path != "a/b.txt" || !entries[1].IsDir || entries[1].Size != -1 {
			t.Fatalf("list: %v, %v", entries, err)
		}
		var walked []string
		if err := r.Walk(ctx, first, path(t, "a"), func(e Entry) error { walked = append(walked, e.Path); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(walked, " "); got != "a/b.txt a/b/c" {
			t.Fatalf("walked %s", got)
		}
	})
}

func TestCommitReplacesFilesByFoldersAndBack(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		commit(t, r, put(t, "x", "file"), put(t, "y/in", "folder"), put(t, "y/out", "gone"))
		h := commit(t, r, put(t, "x/in", "folder now"), put(t, "y", "file now"))
		wantFile(t, r, h, "x/in", "folder now")
		wantFile(t, r, h, "y", "file now")
		h = commit(t, r, put(t, "y", "lost"), put(t, "y/deep/er", "wins"), del(t, "x"), put(t, "x/again", "new"))
		wantFile(t, r, h, "y/deep/er", "wins")
		wantFile(t, r, h, "x/again", "new")
		wantNone(t, r, h, "x/in")
		if _, err := r.Commit(context.Background(), CommitInput{Author: ann, At: when, Changes: []Change{del(t, "x/again/below")}}); !errors.Is(err, ErrNothing) {
			t.Fatalf("deleting below a file: %v", err)
		}
	})
}

func TestEmptyCommits(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		in := CommitInput{Message: "m", Author: ann, At: when}
		if _, err := r.Commit(ctx, in); !errors.Is(err, ErrNothing) {
			t.Fatalf("first: %v", err)
		}
		in.AllowEmpty = true
		if _, err := r.Commit(ctx, in); err != nil {
			t.Fatal(err)
		}
		commit(t, r, put(t, "a/b", "1"))
		in.AllowEmpty, in.Changes = false, []Change{put(t, "a/b", "1")}
		if _, err := r.Commit(ctx, in); !errors.Is(err, ErrNothing) {
			t.Fatalf("same content: %v", err)
		}
		h := commit(t, r, del(t, "a"))
		if entries, err := r.List(ctx, h, pathRoot); err != nil || len(entries) != 0 {
			t.Fatalf("all deleted: %v, %v", entries, err)
		}
		h = commit(t, r, put(t, "again", "x"))
		wantFile(t, r, h, "again", "x")
	})
}

func TestCommitRefuses(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		tip := commit(t, r, put(t, "a", "1"))
		good := CommitInput{Changes: []Change{put(t, "a", "2")}, Message: "m", Author: ann, At: when}
		bad := map[string]struct {
			change func(*CommitInput)
			want   error
		}{
			"no name":         {func(in *CommitInput) { in.Author.Name = " <>" }, ErrInvalid},
			"no email":        {func(in *CommitInput) { in.Author.Email = "" }, ErrInvalid},
			"NUL in message":  {func(in *CommitInput) { in.Message = "a\x00b" }, ErrInvalid},
			"message too big": {func(in *CommitInput) { in.Message = strings.Repeat("x", MaxMessage+1) }, ErrInvalid},
			"no time":         {func(in *CommitInput) { in.At = time.Time{} }, ErrInvalid},
			"root":            {func(in *CommitInput) { in.Changes = []Change{{Delete: true}} }, ErrInvalid},
			"too large":       {func(in *CommitInput) { in.Changes[0].Data = make([]byte, MaxObject+1) }, ErrTooLarge},
			"branch name":     {func(in *CommitInput) { in.Branch = "a..b" }, ErrInvalid},
			"branch escapes":  {func(in *CommitInput) { in.Branch = "../../config" }, ErrInvalid},
			"branch lock":     {func(in *CommitInput) { in.Branch = "main.lock" }, ErrInvalid},
			"other parent":    {func(in *CommitInput) { in.Parent = &Hash{1} }, ErrMoved},
			"below a branch":  {func(in *CommitInput) { in.Branch = "main/below" }, ErrInvalid},
		}
		for name, c := range bad {
			in := good
			in.Changes = []Change{put(t, "a", "2")}
			c.change(&in)
			if _, err := r.Commit(context.Background(), in); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
		if now, err := r.Tip(""); err != nil || now != tip {
			t.Fatalf("a refused commit moved the branch: %v", err)
		}
		good.Parent = &tip
		if _, err := r.Commit(context.Background(), good); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCancelledContextChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		tip := commit(t, r, put(t, "a", "1"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := r.Commit(ctx, CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if _, err := r.Merge(ctx, MergeInput{From: "main", Author: ann, At: when}); !errors.Is(err, context.Canceled) {
			t.Fatalf("merge: %v", err)
		}
		if now, err := r.Tip(""); err != nil || now != tip {
			t.Fatalf("tip %s, %v", now, err)
		}
	})
}

// A caller that waits for the writer must be able to give up.
func TestWaitingForTheWriterEndsWithTheContext(t *testing.T) {
	r := NewMemory(Options{})
	defer closeRepo(t, r)
	if err := r.acquire(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := r.Commit(ctx, CommitInput{Author: ann, At: when, AllowEmpty: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	r.release()
}

func TestCallersBytesAreTheirOwn(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		data := []byte("original")
		h := commit(t, r, Change{Path: path(t, "f"), Data: data})
		copy(data, "scribble")
		got, err := r.ReadFile(context.Background(), h, path(t, "f"))
		if err != nil || string(got) != "original" {
			t.Fatalf("%q, %v", got, err)
		}
		copy(got, "scribble")
		wantFile(t, r, h, "f", "original")
	})
}

func TestClosed(t *testing.T) {
	for _, r := range []*Repo{NewMemory(Options{}), opened(t, filepath.Join(t.TempDir(), "r"))} {
		h := commit(t, r, put(t, "a", "1"))
		closeRepo(t, r)
		closeRepo(t, r)
		ctx := context.Background()
		_, commitErr := r.Commit(ctx, CommitInput{Author: ann, At: when, AllowEmpty: true})
		_, readErr := r.ReadFile(ctx, h, path(t, "a"))
		_, tipErr := r.Tip("")
		_, listErr := r.Branches()
		for _, err := range []error{commitErr, readErr, tipErr, listErr} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	}
}

func TestCommitSanitisesTheAuthor(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		h, err := r.Commit(context.Background(), CommitInput{
			Changes: []Change{put(t, "a", "1")}, Message: "Grüße\n\nKey: value", At: when.In(time.FixedZone("x", 3600)),
			Author: Signature{"  An\nn <x> O'Neil. ", "<ann@example.org>\x00"},
		})
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.ReadCommit(context.Background(), h)
		if err != nil {
			t.Fatal(err)
		}
		if c.Author != (Signature{"Ann x O'Neil", "ann@example.org"}) || !c.At.Equal(when) || c.Message != "Grüße\n\nKey: value\n" {
			t.Fatalf("%+v", c)
		}
	})
}

// A file that a folder replaced does not come back when the folder is emptied
// by the same commit.
func TestPutBelowAFileThenDelete(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		commit(t, r, put(t, "b", "file"), put(t, "c", "stays"))
		h := commit(t, r, put(t, "b/in/deep", "x"), del(t, "b/in"))
		wantNone(t, r, h, "b")
		wantFile(t, r, h, "c", "stays")
	})
}
