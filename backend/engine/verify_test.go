package engine

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// verified runs a verification to its end.
func verified(t *testing.T, h *Host, o VerifyOptions) Verification {
	t.Helper()
	if _, err := h.Verify(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return ended(t, h)
}

func ended(t *testing.T, h *Host) Verification {
	t.Helper()
	h.verify.mu.Lock()
	done := h.verify.done
	h.verify.mu.Unlock()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("it does not end: %+v", h.Verification())
	}
	return h.Verification()
}

// wantFound wants findings of one part, each about a document and with words.
func wantFound(t *testing.T, r Verification, part string, mended bool, about ...string) {
	t.Helper()
	for _, want := range about {
		id, words, _ := strings.Cut(want, ": ")
		hit := false
		for _, f := range r.Findings {
			hit = hit || (f.Part == part && f.Document == id && strings.Contains(f.What, words) && f.Mended == mended && (mended || f.Next != ""))
		}
		if !hit {
			t.Errorf("%s: nothing is said of %q (mended %v): %+v", part, want, mended, r.Findings)
		}
	}
	if got := r.part(part).Found; got != int64(len(about)) {
		t.Errorf("%s: %d findings, want %d: %+v", part, got, len(about), r.Findings)
	}
}

func wantClean(t *testing.T, h *Host) Verification {
	t.Helper()
	r := verified(t, h, VerifyOptions{})
	if r.Found != 0 || r.State != VerifyDone || len(r.Unknown()) != 0 {
		t.Errorf("%s, unknown %v, findings %+v", r.State, r.Unknown(), r.Findings)
	}
	return r
}

// database changes a database of a state folder as nobody may.
func database(t *testing.T, dir, name string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// stocked is an engine with a few documents, with everything in step.
func stocked(t *testing.T, s Setup) *Host {
	t.Helper()
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "alpha one"), doc("b", "beta"), doc("c", "gamma"), doc("d", "delta"))
	put(t, h, doc("a", "alpha two"))
	if _, err := h.Delete(t.Context(), mustID("d")); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	return h
}

func TestAWholeStoreIsVerifiedAndNothingIsFound(t *testing.T) {
	t.Parallel()
	h := stocked(t, setup(t.TempDir()))
	before := h.Stats()
	r := wantClean(t, h)
	for _, part := range []string{PartState, PartGit, PartIndex, PartGovc, PartText} {
		if p := r.part(part); p.State != "done" || p.Checked == 0 || p.Checked != p.Total {
			t.Errorf("%+v", p)
		}
	}
	s := h.Stats()
	if s.Reads != before.Reads || s.Writes != before.Writes {
		t.Errorf("it counts as throughput: %d reads, %d writes", s.Reads-before.Reads, s.Writes-before.Writes)
	}
	seen := map[probe.Store]int64{}
	for _, op := range s.Ops {
		if op.Op == probe.Verify {
			seen[op.Store] = op.Count
		}
	}
	if seen[probe.Govc] != 3 || seen[probe.Git] != 3 {
		t.Errorf("its reads are labelled: %v", seen)
	}
	if s.Verify.State != VerifyDone || s.Verify.Findings != nil || s.Verify.Ended.IsZero() {
		t.Errorf("%+v", s.Verify)
	}
	wantEvent(t, h, verifyKind, "nothing is wrong")
}

func TestWhatSomebodyDidAtTheServiceIsFoundAndMended(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	there := outside(t, h, dir)
	key, theirs := changed(get(t, h, "a"), "theirs")
	writeThere(t, there, key, theirs)
	earlier, old := changed(get(t, h, "c"), "gamma")
	lost := get(t, h, "b")
	at := time.Now()
	apply := func(op store.Op) {
		t.Helper()
		if _, err := there.Apply(t.Context(), store.Batch{Ops: []store.Op{op}, Author: setup("").Author, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	apply(store.Op{Key: store.Key{ID: mustID("b"), Folder: lost.Folder}})
	put(t, h, doc("c", "gamma two"))
	await(t, h, "c in step", healthyAndInStep)
	old.UpdatedAt = get(t, h, "c").Document.UpdatedAt
	revisions, err := h.History(t.Context(), mustID("c"), 10)
	if err != nil || len(revisions) != 2 {
		t.Fatalf("%v, %v", revisions, err)
	}
	was, err := h.o.Git.GetAt(t.Context(), revisions[1].Commit, earlier)
	if err != nil {
		t.Fatal(err)
	}
	apply(store.Op{Key: earlier, Doc: &was})
	new := doc("new", "of a colleague")
	new.CreatedAt, new.UpdatedAt = at.UTC(), at.UTC()
	apply(store.Op{Key: store.NewKey(document.LayoutFanOut, new), Doc: &new})

	r := verified(t, h, VerifyOptions{})
	wantFound(t, r, PartGovc, false, "a: somebody changed it", "b: does not hold it", "c: an earlier version", "new: the index does not know it")
	if r.Mended != 0 || r.Good() {
		t.Errorf("nothing was to be mended: %+v", r)
	}
	if n := h.Stats().Documents; n != 3 {
		t.Errorf("it changed the index: %d documents", n)
	}
	r = verified(t, h, VerifyOptions{Repair: true})
	wantFound(t, r, PartGovc, true, "a: somebody changed it", "b: does not hold it", "c: an earlier version", "new: the index does not know it")
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "a", "theirs")
	wantText(t, h, "new", "of a colleague")
	if all := texts(t, there); all["b"] != "beta" || all["c"] != "gamma two" || all["a"] != "theirs" {
		t.Errorf("the service holds %v", all)
	}
	if n := len(copies(t, h, "a")); n != 0 {
		t.Errorf("%d conflict copies: ours is in the history", n)
	}
	wantClean(t, h)
}

func TestARowThatLeftTheIndexIsTakenBackFromGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	database(t, dir, "state.db", `DELETE FROM documents WHERE id = 'b'`)
	if _, err := h.Get(t.Context(), mustID("b")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the index knows it: %v", err)
	}
	r := verified(t, h, VerifyOptions{Repair: true})
	wantFound(t, r, PartState, true, ": it counts 3 documents")
	wantFound(t, r, PartIndex, true, "b: the index does not know it")
	if !r.Good() {
		t.Errorf("%+v", r.Findings)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantText(t, h, "b", "beta")
	wantClean(t, h)
}

func TestAFlippedByteInAPackIsFoundAndWrittenAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	overwrite(t, dir, h, "b")
	r := verified(t, h, VerifyOptions{Repair: true})
	if !r.Good() || r.part(PartGit).Found < 2 {
		t.Errorf("%+v", r.Findings)
	}
	found := false
	for _, f := range r.Findings {
		found = found || (strings.Contains(f.What, ".pack") && f.Document == "")
	}
	if !found {
		t.Errorf("no finding names the pack: %+v", r.Findings)
	}
	await(t, h, "git whole again", func(s *Stats) bool { return s.Parked == 0 && s.Stores[1].Damage == "" && inStep(s) })
	stop(t, h)
	if text := gitOutput(t, dir, "show", "main:"+folderOf(t, dir, "b")+"/content.txt"); !strings.HasSuffix(text, "\nbeta") { // after what git says of the damaged copy
		t.Errorf("git holds %q", text)
	}
}

func folderOf(t *testing.T, dir, id string) string {
	t.Helper()
	for line := range strings.Lines(gitOutput(t, dir, "ls-tree", "-r", "-d", "--name-only", "main")) {
		if line = strings.TrimSpace(line); filepath.Base(line) == id {
			return line
		}
	}
	t.Fatalf("git has no %s", id)
	return ""
}

func TestDamageThatNothingCanMendIsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("b", "the second text"))
	synced(t, h)
	await(t, h, "git alone has the content", trimmed)
	stop(t, h)
	h = start(t, detached(dir))
	overwrite(t, dir, h, "b")
	r := verified(t, h, VerifyOptions{Repair: true})
	if r.Good() || r.part(PartGit).Found == 0 {
		t.Errorf("%+v", r.Findings)
	}
	about := false
	for _, f := range r.Findings {
		about = about || (f.Part == PartGit && f.Document == "b" && !f.Mended && f.Next != "")
	}
	if !about {
		t.Errorf("b is lost, and nobody says so: %+v", r.Findings)
	}
	if p := r.part(PartGovc); p.State != "unknown" || p.Unknown == "" || p.Found != 0 {
		t.Errorf("%+v", p)
	}
}

func TestWhatCannotBeLookedAtIsUnknown(t *testing.T) {
	t.Parallel()
	h := stocked(t, setup(t.TempDir()))
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := verified(t, h, VerifyOptions{})
	if p := r.part(PartGovc); p.State != "unknown" || !strings.Contains(p.Unknown, "FALLBACK") || p.Checked != 0 {
		t.Errorf("%+v", p)
	}
	if r.Found != 0 || strings.Join(r.Unknown(), "") != PartGovc {
		t.Errorf("%v: %+v", r.Unknown(), r.Findings)
	}
	wantEvent(t, h, verifyKind, "not known as a whole: govc")
}

func TestASampleReadsNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	h := stocked(t, setup(t.TempDir()))
	r := verified(t, h, VerifyOptions{Sample: 2})
	if git, govc := r.part(PartGit), r.part(PartGovc); git.Checked != 2 || govc.Checked != 2 || git.Unknown == "" || r.Found != 0 {
		t.Errorf("%+v, %+v", git, govc)
	}
	if _, err := h.Verify(t.Context(), VerifyOptions{Sample: -1}); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if _, err := h.Verify(t.Context(), VerifyOptions{Sample: MaxSample + 1}); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("%v", err)
	}
	r = verified(t, h, VerifyOptions{Sample: MaxSample})
	if git := r.part(PartGit); git.Checked != 3 {
		t.Errorf("%+v", git)
	}
}

// heldVerification is an engine whose verification has begun and waits for a
// service that does not answer what is asked about documents.
func heldVerification(t *testing.T, s Setup, front *between) *Host {
	t.Helper()
	front.heal()
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", inStep)
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if !aboutDocuments(r) {
			return false
		}
		<-r.Context().Done()
		return true
	})
	if _, err := h.Verify(t.Context(), VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), VerifyOptions{}); !errors.Is(err, ErrVerifying) {
		t.Errorf("a second one began: %v", err)
	}
	return h
}

func TestAVerificationIsStoppedByItsOperatorAndByTheEnd(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	set := external(t.TempDir(), front.url)
	h := heldVerification(t, set, front)
	if err := h.StopVerification(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := h.Verification(); r.State != VerifyStopped || h.Stats().Verify.State != VerifyStopped {
		t.Errorf("%+v", r)
	}
	if err := h.StopVerification(t.Context()); err != nil {
		t.Errorf("none runs: %v", err)
	}
	stop(t, h)
	h = heldVerification(t, set, front)
	stop(t, h)
	if _, err := h.Verify(t.Context(), VerifyOptions{}); !errors.Is(err, ErrClosing) {
		t.Errorf("%v", err)
	}
	front.heal()
	h = start(t, set)
	if r := h.Verification(); r.State != VerifyStopped || r.Ended.IsZero() {
		t.Errorf("after a restart: %+v", r)
	}
	if n := len(toldAbout(h, verifyKind, Warning)); n != 2 {
		t.Errorf("told %d times: %v", n, toldAbout(h, verifyKind, Warning))
	}
}

// A process that is killed leaves its state file as it was at that moment.
func TestAKilledVerificationIsToldOfAtTheNextStart(t *testing.T) {
	t.Parallel()
	dir, left := t.TempDir(), t.TempDir()
	front := inFront(t, service(t, "k"))
	h := heldVerification(t, external(dir, front.url), front)
	for _, name := range []string{"state.db", "state.db-wal"} {
		if err := os.WriteFile(filepath.Join(left, name), bytesOf(t, filepath.Join(dir, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, h)
	db, err := state.Open(t.Context(), left, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if db.Meta(metaVerifying) == "" {
		t.Error("it began, and that is not recorded")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h = start(t, detached(left))
	wantEvent(t, h, verifyKind, "was not finished")
	if h.o.State.Meta(metaVerifying) != "" {
		t.Error("it is told of again")
	}
}

func TestAWriteDuringAVerificationIsNoFinding(t *testing.T) {
	t.Parallel()
	h := stocked(t, setup(t.TempDir()))
	stopWriting := make(chan struct{})
	wrote := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stopWriting:
				wrote <- nil
				return
			default:
			}
			id := []string{"a", "b", "e"}[i%3]
			_, err := h.Put(context.Background(), doc(id, strings.Repeat("x", i%50)))
			if err == nil && i%4 == 3 {
				_, err = h.Delete(context.Background(), mustID(id))
			}
			if err != nil {
				wrote <- err
				return
			}
		}
	}()
	for range 5 {
		if r := verified(t, h, VerifyOptions{}); r.Found != 0 {
			t.Errorf("%+v", r.Findings)
		}
	}
	close(stopWriting)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}
