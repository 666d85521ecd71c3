package engine

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// forgetful is setup with an embedded service that keeps nothing.
func forgetful(dir string) Setup {
	s := setup(dir)
	s.Memory = true
	return s
}

// run starts an engine, waits until it serves, lets do work, and ends it in
// step.
func run(t *testing.T, s Setup, do func(h *Host)) {
	t.Helper()
	h := start(t, s)
	if s.Detached {
		do(h)
		synced(t, h)
	} else {
		awaitState(t, h, StatePrimary)
		do(h)
		await(t, h, "every store in step", healthyAndInStep)
	}
	stop(t, h)
}

// newlyCopied runs an engine, and returns what it said that it copied.
func newlyCopied(t *testing.T, s Setup, do func(h *Host)) (copies []string) {
	t.Helper()
	began := time.Now()
	run(t, s, func(h *Host) {
		for _, ev := range newEvents(h, began) {
			if ev.Kind == "reseed" {
				copies = append(copies, ev.Text[:strings.Index(ev.Text, " in ")])
			}
		}
		do(h)
	})
	return copies
}

// newEvents leaves out those of earlier starts.
func newEvents(h *Host, began time.Time) []Event {
	return slices.DeleteFunc(h.Journal().Since(0), func(ev Event) bool { return ev.At.Before(began) })
}

func nothing(*Host) {}

// TestAStartOfTheEmbeddedServiceCopiesEverything, though its folder has it all.
func TestAStartOfTheEmbeddedServiceCopiesEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var docs []document.Document
	for i := range 300 {
		docs = append(docs, doc(fmt.Sprintf("doc-%03d", i), fmt.Sprintf("text %d", i)))
	}
	run(t, setup(dir), func(h *Host) { put(t, h, docs...) })
	copies := newlyCopied(t, setup(dir), func(h *Host) {
		wantText(t, h, "doc-299", "text 299", probe.Govc)
		if n := len(texts(t, outside(t, h, dir))); n != 300 {
			t.Errorf("the service holds %d documents", n)
		}
		if s := h.Stats(); !s.Service.Durable || s.Reason != "the service has caught up" {
			t.Errorf("%+v, %s", s.Service, s.Reason)
		}
	})
	if len(copies) != 0 {
		t.Errorf("%q", copies)
	}
	if copies := newlyCopied(t, forgetful(dir), nothing); !slices.Equal(copies, []string{"Copied 300 documents to govc"}) {
		t.Errorf("in memory: %q", copies)
	}
	// What lies in the folder is of an earlier epoch by now: it is compared.
	if copies := newlyCopied(t, setup(dir), nothing); !slices.Equal(copies, []string{"Compared 300 documents with govc and copied 0"}) {
		t.Errorf("with a folder again: %q", copies)
	}
	if copies := newlyCopied(t, setup(dir), nothing); len(copies) != 0 {
		t.Errorf("%q", copies)
	}
}

// TestADeletedFolderOfTheEmbeddedServiceIsFilledFromGit, and an event says why.
func TestADeletedFolderOfTheEmbeddedServiceIsFilledFromGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "two")) })
	if err := os.RemoveAll(filepath.Join(dir, ServiceDir)); err != nil {
		t.Fatal(err)
	}
	copies := newlyCopied(t, setup(dir), func(h *Host) {
		wantText(t, h, "a", "one", probe.Govc)
		if told := toldAbout(h, "state", Warning); len(told) != 1 || !strings.Contains(told[0], "whose folder was deleted") {
			t.Errorf("told %q", told)
		}
	})
	if !slices.Equal(copies, []string{"Copied 2 documents to govc"}) {
		t.Errorf("%q", copies)
	}
}

// TestAFolderOfTheEmbeddedServiceFromABackupIsTrusted: it has our marker, and
// lacks what came after the backup, while what it has and we deleted is gone.
func TestAFolderOfTheEmbeddedServiceFromABackupIsTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, ServiceDir)
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "two"), doc("deleted later", "three")) })
	old := filepath.Join(t.TempDir(), "backup")
	copyFolder(t, folder, old)
	run(t, setup(dir), func(h *Host) {
		put(t, h, doc("a", "one changed"), doc("c", "four"))
		if _, err := h.Delete(t.Context(), mustID("deleted later")); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	copyFolder(t, old, folder)
	copies := newlyCopied(t, setup(dir), func(h *Host) {
		if told := toldAbout(h, "state", Warning); len(told) != 1 || !strings.Contains(told[0], "went back to an earlier time") {
			t.Errorf("told %q", told)
		}
		want := map[string]string{"a": "one changed", "b": "two", "c": "four"}
		there := texts(t, outside(t, h, dir))
		for id, text := range want {
			if there[id] != text {
				t.Errorf("the service holds %q of %q, want %q", there[id], id, text)
			}
		}
		if len(there) != len(want) {
			t.Errorf("the service holds %v", there)
		}
		if page, err := h.List(t.Context(), Query{Contains: ".conflict-"}); err != nil || page.Total != 0 {
			t.Errorf("%d conflict copies, %v", page.Total, err)
		}
	})
	if !slices.Equal(copies, []string{"Compared 3 documents with govc and copied 2"}) {
		t.Errorf("%q", copies)
	}
	// The messages there tell what changed, and not what was compared.
	if log := runGit(t, filepath.Join(folder, "repositories", "caia-documents.git"), "log", "-3", "--format=%B"); strings.Contains(log, "document b") || !strings.Contains(log, "Put document a") {
		t.Errorf("the log of the service: %s", log)
	}
}

// TestACommandBetweenTwoStartsMakesTheServiceBeCopied: it works without the
// service, which is sent what it missed.
func TestACommandBetweenTwoStartsMakesTheServiceBeCopied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "two")) })
	run(t, detached(dir), func(h *Host) {
		put(t, h, doc("a", "one changed"), doc("c", "three"))
		if _, err := h.Delete(t.Context(), mustID("b")); err != nil {
			t.Fatal(err)
		}
	})
	copies := newlyCopied(t, setup(dir), func(h *Host) {
		await(t, h, "every store in step", healthyAndInStep)
		if there := texts(t, outside(t, h, dir)); len(there) != 2 || there["a"] != "one changed" || there["c"] != "three" {
			t.Errorf("the service holds %v", there)
		}
	})
	if len(copies) != 0 {
		t.Errorf("%q", copies)
	}
}

// TestAServiceThatRestsKeepsTheOutboxForEver: past a limit it is let go, and
// compared as a whole when it comes back.
func TestAServiceThatRestsKeepsTheOutboxForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one")) })
	h := startWith(t, detached(dir), func(o *Options) { o.Rests, o.absentMost = true, 2 })
	put(t, h, doc("b", "two"), doc("c", "three"))
	synced(t, h)
	if _, attached := h.o.State.Cursor(primaryReplica); !attached {
		t.Error("let go at the limit")
	}
	put(t, h, doc("d", "four"))
	await(t, h, "the service let go", func(*Stats) bool {
		_, attached := h.o.State.Cursor(primaryReplica)
		lookNow(h)
		return !attached
	})
	stop(t, h)
	copies := newlyCopied(t, setup(dir), func(h *Host) { wantText(t, h, "d", "four", probe.Govc) })
	if !slices.Equal(copies, []string{"Compared 4 documents with govc and copied 3"}) {
		t.Errorf("%q", copies)
	}
}

// TestAServiceWithoutRoomIsLeftAndNothingIsSetAside: the reason is shown, and
// what is acknowledged meanwhile reaches it when there is room again.
func TestAServiceWithoutRoomIsLeftAndNothingIsSetAside(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	var asked atomic.Int32
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !isWrite(r) {
			return false
		}
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInsufficientStorage)
		_, err := fmt.Fprint(w, `{"error":"the disk of the service is full","code":"DISK_FULL"}`)
		return err == nil
	})
	if ack := put(t, h, doc("a", "one"), doc("b", "two")); ack.Durability != Local {
		t.Errorf("acknowledged as %+v", ack)
	}
	s := awaitState(t, h, StateFallback)
	if !strings.Contains(s.Reason, "of the service is full") || s.Parked != 0 {
		t.Errorf("%s, %d parked", s.Reason, s.Parked)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times to take one batch", n)
	}
	put(t, h, doc("c", "three"))
	front.heal()
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "c", "three", probe.Govc)
	if s := h.Stats(); s.Parked != 0 {
		t.Errorf("%d parked", s.Parked)
	}
}

// TestAFolderThatCannotBeUsedKeepsTheEngineFromStarting: it works without the
// service, says why and what to do, and takes the service back once that is done.
func TestAFolderThatCannotBeUsedKeepsTheEngineFromStarting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, ServiceDir)
	writeFile(t, folder, "no folder")
	h := start(t, setup(dir))
	s := awaitState(t, h, StateFallback)
	if !strings.Contains(s.Reason, folder) || !strings.Contains(s.Next, "Press r (caiatop recover)") || !strings.Contains(s.Next, folder) {
		t.Errorf("%s; %s", s.Reason, s.Next)
	}
	if ack := put(t, h, doc("a", "one")); ack.Durability != Local {
		t.Errorf("acknowledged as %+v", ack)
	}
	for range 2 {
		if err := h.Recover(t.Context(), false); err == nil || !strings.Contains(err.Error(), folder) {
			t.Errorf("got %v", err)
		}
		if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillDown}); err == nil || !strings.Contains(err.Error(), folder) {
			t.Errorf("a drill at a service that is down: %v", err)
		}
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "one", probe.Govc)
}

// TestAFolderOfTheServiceDeletedWhileItRunsNeedsARestartOfCaiatop: the advice of
// FALLBACK brings it back.
func TestAFolderOfTheServiceDeletedWhileItRunsNeedsARestartOfCaiatop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	if err := os.RemoveAll(filepath.Join(dir, ServiceDir)); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("b", "two"))
	s := await(t, h, "what to do", func(s *Stats) bool { return s.State == StateFallback && s.Next != "" && !s.Service.Health.Up })
	if !strings.Contains(s.Next, "Press r (caiatop recover)") || !strings.Contains(s.Next, filepath.Join(dir, ServiceDir)) {
		t.Errorf("%s; %s", s.Reason, s.Next)
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "one", probe.Govc)
	wantText(t, h, "b", "two", probe.Govc)
}

// TestADamagedRepositoryOfTheServiceIsToldAsOneThatAnswersAgain: what to do is to
// move it away.
func TestADamagedRepositoryOfTheServiceIsToldAsOneThatAnswersAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one")) })
	folder := filepath.Join(dir, ServiceDir)
	if err := os.RemoveAll(filepath.Join(folder, "repositories", "caia-documents.git", "objects")); err != nil {
		t.Fatal(err)
	}
	h := start(t, setup(dir))
	s := await(t, h, "what to do", func(s *Stats) bool { return s.State == StateFallback && s.Service.Health.Up })
	if !strings.Contains(s.Reason, "cannot be opened") || !strings.Contains(s.Next, "move it away") {
		t.Errorf("%s; %s", s.Reason, s.Next)
	}
	if err := h.Recover(t.Context(), false); err == nil {
		t.Error("a damaged repository was taken back")
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "one", probe.Govc)
}

// TestALostStateFileLocksTheEmbeddedService, whose folder is nobody else's. What
// it has and git lacks is not lost.
func TestALostStateFileLocksTheEmbeddedService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "two")) })
	losesItsState(t, dir)
	run(t, setup(dir), func(h *Host) {
		wantText(t, h, "a", "one", probe.Govc)
		wantText(t, h, "b", "two", probe.Govc)
		if page, err := h.List(t.Context(), Query{}); err != nil || page.Total != 2 {
			t.Errorf("%d documents, %v", page.Total, err)
		}
		put(t, h, doc("a", "one changed"))
		// Somebody with the key writes to it, and the engine does not see it.
		d := doc("only there", "three")
		d.CreatedAt, d.UpdatedAt = time.Unix(1_700_000_000, 0).UTC(), time.Unix(1_700_000_000, 0).UTC()
		writeThere(t, outside(t, h, dir), store.NewKey(document.LayoutFanOut, d), d)
	})
	losesItsState(t, dir)
	run(t, setup(dir), func(h *Host) {
		wantText(t, h, "a", "one changed", probe.Govc)
		wantText(t, h, "only there", "three", probe.Govc)
		if page, err := h.List(t.Context(), Query{Contains: ".conflict-"}); err != nil || page.Total != 0 {
			t.Errorf("%d conflict copies, %v", page.Total, err)
		}
	})
}

// TestADamagedDocumentOfTheEmbeddedServiceEndsPrimary: it is read from git, and
// written there again.
func TestADamagedDocumentOfTheEmbeddedServiceEndsPrimary(t *testing.T) {
	t.Parallel()
	dir, asGit := t.TempDir(), t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "the second text")) })
	if err := os.Symlink(filepath.Join(dir, ServiceDir, "repositories", "caia-documents.git"), filepath.Join(asGit, GitDir)); err != nil {
		t.Fatal(err)
	}
	h := start(t, detached(dir)) // so that nobody packs there meanwhile
	overwrite(t, asGit, h, "b")
	stop(t, h)
	h = start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	began := time.Now()
	wantText(t, h, "b", "the second text", probe.Git, probe.Memory)
	await(t, h, "b written there again", func(*Stats) bool {
		return slices.ContainsFunc(toldAbout(h, "missing", Info), func(s string) bool { return strings.Contains(s, "holds 1 documents again") })
	})
	wantText(t, h, "b", "the second text", probe.Govc)
	for _, ev := range newEvents(h, began) {
		if ev.Kind == "state" {
			t.Errorf("the state changed: %s", ev.Text)
		}
	}
	put(t, h, doc("b", "a third text"))
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "b", "a third text", probe.Govc)
}
