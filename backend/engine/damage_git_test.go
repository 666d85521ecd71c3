package engine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// gitPacks are the files in the pack folder that end so.
func gitPacks(t *testing.T, dir, suffix string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, GitDir, "objects", "pack", "*"+suffix))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	return names
}

// instead puts other bytes in the place of a file, as another program would.
func instead(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func bytesOf(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// overwrite changes three bytes of the content of a document in its pack, where
// it lies, and returns what puts them back.
func overwrite(t *testing.T, dir string, h *Host, id string) (restore func()) {
	t.Helper()
	row, err := h.o.State.Lookup(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	blob := strings.TrimSpace(gitOutput(t, dir, "rev-parse", "main:"+row.Folder.String()+"/content.txt"))
	for _, idx := range gitPacks(t, dir, ".idx") {
		show := exec.Command("git", "show-index")
		show.Stdin = bytes.NewReader(bytesOf(t, idx))
		listed, err := show.Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(listed)) {
			fields := strings.Fields(line)
			if fields[1] != blob {
				continue
			}
			at, err := strconv.Atoi(fields[0])
			if err != nil {
				t.Fatal(err)
			}
			pack := strings.TrimSuffix(idx, ".idx") + ".pack"
			flip(t, pack, at+5, 3)
			return func() { flip(t, pack, at+5, 3) }
		}
	}
	t.Fatalf("no pack has %s", blob)
	return nil
}

// flip changes bytes of a file that is open, and changes them back.
func flip(t *testing.T, name string, at, n int) {
	t.Helper()
	data := bytesOf(t, name)[at : at+n]
	for i := range data {
		data[i] ^= 0xff
	}
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(data, int64(at))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// One pack that cannot be opened is no reason to refuse everything else: what
// git cannot give any more is written again from what the service holds, and
// the damaged repository is kept.
func TestOnePackThatCannotBeOpenedRefusesTheStart(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"garbage in the index": func(t *testing.T, dir string) {
			for _, idx := range gitPacks(t, dir, ".idx") {
				instead(t, idx, []byte("garbage"))
			}
		},
		"torn pack": func(t *testing.T, dir string) {
			for _, pack := range gitPacks(t, dir, ".pack") {
				data := bytesOf(t, pack)
				instead(t, pack, data[:len(data)-50])
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := service(t, "k")
			dir := t.TempDir()
			h := start(t, external(dir, address))
			awaitState(t, h, StatePrimary)
			put(t, h, doc("a", "one"), doc("b", "two"))
			await(t, h, "every store in step", inStep)
			stop(t, h)
			spoil(t, dir)
			h = start(t, external(dir, address))
			awaitState(t, h, StatePrimary)
			await(t, h, "every store in step", func(s *Stats) bool {
				return inStep(s) && gitWhole(s) && s.Stores[1].Damage == "" && slices.Contains(s.Safe, "git")
			})
			stop(t, h)
			gitOutput(t, dir, "fsck", "--strict", "--full")
			aside, err := filepath.Glob(filepath.Join(dir, GitDir+asideMark+"*"))
			if err != nil || len(aside) != 1 {
				t.Errorf("the damaged repository was not kept: %v, %v", aside, err)
			}
		})
	}
}

// A foreign pack of random bytes, which real git passes over, stops nothing, and
// is shown until it is moved away.
func TestAForeignPackOfRandomBytesStopsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	base := filepath.Join(dir, GitDir, "objects", "pack", "pack-0123456789012345678901234567890123456789")
	writeFile(t, base+".pack", "random bytes")
	writeFile(t, base+".idx", "more random bytes")
	put(t, h, doc("b", "two"))
	synced(t, h)
	lookNow(h)
	s := await(t, h, "the damage shown", func(s *Stats) bool { return strings.Contains(s.Stores[1].Warning, base) })
	if !slices.Contains(s.Safe, "git") || s.Parked != 0 || s.Stores[1].Damage != "" || s.Stores[1].Err != "" {
		t.Errorf("git can deliver every document: %v, %d parked", s.Safe, s.Parked)
	}
	stop(t, h)
	h = start(t, detached(dir))
	wantText(t, h, "a", "one", probe.Git)
	wantText(t, h, "b", "two", probe.Git)
	await(t, h, "the damage shown again", func(s *Stats) bool { return strings.Contains(s.Stores[1].Warning, base) })
	wantEvent(t, h, "git", "nothing needs it")
	for _, suffix := range []string{".pack", ".idx"} {
		if err := os.Remove(base + suffix); err != nil {
			t.Fatal(err)
		}
	}
	lookNow(h)
	await(t, h, "git without damage", func(s *Stats) bool { return s.Stores[1].Warning == "" })
	if err := os.RemoveAll(base); err != nil {
		t.Fatal(err)
	}
}

// A document whose content is damaged, and that no other place holds, is shown
// as missing from when that is known, over commits and restarts, until its file
// is put back.
func TestKnownDamageIsShownAsHealthy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("b", "the second text"))
	synced(t, h)
	await(t, h, "git alone has the content", trimmed)
	stop(t, h)
	h = start(t, detached(dir))
	restore := overwrite(t, dir, h, "b")
	if _, err := h.Get(t.Context(), mustID("b")); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "corrupt") {
		t.Fatalf("nobody holds it: %v", err)
	}
	shown := func(s *Stats) bool {
		return s.Parked == 1 && s.Stores[1].Damage != "" && !slices.Contains(s.Safe, "git") && !s.Stores[1].Unknown
	}
	await(t, h, "the damage shown", shown)
	page, err := h.List(t.Context(), Query{})
	if err != nil || len(page.Rows) != 2 || page.Rows[0].Git != InStep || page.Rows[1].Git != Missing {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	told := func() (n int) {
		for _, ev := range h.Journal().Since(0) {
			if ev.Level == Error && strings.Contains(ev.Text, `"b"`) && strings.Contains(ev.Text, "damaged") && strings.Contains(ev.Next, "put the named file back") {
				n++
			}
		}
		return n
	}
	await(t, h, "the damage told", func(*Stats) bool { return told() == 1 })
	put(t, h, doc("c", "three"))
	await(t, h, "committed", func(s *Stats) bool { return s.Stores[1].Cursor >= 3 })
	if !shown(h.Stats()) || told() != 1 {
		t.Errorf("forgotten after a commit, or told again: %+v, told %d times", h.Stats().Stores[1], told())
	}
	if err := h.Sync(t.Context()); err == nil {
		t.Error("git is said to hold every write")
	}
	stop(t, h)
	h = start(t, detached(dir))
	if s := h.Stats(); s.Parked != 1 || slices.Contains(s.Safe, "git") {
		t.Errorf("forgotten after a restart: %+v, %v", s.Stores[1], s.Safe)
	}
	if _, err := h.Get(t.Context(), mustID("b")); err == nil {
		t.Error("it was delivered")
	}
	await(t, h, "the damage shown", shown)
	restore()
	lookNow(h)
	await(t, h, "git whole", func(s *Stats) bool {
		return s.Parked == 0 && s.Stores[1].Damage == "" && slices.Contains(s.Safe, "git")
	})
	wantText(t, h, "b", "the second text", probe.Git)
}

// What another place still holds is written to git again.
func TestADamagedDocumentStaysDamagedThoughMemoryHoldsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := memstore.New(cacheBytes)
	h := startWith(t, detached(dir), func(o *Options) { o.Memory = kept })
	put(t, h, doc("a", "one"), doc("b", "the second text"))
	synced(t, h)
	await(t, h, "memory holds both", func(s *Stats) bool { return s.Cached == 2 && trimmed(s) })
	stop(t, h)
	h = startWith(t, detached(dir), func(o *Options) { o.Memory = kept })
	overwrite(t, dir, h, "b")
	wantText(t, h, "b", "the second text", probe.Memory)
	await(t, h, "written again", func(s *Stats) bool {
		return s.Parked == 0 && s.Stores[1].Damage == "" && slices.ContainsFunc(toldAbout(h, "git", Info), func(s string) bool { return strings.Contains(s, "holds 1 documents again") })
	})
	stop(t, h)
	h = start(t, detached(dir))
	wantText(t, h, "b", "the second text", probe.Git)
	if s := h.Stats(); s.Parked != 0 || s.Stores[1].Damage != "" {
		t.Errorf("%d parked, damage %q", s.Parked, s.Stores[1].Damage)
	}
}

// Damage that made the repository be written anew is gone with the old one.
func TestDamageIsShownOfARepositoryThatWasMovedAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := memstore.New(cacheBytes)
	h := startWith(t, detached(dir), func(o *Options) { o.Memory = kept })
	put(t, h, doc("a", "one"), doc("b", "two"))
	synced(t, h)
	await(t, h, "memory holds both", func(s *Stats) bool { return s.Cached == 2 && trimmed(s) })
	stop(t, h)
	h = startWith(t, detached(dir), func(o *Options) { o.Memory = kept })
	await(t, h, "git known", gitWhole)
	for _, pack := range gitPacks(t, dir, ".pack") {
		flip(t, pack, 12, len(bytesOf(t, pack))-32)
	}
	for _, id := range []string{"a", "b"} {
		wantText(t, h, id, map[string]string{"a": "one", "b": "two"}[id])
	}
	await(t, h, "made anew", func(s *Stats) bool {
		aside, err := filepath.Glob(filepath.Join(dir, GitDir+asideMark+"*"))
		return err == nil && len(aside) == 1 && gitWhole(s) && s.Parked == 0 && s.Stores[1].Damage == ""
	})
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
}

// A repository whose only branch is another one is not ours to begin a second
// history in.
func TestABranchThatIsNotMainIsTakenForAnEmptyRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	stop(t, h)
	losesItsState(t, dir)
	gitOutput(t, dir, "branch", "-m", "main", "master")
	gitOutput(t, dir, "update-ref", "-d", "refs/caiatop/last")
	before := gitOutput(t, dir, "for-each-ref")
	for range 2 {
		_, err := Start(t.Context(), detached(dir))
		var other *OtherBranchError
		if !errors.As(err, &other) || other.Branch != "master" || !errors.Is(err, store.ErrIdentity) || !strings.Contains(err.Error(), GitDir) {
			t.Fatalf("got %v", err)
		}
	}
	if after := gitOutput(t, dir, "for-each-ref"); after != before {
		t.Errorf("it was written to:\n%s", after)
	}
	gitOutput(t, dir, "branch", "-m", "master", "main")
	h = start(t, detached(dir))
	await(t, h, "its documents", func(s *Stats) bool { return s.Documents == 1 && gitWhole(s) })
	wantText(t, h, "a", "one")
}
