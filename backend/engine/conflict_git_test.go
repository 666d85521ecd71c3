package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

func TestConflictsOfAPush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("both", "base"), doc("ourdelete", "base"), doc("theirdelete", "base"))
	synced(t, h)
	c := cloneOf(t, dir)
	c.edit(h, "both", "theirs")
	c.edit(h, "ourdelete", "theirs")
	if err := os.RemoveAll(filepath.Join(c.dir, newest(t, h, "theirdelete").Folder.String())); err != nil {
		t.Fatal(err)
	}
	c.commit("theirs")
	free := blocked(t, dir)
	put(t, h, doc("both", "ours"), doc("theirdelete", "ours"))
	discard(t, h, "ourdelete")
	c.git("push", "-q", "origin", "main")
	lookNow(h)
	free()
	taken(t, h)
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
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("both", "base"), doc("theirdelete", "base"))
	synced(t, h)
	c := cloneOf(t, dir)
	c.edit(h, "both", "theirs")
	gone := newest(t, h, "theirdelete")
	if err := os.RemoveAll(filepath.Join(c.dir, gone.Folder.String())); err != nil {
		t.Fatal(err)
	}
	from := c.git("rev-parse", "HEAD")
	commit := c.commit("theirs")
	c.git("push", "-q", "origin", "HEAD:refs/heads/theirs")
	free := blocked(t, dir)
	put(t, h, doc("both", "ours"), doc("theirdelete", "ours"))
	for i := range 2 {
		in := &intake{e: h.Engine, commit: commit, from: from}
		err := in.take(t.Context(), store.Key{ID: mustID("both"), Folder: newest(t, h, "both").Folder})
		if err == nil {
			err = in.drop(t.Context(), store.Key{ID: gone.Document.ID, Folder: gone.Folder})
		}
		if err == nil {
			err = in.flush(t.Context())
		}
		if n := open(h); err != nil || n != int64(2-i) {
			t.Fatalf("%d are open, %v", n, err)
		}
		if i == 0 {
			resolve(t, h, "both", Resolution{Choice: ChooseOurs})
		}
	}
	free()
	if told := toldAbout(h, kindConflict, Warning); len(told) != 2 {
		t.Errorf("told %q", told)
	}
	if page, err := h.List(t.Context(), Query{}); err != nil || page.Total != 2 {
		t.Errorf("%d documents, %v", page.Total, err)
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
	t.Parallel()
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
		h.overConflicts() // as one that found too many; looking twice changes nothing
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
