package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/store"
)

// rebuilt rebuilds the state file of a folder.
func rebuilt(t *testing.T, s Setup, o RebuildOptions) (*Host, Rebuilt) {
	t.Helper()
	h, report, err := Rebuild(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, h) })
	if left, err := filepath.Glob(filepath.Join(s.Dir, "salvage-*")); err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	return h, report
}

// ends closes an engine that cannot bring everything to git.
func ends(t *testing.T, h *Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("git held everything")
	}
	h.closers = nil
}

func wantAside(t *testing.T, dir string, report Rebuilt, old []byte) {
	t.Helper()
	if report.Aside == "" || filepath.Dir(report.Aside) != dir {
		t.Fatalf("aside %q", report.Aside)
	}
	if kept := bytesOf(t, filepath.Join(report.Aside, "state.db")); !bytes.Equal(kept, old) {
		t.Errorf("the old file is not kept as it was: %d bytes, were %d", len(kept), len(old))
	}
	if _, err := os.Stat(filepath.Join(dir, RebuildFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record of it is there still: %v", err)
	}
}

// serviceAhead is a state folder whose service has what git lacks: a newer version of
// a, a new document, and the delete of c.
func serviceAhead(t *testing.T, s Setup) {
	t.Helper()
	h := stocked(t, s)
	goesOn := gitStands(t, s.Dir)
	put(t, h, doc("a", "alpha three"), doc("new", "of the service"))
	if _, err := h.Delete(t.Context(), mustID("c")); err != nil {
		t.Fatal(err)
	}
	await(t, h, "the service in step", func(s *Stats) bool { return s.Stores[0].Lag == 0 })
	ends(t, h)
	goesOn()
}

func wantAhead(t *testing.T, h *Host) {
	t.Helper()
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "alpha three")
	wantText(t, h, "b", "beta")
	wantText(t, h, "new", "of the service")
	wantGone(t, h, "c")
	wantGone(t, h, "d")
	if n := h.Stats().Documents; n != 3 {
		t.Errorf("%d documents", n)
	}
	wantClean(t, h)
}

func TestALostStateFileIsRebuiltFromAServiceThatIsAhead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serviceAhead(t, setup(dir))
	losesItsState(t, dir)
	h, report := rebuilt(t, setup(dir), RebuildOptions{})
	wantAhead(t, h)
	if report.Aside != "" || report.State != StatePrimary || len(report.Unknown) < 2 || !strings.Contains(strings.Join(report.Unknown, " "), "git's newest commit") {
		t.Errorf("%+v", report)
	}
	revisions, err := h.History(t.Context(), mustID("a"), 10)
	if err != nil || len(revisions) != 3 {
		t.Errorf("the earlier versions are in its history: %+v, %v", revisions, err)
	}
}

// Also without a command: the embedded service is ours alone.
func TestALostStateFileMakesConflictsOfWhatOnlyTheServiceHad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serviceAhead(t, setup(dir))
	losesItsState(t, dir)
	wantAhead(t, start(t, setup(dir)))
}

func TestALostStateFileIsRebuiltFromAGitThatIsAhead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillDown}); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StateFallback)
	put(t, h, doc("a", "alpha three"), doc("new", "of git"))
	if _, err := h.Delete(t.Context(), mustID("c")); err != nil {
		t.Fatal(err)
	}
	synced(t, h)
	stop(t, h)
	losesItsState(t, dir)
	h, _ = rebuilt(t, setup(dir), RebuildOptions{})
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "alpha three")
	wantText(t, h, "new", "of git")
	wantGone(t, h, "c")
	if all := texts(t, outside(t, h, dir)); len(all) != 3 || all["a"] != "alpha three" || all["new"] != "of git" {
		t.Errorf("the service holds %v", all)
	}
	wantClean(t, h)
}

// onlyInOutbox is a state folder whose outbox alone knows the newest writes.
func onlyInOutbox(t *testing.T, dir string) {
	t.Helper()
	h := stocked(t, setup(dir))
	if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillDown}); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StateFallback)
	goesOn := gitStands(t, dir)
	put(t, h, doc("a", "alpha three"))
	put(t, h, doc("a", "alpha four"), doc("new", "pending"))
	if _, err := h.Delete(t.Context(), mustID("c")); err != nil {
		t.Fatal(err)
	}
	ends(t, h)
	goesOn()
}

func wantOutbox(t *testing.T, h *Host, report Rebuilt) {
	t.Helper()
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "alpha four")
	wantText(t, h, "new", "pending")
	wantGone(t, h, "c")
	if report.Read < 4 || report.Again != 3 || report.Conflicts != 0 {
		t.Errorf("%+v", report)
	}
	if n := h.Stats().Documents; n != 3 {
		t.Errorf("%d documents", n)
	}
	wantClean(t, h)
}

func TestADamagedStateFileGivesUpItsOutbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onlyInOutbox(t, dir)
	// The index is damaged, the outbox is not.
	database(t, dir, "state.db", `PRAGMA writable_schema = ON`, `UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'documents'`)
	old := bytesOf(t, filepath.Join(dir, "state.db"))
	h, report := rebuilt(t, setup(dir), RebuildOptions{})
	wantOutbox(t, h, report)
	wantAside(t, dir, report, old)
	if h.Stats().Facts.Lineage == "" {
		t.Error("it does not know its lineage")
	}
	wantEvent(t, h, rebuildKind, "3 operations of the old outbox")
}

func TestATruncatedStateFileIsRebuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serviceAhead(t, setup(dir))
	file := filepath.Join(dir, "state.db")
	database(t, dir, "state.db", `PRAGMA wal_checkpoint(TRUNCATE)`)
	old := bytesOf(t, file)
	old = old[:len(old)/2]
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	h, report := rebuilt(t, setup(dir), RebuildOptions{})
	wantAhead(t, h)
	wantAside(t, dir, report, old)
}

// Wherever a rebuild is killed, nothing but a rebuild starts there, and the next
// one goes on.
func TestARebuildThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onlyInOutbox(t, dir)
	left := t.TempDir()
	s := func(dir string) Setup { return setup(dir) }
	for name, killed := range map[string]func(t *testing.T, dir string){
		"in the move": func(t *testing.T, dir string) {
			aside := begun(t, dir, false)
			if err := os.MkdirAll(aside, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"state.db", "state.db-wal"} {
				if err := os.Link(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Join(dir, "state.db")); err != nil {
				t.Fatal(err)
			}
		},
		"after the move": func(t *testing.T, dir string) { begun(t, dir, true) },
		"once it was written again": func(t *testing.T, dir string) {
			r := &rebuild{setup: s(dir), options: RebuildOptions{Force: true}, now: time.Now}
			if err := r.replace(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := s(dir)
			s.rebuilding = r.prepareRebuild
			h := start(t, s)
			r.host = h
			if err := h.adoptedGit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.salvage(t.Context()); err != nil || r.report.Again != 3 {
				t.Fatalf("%+v, %v", r.report, err)
			}
			stop(t, h)
			if err := r.close(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir2 := filepath.Join(left, strings.ReplaceAll(name, " ", "-"))
			copyFolder(t, dir, dir2)
			killed(t, dir2)
			if _, err := Start(t.Context(), s(dir2)); !errors.Is(err, ErrRebuilding) {
				t.Fatalf("it starts: %v", err)
			}
			h, report := rebuilt(t, s(dir2), RebuildOptions{Force: true})
			if name == "once it was written again" {
				if report.Again != 0 {
					t.Errorf("written twice: %+v", report)
				}
				report.Again = 3
			}
			wantOutbox(t, h, report)
			kept, err := filepath.Glob(filepath.Join(dir2, stateAside+"*", "state.db"))
			if err != nil || len(kept) != 1 {
				t.Errorf("aside: %v, %v", kept, err)
			}
		})
	}
}

// begun does the first steps of a rebuild, and returns the folder aside.
func begun(t *testing.T, dir string, moved bool) (aside string) {
	t.Helper()
	r := &rebuild{setup: setup(dir), options: RebuildOptions{Force: true}, now: time.Now}
	err := r.look(t.Context(), true)
	if err == nil {
		err = r.begin()
	}
	if err == nil && moved {
		err = r.move()
		r.record.Moved = true
		err = errors.Join(err, r.write())
	}
	if err = errors.Join(err, r.old.Close()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, r.record.Aside)
}

func TestAWholeStateFileIsNotRebuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	if _, _, err := Rebuild(t.Context(), setup(dir), RebuildOptions{Force: true}); err == nil {
		t.Fatal("an engine uses the folder")
	} else if _, held := errors.AsType[*durable.LockedError](err); !held {
		t.Errorf("%v", err)
	}
	stop(t, h)
	old := bytesOf(t, filepath.Join(dir, "state.db"))
	if _, _, err := Rebuild(t.Context(), setup(dir), RebuildOptions{}); !errors.Is(err, ErrNothingToRebuild) {
		t.Errorf("%v", err)
	}
	if now := bytesOf(t, filepath.Join(dir, "state.db")); !bytes.Equal(now, old) {
		t.Error("looking at it changed it")
	}
	start(t, setup(dir))
}

func TestAnOldCopyOfTheStateFileIsRebuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	stop(t, h)
	old := bytesOf(t, filepath.Join(dir, "state.db"))
	h = start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "alpha three"))
	await(t, h, "every store in step", healthyAndInStep)
	stop(t, h)
	if err := os.WriteFile(filepath.Join(dir, "state.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), setup(dir)); !errors.Is(err, store.ErrIdentity) {
		t.Fatalf("%v", err)
	}
	h, report := rebuilt(t, setup(dir), RebuildOptions{})
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "alpha three")
	if !strings.Contains(report.Why, "old copy") || h.Stats().Documents != 3 {
		t.Errorf("%+v", report)
	}
	wantAside(t, dir, report, old)
}

func TestAnotherServiceIsNotAdoptedByARebuild(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	dir := t.TempDir()
	h := stocked(t, external(dir, address))
	stop(t, h)
	losesItsState(t, dir)
	h, report := rebuilt(t, external(dir, address), RebuildOptions{})
	if report.State != StateLocked || !strings.Contains(strings.Join(report.Unknown, " "), "what the service holds") {
		t.Errorf("%+v", report)
	}
	stop(t, h)
	losesItsState(t, dir)
	h, report = rebuilt(t, external(dir, address), RebuildOptions{Adopt: true})
	if report.State != StatePrimary {
		t.Errorf("%+v", report)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantClean(t, h)
}

func TestTheStateFilesKeptAsideAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stop(t, start(t, detached(dir)))
	for i := range maxStateAside {
		if err := os.Mkdir(filepath.Join(dir, stateAside+string(rune('a'+i))), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Rebuild(t.Context(), detached(dir), RebuildOptions{Force: true}); !errors.Is(err, ErrAsideFull) {
		t.Errorf("%v", err)
	}
	start(t, detached(dir))
}
