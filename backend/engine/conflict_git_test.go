package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/probe"
)

// pushedConflicts is an engine without a service, and somebody who pushed what
// was written here as well: both, theirdelete and ourdelete.
func pushedConflicts(t *testing.T) (dir string, h *Host, c clone) {
	t.Helper()
	dir = t.TempDir()
	h = start(t, detached(dir))
	put(t, h, doc("both", "base"), doc("ourdelete", "base"), doc("theirdelete", "base"))
	synced(t, h)
	c = cloneOf(t, dir)
	free := blocked(t, dir)
	folder := newest(t, h, "ourdelete").Folder.String()
	put(t, h, doc("both", "ours"), doc("theirdelete", "ours"))
	discard(t, h, "ourdelete")
	c.edit(h, "both", "theirs")
	c.file(filepath.Join(folder, document.TextFile), "theirs")
	if err := os.RemoveAll(filepath.Join(c.dir, newest(t, h, "theirdelete").Folder.String())); err != nil {
		t.Fatal(err)
	}
	c.push(h)
	free()
	taken(t, h)
	return dir, h, c
}

func TestConflictsOfAPush(t *testing.T) {
	dir, h, c := pushedConflicts(t)
	if n := open(h); n != 3 {
		t.Fatalf("%d are open", n)
	}
	pushed := c.git("rev-parse", "HEAD")
	for id, want := range map[string]struct {
		ours, theirs string
		kept         Side
	}{"both": {"ours", "theirs", Theirs}, "ourdelete": {"none", "theirs", Ours}, "theirdelete": {"ours", "none", Theirs}} {
		d := dispute(t, h, id)
		ours, theirs, known := d.Sides()
		if textOf(ours) != want.ours || textOf(theirs) != want.theirs || textOf(d.Base) != "base" || d.Kept != want.kept || !known || d.Moved {
			t.Errorf("%s: ours %q, theirs %q, base %q (%s), %+v", id, textOf(ours), textOf(theirs), textOf(d.Base), d.NoBase, d.Conflict)
		}
		if d.Where != probe.Git || d.Author != "Them" || d.Commit != pushed || d.OpID == "" {
			t.Errorf("%s: %+v", id, d.Conflict)
		}
	}
	if page, err := h.List(t.Context(), Query{Contains: "both"}); err != nil || page.Rows[0].Git != Disputed || page.Rows[0].Govc != Detached {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	name := dispute(t, h, "both").Name
	for _, id := range []string{"both", "ourdelete", "theirdelete"} {
		choice := ChooseTheirs
		if id == "ourdelete" {
			choice = ChooseOurs
		}
		resolve(t, h, id, Resolution{Choice: choice})
	}
	synced(t, h)
	wantText(t, h, "both", "theirs")
	wantGone(t, h, "ourdelete")
	wantGone(t, h, "theirdelete")
	wantGone(t, h, name.String())
	if out := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Contains(out, state.CopyMark) || strings.Count(out, document.TextFile) != 1 {
		t.Errorf("git holds %s", out)
	}
	gitOutput(t, dir, "fsck", "--strict", "--full")
}

// TestAPushThatIsTakenOverTwiceBringsItsConflictsOnce: a process that is killed
// while it takes a push over does it again, whatever was decided meanwhile.
func TestAPushThatIsTakenOverTwiceBringsItsConflictsOnce(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("both", "base"), doc("theirdelete", "base"))
	synced(t, h)
	c := cloneOf(t, dir)
	free := blocked(t, dir)
	put(t, h, doc("both", "ours"), doc("theirdelete", "ours"))
	c.edit(h, "both", "theirs")
	if err := os.RemoveAll(filepath.Join(c.dir, newest(t, h, "theirdelete").Folder.String())); err != nil {
		t.Fatal(err)
	}
	// The reference that says that the push is known cannot be written.
	c.push(h)
	await(t, h, "two conflicts", func(s *Stats) bool { return s.Conflicts == 2 })
	name := dispute(t, h, "both").Name
	resolve(t, h, "both", Resolution{Choice: ChooseOurs})
	before := len(toldAbout(h, kindConflict, Warning))
	free()
	lookNow(h)
	taken(t, h)
	wantGone(t, h, name.String())
	wantText(t, h, "both", "ours")
	if n, told := open(h), toldAbout(h, kindConflict, Warning); n != 1 || len(told) != before {
		t.Errorf("%d are open, told %q", n, told)
	}
}

// forgotten makes a state that never recorded a conflict, as of earlier
// versions.
func forgotten(t *testing.T, h *Host) {
	t.Helper()
	if err := h.o.State.SetMeta(t.Context(), metaConflicts, ""); err != nil {
		t.Fatal(err)
	}
}

func TestCopiesOfEarlierVersionsAreListed(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	long, other := strings.Repeat("x", document.MaxID-3)+"one", strings.Repeat("x", document.MaxID-3)+"two"
	op, longOp, digest := newID(), newID(), "0123456789ab"
	name := func(id, mark string) string {
		made, err := conflictID(mustID(id), mark)
		if err != nil {
			t.Fatal(err)
		}
		return made.String()
	}
	var docs []document.Document
	for id, text := range map[string]string{
		"op": "theirs", name("op", op): "ours", "told": "ours", name("told", digest): "theirs",
		"untold": "?", name("untold", digest): "??", long: "theirs", other: "not concerned", name(long, longOp): "ours",
		name("deleted", op): "ours", name(strings.Repeat("y", document.MaxID), longOp): "whose",
		"my.conflict-notes": "no copy", "my.conflict-0123456789": "nor this",
	} {
		docs = append(docs, doc(id, text))
	}
	put(t, h, docs...)
	h.event(Warning, kindConflict, `"told" was changed in git too: our version keeps the place, theirs is kept as "`+name("told", digest)+`"`, "Compare")
	if n := open(h); n != 0 {
		t.Fatalf("%d are recorded", n)
	}
	forgotten(t, h)
	stop(t, h)
	for range 2 {
		h = start(t, detached(dir))
		list, total, err := h.Conflicts(t.Context(), false, 0, 0)
		if err != nil || total != 6 || len(list) != 6 {
			t.Fatalf("%d: %+v, %v", total, list, err)
		}
		forgotten(t, h) // looking twice changes nothing
		stop(t, h)
	}
	h = start(t, detached(dir))
	for id, want := range map[string]Conflict{
		name("op", op):         {ID: mustID("op"), Kept: Ours, OpID: op, Where: probe.Govc},
		name("told", digest):   {ID: mustID("told"), Kept: Theirs, Where: probe.Git},
		name("untold", digest): {ID: mustID("untold")},
		name(long, longOp):     {ID: mustID(long), Kept: Ours, OpID: longOp, Where: probe.Govc},
		name("deleted", op):    {ID: mustID("deleted"), Kept: Ours, OpID: op, Where: probe.Govc},
		name(strings.Repeat("y", document.MaxID), longOp): {Kept: Ours, OpID: longOp, Where: probe.Govc},
	} {
		d := dispute(t, h, id)
		if at := d.At; at.IsZero() != (id != name("told", digest)) {
			t.Errorf("%s was found at %s", id, at)
		}
		want.Name, want.Copy, d.At = mustID(id), true, want.At
		if d.Conflict != want || d.Base != nil || d.NoBase == "" || d.Moved {
			t.Errorf("%s: %+v, want %+v; base %q", id, d.Conflict, want, d.NoBase)
		}
	}
	unknown := name("untold", digest)
	seen := dispute(t, h, unknown).Seen
	if _, err := h.Resolve(t.Context(), mustID(unknown), Resolution{Choice: ChooseOurs, Seen: seen}); err == nil || !strings.Contains(err.Error(), "place") {
		t.Errorf("nobody knows which side is ours: %v", err)
	}
	resolve(t, h, unknown, Resolution{Choice: ChooseCopy})
	wantText(t, h, "untold", "??")
	resolve(t, h, name("deleted", op), Resolution{Choice: ChooseOurs})
	wantText(t, h, "deleted", "ours")
	whose := name(strings.Repeat("y", document.MaxID), longOp)
	if _, err := h.Resolve(t.Context(), mustID(whose), Resolution{Choice: ChooseOurs, Seen: dispute(t, h, whose).Seen}); err == nil || !strings.Contains(err.Error(), "caiatop get") {
		t.Errorf("it belongs to no document: %v", err)
	}
	resolve(t, h, whose, Resolution{Choice: ChooseBoth, As: mustID("found")})
	wantText(t, h, "found", "whose")
	if n := open(h); n != 3 {
		t.Errorf("%d are open", n)
	}
}

// TestCopiesInGitAreListedByAStateThatIsMadeAnew: what was lost with the state
// file is unknown, and the copies are there.
func TestCopiesInGitAreListedByAStateThatIsMadeAnew(t *testing.T) {
	dir, h, _ := pushedConflicts(t)
	name := dispute(t, h, "both").Name
	stop(t, h)
	for _, file := range []string{"state.db", "state.db-wal", "state.db-shm"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	h = start(t, detached(dir))
	list, _, err := h.Conflicts(t.Context(), false, 0, 0)
	if err != nil || len(list) != 1 || list[0].Name != name || list[0].Kept != UnknownSide || list[0].ID != mustID("both") {
		t.Errorf("%+v, %v", list, err)
	}
	resolve(t, h, "both", Resolution{Choice: ChoosePlace})
	wantText(t, h, "both", "ours")
}
