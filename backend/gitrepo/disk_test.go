package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRealGitReadsWhatWeWrite(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	for i := range 5 {
		commit(t, r, put(t, fmt.Sprintf("documents/text/%d/content.txt", i), fmt.Sprintf("text %d\n", i)), put(t, "same", "s"))
	}
	fsck(t, dir)
	if got := git(t, dir, "rev-list", "--count", "main"); got != "5" {
		t.Errorf("rev-list counts %s commits", got)
	}
	if got := git(t, dir, "show", "main:documents/text/3/content.txt"); got != "text 3" {
		t.Errorf("show: %q", got)
	}
	if got := git(t, dir, "log", "-1", "--format=%an|%ae|%aI|%s"); got != "Ann Author|ann@example.org|2026-11-22T10:00:00+00:00|change" {
		t.Errorf("log: %q", got)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", dir, clone)
	if data, err := os.ReadFile(filepath.Join(clone, "same")); err != nil || string(data) != "s" {
		t.Errorf("clone: %q, %v", data, err)
	}
	if packs := matches(t, dir, "objects/pack/*.pack"); len(packs) != 5 {
		t.Errorf("5 commits made %d packs", len(packs))
	}
	refilled(r) // spare files were tried out
	if extra := matches(t, dir, "objects/pack/tmp*"); len(extra) != 0 {
		t.Errorf("left behind: %v", extra)
	}
}

func matches(t testing.TB, dir, pattern string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPushByRealGitIsBuiltUpon(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "ours", "1"))
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", dir, clone)
	write(t, filepath.Join(clone, "theirs"), "pushed")
	git(t, clone, "add", ".")
	git(t, clone, "commit", "-q", "-m", "theirs")
	git(t, clone, "push", "-q", "origin", "HEAD:main")
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, r, tip, "theirs", "pushed")
	h := commit(t, r, put(t, "ours", "2"))
	wantFile(t, r, h, "theirs", "pushed")
	wantFile(t, r, h, "ours", "2")
	if got := git(t, dir, "rev-list", "--count", "main"); got != "3" {
		t.Errorf("%s commits", got)
	}
	fsck(t, dir)
}

func write(t testing.TB, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Repacking makes deltas, packed references and, before gc, loose objects.
func TestReadsAfterRealGitRepacks(t *testing.T) {
	needGit(t)
	for _, args := range [][]string{
		{"gc", "-q", "--prune=now"},
		{"repack", "-adfq", "--depth=50", "--window=50"},
		{"repack", "-adq", "--write-midx"},
		{"-c", "pack.indexVersion=2", "repack", "-aq", "--max-pack-size=1m"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			r, dir := disked(t)
			body := strings.Repeat("some line that is the same in every version\n", 200)
			var versions []Hash
			for i := range 20 {
				versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprintf("%s%d\n", body, i)), put(t, fmt.Sprintf("d/%d", i), body)))
			}
			git(t, dir, args...)
			fresh := opened(t, dir)
			for i, h := range versions {
				want := fmt.Sprintf("%s%d\n", body, i)
				wantFile(t, fresh, h, "doc", want)
				wantFile(t, r, h, "doc", want)
			}
			h := commit(t, r, put(t, "after", "repack"))
			wantFile(t, fresh, h, "after", "repack")
			fsck(t, dir)
		})
	}
}

func TestReadsLooseObjects(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "a", "1"))
	work := t.TempDir()
	git(t, dir, "clone", "-q", dir, work)
	write(t, filepath.Join(work, "b"), "loose")
	git(t, work, "add", ".")
	git(t, work, "commit", "-q", "-m", "loose")
	git(t, dir, "-c", "fetch.unpackLimit=1000", "fetch", "-q", work, "HEAD:refs/heads/loose")
	if loose := matches(t, dir, "objects/[0-9a-f][0-9a-f]/*"); len(loose) == 0 {
		t.Fatal("git made no loose objects; this test tests nothing")
	}
	tip, err := r.Tip("loose")
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, r, tip, "b", "loose")
	// A torn one is named, and no panic.
	blob := matches(t, dir, "objects/"+git(t, dir, "rev-parse", "loose:b")[:2]+"/*")[0]
	truncate(t, blob, 5)
	_, err = opened(t, dir).ReadFile(context.Background(), tip, path(t, "b"))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(blob)) {
		t.Fatalf("torn loose object: %v", err)
	}
}

func truncate(t testing.TB, name string, size int64) {
	t.Helper()
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

// A lock that a living program holds is respected: nothing moves, and the
// wait ends.
func TestForeignLockIsRespected(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "1"))
	write(t, filepath.Join(dir, "refs", "heads", "main.lock"), "")
	now := time.Now()
	r.refs.(*diskRefs).now = func() time.Time { now = now.Add(lockWait); return now }
	_, err := r.Commit(context.Background(), CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "main.lock") {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	r.refs.(*diskRefs).now = time.Now
	if _, err := r.Commit(ctx, CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if at, err := r.Tip(""); err != nil || at != tip {
		t.Fatalf("tip %s, %v", at, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	needGit(t)
	cases := map[string]func(dir string){
		"a folder with files": func(dir string) { write(t, filepath.Join(dir, "x"), "x") },
		"a work tree":         func(dir string) { git(t, dir, "init", "-q") },
		"no bare one":         func(dir string) { git(t, dir, "init", "-q", "--bare"); git(t, dir, "config", "core.bare", "false") },
		"sha256":              func(dir string) { git(t, dir, "init", "-q", "--bare", "--object-format=sha256") },
		"alternates": func(dir string) {
			git(t, dir, "init", "-q", "--bare")
			write(t, filepath.Join(dir, "objects/info/alternates"), "/elsewhere\n")
		},
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			prepare(dir)
			if _, err := OpenDisk(dir, Options{}); !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestOpenFinishesWhatACrashLeftUnfinished(t *testing.T) {
	_, dir := disked(t)
	if err := os.Remove(filepath.Join(dir, "HEAD")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".HEAD.tmp-0011"), "ref")
	r := opened(t, dir)
	commit(t, r, put(t, "a", "1"))
	fsck(t, dir)
}

// A disk that is not mounted any more must not become a new history.
func TestRepositoryGone(t *testing.T) {
	r, dir := disked(t)
	h := commit(t, r, put(t, "a", "1"))
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	_, tipErr := r.Tip("")
	_, commitErr := r.Commit(context.Background(), CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when})
	for _, err := range []error{tipErr, commitErr, r.CreateBranch("b", h)} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder came back: %v", err)
	}
}

// A pack that cannot be opened keeps nobody from opening the repository.
func TestCorruptFilesAreNamed(t *testing.T) {
	damage := map[string]func(t *testing.T, pack, idx string){
		"torn pack":        func(t *testing.T, pack, _ string) { truncate(t, pack, 100) },
		"empty pack":       func(t *testing.T, pack, _ string) { truncate(t, pack, 0) },
		"torn index":       func(t *testing.T, _, idx string) { truncate(t, idx, 1100) },
		"empty index":      func(t *testing.T, _, idx string) { truncate(t, idx, 0) },
		"flipped in index": func(t *testing.T, _, idx string) { flip(t, idx, 1040) },
		"flipped counts":   func(t *testing.T, _, idx string) { flip(t, idx, 12) },
	}
	for name, hurt := range damage {
		t.Run(name, func(t *testing.T) {
			r, dir := disked(t)
			commit(t, r, put(t, "a", "1"))
			closeRepo(t, r)
			pack, idx := matches(t, dir, "objects/pack/*.pack")[0], matches(t, dir, "objects/pack/*.idx")[0]
			hurt(t, pack, idx)
			r = opened(t, dir)
			known := r.Damage()
			if len(known) != 1 || !errors.Is(known[0].Err, ErrCorrupt) || !strings.Contains(known[0].Err.Error(), strings.TrimSuffix(pack, ".pack")) {
				t.Fatalf("known damage: %+v", known)
			}
		})
	}
}

func flip(t testing.TB, name string, at int64) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x55
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, name, string(data))
}

// Every single flipped byte in a pack's objects gives the right content or a
// typed error, and never a panic.
func TestEveryFlippedByteOfAPack(t *testing.T) {
	r, dir := disked(t)
	h := commit(t, r, put(t, "a/b", "content of the file"), put(t, "c", "d"))
	closeRepo(t, r)
	pack := matches(t, dir, "objects/pack/*.pack")[0]
	info, err := os.Stat(pack)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for at := int64(packHeader); at < info.Size()-20; at++ {
		flip(t, pack, at)
		r, err := OpenDisk(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := r.ReadFile(context.Background(), h, path(t, "a/b"))
		switch {
		case err == nil && string(data) == "content of the file":
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotFound):
			noticed++
		default:
			t.Errorf("flipped byte %d: %q, %v", at, data, err)
		}
		closeRepo(t, r)
		flip(t, pack, at)
	}
	if noticed == 0 {
		t.Fatal("no flipped byte was noticed")
	}
}

// Objects over the limit that somebody pushed are refused by name, loose and
// packed, and the rest stays readable.
func TestPushedObjectOverTheLimit(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "a", "1"))
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", dir, clone)
	write(t, filepath.Join(clone, "huge"), "")
	if err := os.Truncate(filepath.Join(clone, "huge"), MaxObject+1); err != nil {
		t.Fatal(err)
	}
	git(t, clone, "add", ".")
	git(t, clone, "commit", "-q", "-m", "huge")
	git(t, clone, "push", "-q", "origin", "HEAD:main")
	for _, state := range []string{"as pushed", "repacked"} {
		if state == "repacked" {
			git(t, dir, "repack", "-adq")
		}
		h := commit(t, r, put(t, "state", state))
		if _, err := r.ReadFile(context.Background(), h, path(t, "huge")); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", state, err)
		}
		wantFile(t, r, h, "a", "1")
	}
}
