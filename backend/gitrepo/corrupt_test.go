package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

func makeFolder(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// fakeHash names an object that is nowhere, or a lie.
func fakeHash(n byte) Hash { return Hash{0xde, 0xad, n} }

// victims is a repository with three documents, a pack each.
func victims(t *testing.T) (r *Repo, dir string, tip Hash) {
	t.Helper()
	r, dir = disked(t)
	for _, name := range []string{"a", "b", "c"} {
		tip = commit(t, r, put(t, "docs/"+name+"/text", "text of "+name))
	}
	return r, dir, tip
}

// othersRead fails unless the other documents are what they were.
func othersRead(t *testing.T, r *Repo, at Hash, names ...string) {
	t.Helper()
	for _, name := range names {
		wantFile(t, r, at, "docs/"+name+"/text", "text of "+name)
	}
}

// names fails unless the error is of that kind and names the object.
func wantError(t *testing.T, err, kind error, object string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), object) {
		t.Errorf("got %v, want %v that names %s", err, kind, object)
	}
}

// Objects of every broken kind: reading one names it, and the others are read.
func TestBrokenObjectsAreNamed(t *testing.T) {
	cases := brokenObjects()
	_, dir, tip := victims(t)
	hashes := make(map[string]Hash)
	for name, c := range cases {
		hashes[name] = fakeHash(byte(100 + len(hashes))) //nolint:gosec // few
		c.add(t, dir, hashes[name])
	}
	r := opened(t, dir)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := hashes[name]
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			data, err := r.ReadBlob(context.Background(), h)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("read %d bytes", len(data))
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > hugeObject/4 {
				t.Errorf("it took %d bytes to see that", used)
			}
			named := c.named
			if named == "" {
				named = h.String()
			}
			wantError(t, err, c.want, named)
			othersRead(t, r, tip, "a", "b", "c")
		})
	}
	next := commit(t, r, put(t, "docs/d/text", "text of d"))
	othersRead(t, r, next, "a", "b", "c", "d")
}

// A pack whose objects are damaged in the middle, and objects that are missing,
// are named by whoever needs them; what lies elsewhere is read.
func TestMissingAndDamagedObjectsOfADocument(t *testing.T) {
	for _, lost := range []string{"blob", "tree"} {
		t.Run("missing "+lost, func(t *testing.T) {
			needGit(t)
			_, dir, tip := victims(t)
			object := git(t, dir, "rev-parse", map[string]string{"blob": "main:docs/b/text", "tree": "main:docs/b"}[lost])
			unpackAll(t, dir)
			if err := os.Remove(filepath.Join(dir, "objects", object[:2], object[2:])); err != nil {
				t.Fatal(err)
			}
			r := opened(t, dir)
			_, err := r.ReadFile(context.Background(), tip, path(t, "docs/b/text"))
			wantError(t, err, ErrCorrupt, object)
			othersRead(t, r, tip, "a", "c")
			var walked []string
			err = r.Walk(context.Background(), tip, path(t, "docs"), func(e Entry) error {
				walked = append(walked, e.Path)
				return nil
			})
			if lost == "tree" {
				wantError(t, err, ErrCorrupt, object) // never a silent skip
			} else if err != nil || len(walked) != 3 {
				t.Errorf("walk: %v, %v", walked, err)
			}
			next := commit(t, r, put(t, "docs/c/text", "text of d"))
			othersRead(t, r, next, "a")
		})
	}
}

// unpackAll makes every object of a repository a loose one.
func unpackAll(t *testing.T, dir string) {
	t.Helper()
	aside := t.TempDir()
	for _, pack := range matches(t, dir, "objects/pack/*.pack") {
		for _, suffix := range []string{".pack", ".idx"} {
			from := strings.TrimSuffix(pack, ".pack") + suffix
			if err := os.Rename(from, filepath.Join(aside, filepath.Base(from))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pack := range matches(t, aside, "*.pack") {
		data, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		gitWith(t, dir, data, "unpack-objects", "-q")
	}
}

// gitWith runs real git with an input.
func gitWith(t testing.TB, dir string, input []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Gil", "GIT_AUTHOR_EMAIL=gil@example.org", "GIT_COMMITTER_NAME=Gil", "GIT_COMMITTER_EMAIL=gil@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// A torn pack or index that turns up beside a repository is passed over, as real
// git does: it is named, nothing of it is touched, and all the rest is read and
// written, by who has the repository open and by who opens it.
func TestATornPackBesideOthersStopsNobody(t *testing.T) {
	pack, idx := craftPack(blobOf("x"))
	for name, files := range map[string][2]string{
		"torn pack":     {string(pack[:len(pack)-7]), string(idx)},
		"empty pack":    {"", string(idx)},
		"torn index":    {string(pack), string(idx[:1000])},
		"empty index":   {string(pack), ""},
		"garbage":       {"garbage", "garbage"},
		"another index": {string(pack), string(encodeIndex([]indexEntry{{hash: fakeHash(1)}, {hash: fakeHash(2)}}, fakeHash(3)))},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir, _ := victims(t)
			base := filepath.Join(dir, "objects", "pack", "pack-"+strings.Repeat("ab", 20))
			write(t, base+".pack", files[0])
			write(t, base+".idx", files[1])
			tip := commit(t, r, put(t, "docs/d/text", "text of d"))
			othersRead(t, r, tip, "a", "b", "c", "d")
			closeRepo(t, r)
			r = opened(t, dir)
			tip = commit(t, r, put(t, "docs/e/text", "text of e"))
			othersRead(t, r, tip, "a", "b", "c", "d", "e")
			if known := r.Damage(); len(known) != 1 || !strings.HasPrefix(known[0].File, base) || !errors.Is(known[0].Err, ErrCorrupt) {
				t.Errorf("known damage: %+v", known)
			}
			wantError(t, r.Maintenance().Err, ErrCorrupt, filepath.Base(base))
			if report, err := r.Verify(context.Background(), VerifyOptions{}); err != nil ||
				!slices.ContainsFunc(report.Findings, func(f Finding) bool { return strings.HasPrefix(f.File, base) }) {
				t.Errorf("verify found %+v, %v", report.Findings, err)
			}
			if err := r.Settle(context.Background()); err != nil {
				t.Error(err)
			}
			for i, suffix := range []string{".pack", ".idx"} {
				if data, err := os.ReadFile(base + suffix); err != nil || string(data) != files[i] {
					t.Errorf("%s was changed: %d bytes, %v", suffix, len(data), err)
				}
			}
		})
	}
}

// A reference that cannot be read is named; the other branches are read.
func TestBrokenReferencesAreNamed(t *testing.T) {
	cases := map[string]struct {
		content func(r *Repo, tip Hash) string
		want    error
	}{
		"empty":           {func(*Repo, Hash) string { return "" }, ErrCorrupt},
		"garbage":         {func(*Repo, Hash) string { return "\x00\xffgarbage" }, ErrCorrupt},
		"half a name":     {func(_ *Repo, tip Hash) string { return tip.String()[:20] }, ErrCorrupt},
		"zeros":           {func(*Repo, Hash) string { return Hash{}.String() + "\n" }, ErrCorrupt},
		"too long":        {func(*Repo, Hash) string { return strings.Repeat("a", maxRefFile+1) }, ErrCorrupt},
		"to itself":       {func(*Repo, Hash) string { return "ref: refs/heads/broken\n" }, ErrCorrupt},
		"out of the way":  {func(*Repo, Hash) string { return "ref: refs/../../../etc/passwd\n" }, ErrCorrupt},
		"to what is gone": {func(*Repo, Hash) string { return fakeHash(7).String() + "\n" }, ErrCorrupt},
		"to no commit":    {func(*Repo, Hash) string { return blobOf("text of a").hash.String() + "\n" }, ErrCorrupt},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, dir, tip := victims(t)
			write(t, filepath.Join(dir, "refs", "heads", "broken"), c.content(r, tip))
			_, err := r.Commit(context.Background(), CommitInput{Branch: "broken", Changes: []Change{put(t, "x", "y")}, Author: ann, At: when})
			wantError(t, err, c.want, "refs/heads/broken")
			if at, err := r.Tip("broken"); err == nil && at.IsZero() {
				t.Error("it is at no commit, and no error says so")
			}
			if at, err := r.Tip(""); err != nil || at != tip {
				t.Errorf("main: %s, %v", at, err)
			}
			next := commit(t, r, put(t, "docs/d/text", "text of d"))
			othersRead(t, r, next, "a", "b", "c", "d")
		})
	}
}

// Trees that cannot be read are named by every reader.
func TestBrokenTreesAreNamed(t *testing.T) {
	for name, tree := range map[string]string{
		"no mode":       "file\x00" + strings.Repeat("h", hashSize),
		"cut short":     "100644 file\x00short",
		"no name":       "100644 \x00" + strings.Repeat("h", hashSize),
		"no end":        "100644 " + strings.Repeat("n", 100),
		"mode of words": "10064x file\x00" + strings.Repeat("h", hashSize),
		"endless mode":  strings.Repeat("1", 40) + " file\x00" + strings.Repeat("h", hashSize),
	} {
		t.Run(name, func(t *testing.T) {
			r, dir, tip := victims(t)
			h := hashObject(plumbing.TreeObject, []byte(tree))
			data, err := encodeCommit(Commit{Tree: h, Author: ann, At: when})
			if err != nil {
				t.Fatal(err)
			}
			broken := hashObject(plumbing.CommitObject, data)
			addPack(t, dir,
				crafted{hash: h, kind: plumbing.TreeObject, size: len(tree), data: []byte(tree)},
				crafted{hash: broken, kind: plumbing.CommitObject, size: len(data), data: data})
			_, err = r.ReadFile(context.Background(), broken, path(t, "some/file"))
			wantError(t, err, ErrCorrupt, h.String())
			err = r.Walk(context.Background(), broken, pathRoot, func(Entry) error { return nil })
			wantError(t, err, ErrCorrupt, h.String())
			othersRead(t, r, tip, "a", "b", "c")
		})
	}
}

// What a crash between two names leaves: an index without its pack, or a pack
// without its index. Real git takes neither for damage, and gc removes both.
func TestRealGitIgnoresHalfAPack(t *testing.T) {
	needGit(t)
	r, dir, tip := victims(t)
	pack, idx := craftPack(blobOf("never acknowledged"))
	packs := filepath.Join(dir, "objects", "pack")
	write(t, filepath.Join(packs, "pack-"+strings.Repeat("1", 40)+".idx"), string(idx))
	write(t, filepath.Join(packs, "pack-"+strings.Repeat("2", 40)+".pack"), string(pack))
	if out := git(t, dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress"); out != "" {
		t.Errorf("fsck: %s", out)
	}
	if got := git(t, dir, "rev-list", "--count", "main"); got != "3" {
		t.Errorf("rev-list: %s", got)
	}
	git(t, dir, "clone", "-q", dir, filepath.Join(t.TempDir(), "clone"))
	git(t, dir, "gc", "-q", "--prune=now")
	for _, n := range []string{"1", "2"} {
		if left := matches(t, dir, "objects/pack/pack-"+strings.Repeat(n, 40)+"*"); len(left) != 0 {
			t.Errorf("gc leaves %v", left)
		}
	}
	fresh := opened(t, dir)
	othersRead(t, fresh, tip, "a", "b", "c")
	next := commit(t, r, put(t, "docs/d/text", "text of d"))
	othersRead(t, r, next, "a", "b", "c", "d")
	fsck(t, dir)
}
