package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

func TestAConflictIsListedWithBothSidesAndTheirBase(t *testing.T) {
	t.Parallel()
	c := clashing(t, writes(t), "a")
	list, total, err := c.h.Conflicts(t.Context(), false, 0, 0)
	if err != nil || total != 1 || len(list) != 1 {
		t.Fatalf("%+v of %d, %v", list, total, err)
	}
	d := dispute(t, c.h, "a")
	if d.Conflict != list[0] {
		t.Errorf("listed %+v, shown %+v", list[0], d.Conflict)
	}
	ours, theirs, known := d.Sides()
	if textOf(ours) != "ours" || textOf(theirs) != "theirs" || textOf(d.Base) != "base" || !known || d.Moved || ours.ID != mustID("a") {
		t.Errorf("ours %q, theirs %q, base %q (%s), %+v", textOf(ours), textOf(theirs), textOf(d.Base), d.NoBase, d.Conflict)
	}
	if d.ID != mustID("a") || d.Name.String() != "a.conflict-"+d.OpID || d.Where != probe.Govc || d.Kept != Ours || d.Author != "Colleague" || d.At.IsZero() {
		t.Errorf("%+v", d.Conflict)
	}
	if hash, err := theirs.Hash(); err != nil || hash != d.Theirs || len(d.Commit) != 40 {
		t.Errorf("their version is %s at %q, %v", d.Theirs, d.Commit, err)
	}
	if !get(t, c.h, "a").Conflict || !get(t, c.h, d.Name.String()).Conflict {
		t.Error("a read does not tell")
	}
	page, err := c.h.List(t.Context(), Query{})
	if err != nil || len(page.Rows) != 2 || !page.Rows[0].Conflict || page.Rows[0].Govc != Disputed || page.Rows[0].Git != InStep || !page.Rows[1].Conflict || page.Rows[1].Govc != InStep {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	if n := c.h.Stats().ConflictsFound; n != 1 {
		t.Errorf("%d were found", n)
	}
	if _, err := c.h.Conflict(t.Context(), mustID("b")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("none about b: %v", err)
	}
	choicesNotLeft(t, c, d)
}

func TestEveryChoiceSettlesAConflictAndIsTakenBack(t *testing.T) {
	t.Parallel()
	edited := doc("edit", "third")
	cases := []struct {
		id, place, copy string
		r               Resolution
	}{
		{"ours", "ours", "none", Resolution{Choice: ChooseOurs}},
		{"theirs", "theirs", "none", Resolution{Choice: ChooseTheirs}},
		{"both", "theirs", "ours", Resolution{Choice: ChooseBoth}},
		{"edit", "third", "none", Resolution{Choice: ChooseEdit, Edited: &edited}},
		{"moved", "theirs", "none", Resolution{Choice: ChooseBoth, As: mustID("elsewhere")}},
	}
	ids := make([]string, len(cases))
	for i, tc := range cases {
		ids[i] = tc.id
	}
	c := clashing(t, writes(t), ids...)
	names := map[string]string{}
	for i, tc := range cases {
		names[tc.id] = dispute(t, c.h, tc.id).Name.String()
		ack := resolve(t, c.h, tc.id, tc.r)
		if len(ack.OpIDs) > 0 && ack.Durability != PrimaryAndLocal {
			t.Errorf("%s: acknowledged as %+v", tc.id, ack)
		}
		if got := dispute(t, c.h, names[tc.id]); textOf(got.Place) != tc.place || textOf(got.Other) != tc.copy || got.How != string(tc.r.Choice) || got.SettledAt.IsZero() {
			t.Errorf("%s: place %q, copy %q, %+v", tc.id, textOf(got.Place), textOf(got.Other), got.Conflict)
		}
		if got := c.there(tc.id); got != tc.place {
			t.Errorf("%s: the service holds %q", tc.id, got)
		}
		if n := open(c.h); n != int64(len(cases)-i-1) {
			t.Errorf("%d are open", n)
		}
		if get(t, c.h, tc.id).Conflict {
			t.Errorf("%s: a read still tells of a conflict", tc.id)
		}
	}
	wantText(t, c.h, "elsewhere", "ours")
	_, total, err := c.h.Conflicts(t.Context(), true, 0, 0)
	if err != nil || total != int64(len(cases)) {
		t.Errorf("%d are remembered, %v", total, err)
	}
	for _, tc := range cases {
		if _, err := c.h.Reopen(t.Context(), mustID(names[tc.id])); err != nil {
			t.Errorf("%s: %v", tc.id, err)
			continue
		}
		if d := dispute(t, c.h, tc.id); textOf(d.Place) != "theirs" || textOf(d.Other) != "ours" || !d.Open() {
			t.Errorf("%s: reopened with place %q and copy %q", tc.id, textOf(d.Place), textOf(d.Other))
		}
	}
	await(t, c.h, "every store in step", inStep)
	if n := open(c.h); n != int64(len(cases)) || c.there("ours") != "theirs" {
		t.Errorf("%d are open, the service holds %q", n, c.there("ours"))
	}
}

func TestAConflictWithADeleteOfOurs(t *testing.T) {
	t.Parallel()
	c := clashing(t, deletes(t), "gone", "stays", "edited", "dropped")
	d := dispute(t, c.h, "gone")
	ours, theirs, known := d.Sides()
	if ours != nil || textOf(theirs) != "theirs" || textOf(d.Base) != "base" || !known || d.Copy || d.Deleted != Ours {
		t.Errorf("ours %q, theirs %q, base %q (%s), %+v", textOf(ours), textOf(theirs), textOf(d.Base), d.NoBase, d.Conflict)
	}
	if _, err := c.h.Resolve(t.Context(), d.Name, Resolution{Choice: ChooseBoth, Seen: d.Seen}); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("there are not two versions: %v", err)
	}
	third := doc("edited", "third")
	resolve(t, c.h, "gone", Resolution{Choice: ChooseOurs})
	if ack := resolve(t, c.h, "stays", Resolution{Choice: ChooseTheirs}); len(ack.OpIDs) != 0 {
		t.Errorf("nothing was to be written: %+v", ack)
	}
	resolve(t, c.h, "edited", Resolution{Choice: ChooseEdit, Edited: &third})
	// A plain delete is the same decision.
	dropped := dispute(t, c.h, "dropped").Name
	discard(t, c.h, "dropped")
	await(t, c.h, "every store in step", inStep)
	for id, want := range map[string]string{"gone": "", "stays": "theirs", "edited": "third", "dropped": ""} {
		if got := c.there(id); got != want {
			t.Errorf("%s: the service holds %q, want %q", id, got, want)
		}
	}
	if n := open(c.h); n != 0 {
		t.Errorf("%d are open", n)
	}
	for _, name := range []document.ID{d.Name, dropped} {
		if _, err := c.h.Reopen(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	wantText(t, c.h, "gone", "theirs")
	wantText(t, c.h, "dropped", "theirs")
	if n := open(c.h); n != 2 {
		t.Errorf("%d are open", n)
	}
}

func TestWhatWasShownIsNoLongerThere(t *testing.T) {
	t.Parallel()
	c := clashing(t, writes(t), "a", "b")
	shown := dispute(t, c.h, "a")
	key, theirs := changed(get(t, c.h, "a"), "theirs again")
	writeThere(t, c.c, key, theirs)
	for _, choice := range []Choice{ChooseOurs, ChooseTheirs, ChooseBoth} {
		var moved *ConflictError
		if _, err := c.h.Resolve(t.Context(), shown.Name, Resolution{Choice: choice, Seen: shown.Seen}); !errors.As(err, &moved) || moved.ID != mustID("a") {
			t.Errorf("%s was settled over a version that nobody saw: %v", choice, err)
		}
	}
	d := dispute(t, c.h, "a")
	if textOf(d.Place) != "theirs again" || textOf(d.Other) != "ours" || !d.Moved {
		t.Errorf("place %q, copy %q, moved %v", textOf(d.Place), textOf(d.Other), d.Moved)
	}
	// The copy is a document that may be edited, too.
	shown = dispute(t, c.h, "b")
	put(t, c.h, doc(shown.Name.String(), "ours again"))
	if _, err := c.h.Resolve(t.Context(), shown.Name, Resolution{Choice: ChooseTheirs, Seen: shown.Seen}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a copy that was changed was removed: %v", err)
	}
	resolve(t, c.h, "b", Resolution{Choice: ChooseOurs})
	wantText(t, c.h, "b", "ours again")
	settled := shown.Name
	if _, err := c.h.Resolve(t.Context(), settled, Resolution{Choice: ChooseOurs, Seen: dispute(t, c.h, settled.String()).Seen}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("settled twice: %v", err)
	}
	// Nor is a settlement taken back over what was written since.
	put(t, c.h, doc("b", "later"))
	if _, err := c.h.Reopen(t.Context(), settled); !errors.Is(err, store.ErrConflict) {
		t.Errorf("taken back over a later version: %v", err)
	}
	wantText(t, c.h, "b", "later")
	changesBetweenLookAndTransaction(t, c.h, "a")
	aDeletedCopySettlesItsConflict(t, c.h, "a")
}

// changesBetweenLookAndTransaction: whatever was written in between refuses
// every choice, of the document as of the copy.
func changesBetweenLookAndTransaction(t *testing.T, h *Host, id string) {
	t.Helper()
	third := doc(id, "third")
	for _, choice := range []Choice{ChooseOurs, ChooseTheirs, ChooseBoth, ChooseEdit} {
		r := Resolution{Choice: choice}
		if choice == ChooseEdit {
			r.Edited = &third
		}
		for _, other := range []bool{false, true} {
			d := dispute(t, h, id)
			s, err := h.plan(t.Context(), d, r)
			if err != nil {
				t.Fatal(err)
			}
			changed := mustID(id)
			if other {
				changed = d.Name
			}
			put(t, h, doc(changed.String(), get(t, h, changed.String()).Document.Content.Text))
			if _, err := h.settle(t.Context(), s); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %s was written meanwhile: %v", choice, changed, err)
			}
			if now := dispute(t, h, id); !now.Open() || textOf(now.Place) != textOf(d.Place) || textOf(now.Other) != textOf(d.Other) {
				t.Errorf("%s: something was done: %+v", choice, now.Conflict)
			}
		}
	}
}

// aDeletedCopySettlesItsConflict, and the copy that comes back opens it.
func aDeletedCopySettlesItsConflict(t *testing.T, h *Host, id string) {
	t.Helper()
	name := dispute(t, h, id).Name
	discard(t, h, name.String())
	if d := dispute(t, h, name.String()); d.How != state.HowRemoved || open(h) != 0 {
		t.Errorf("%+v", d.Conflict)
	}
	undo(t, h, name.String())
	if d := dispute(t, h, id); !d.Open() || textOf(d.Other) != "ours" {
		t.Errorf("the copy is back: %+v", d.Conflict)
	}
	discard(t, h, name.String())
	if _, err := h.Reopen(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if d := dispute(t, h, id); textOf(d.Other) != "ours" {
		t.Errorf("the copy is %q", textOf(d.Other))
	}
	// So does a copy whose document is deleted: it may come back.
	folder := get(t, h, id).Folder
	discard(t, h, id)
	if d := dispute(t, h, id); d.Place != nil || !d.Moved || !d.Open() {
		t.Errorf("the document was deleted: %+v", d.Conflict)
	}
	resolve(t, h, id, Resolution{Choice: ChooseOurs})
	if found := get(t, h, id); found.Document.Content.Text != "ours" || found.Folder != folder {
		t.Errorf("it is back as %q in %s, not %s", found.Document.Content.Text, found.Folder, folder)
	}
}

func TestAConflictIsSettledWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	c := clashing(t, writes(t), "a", "b")
	if err := c.h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ack := resolve(t, c.h, "a", Resolution{Choice: ChooseOurs}); ack.Durability != Local || len(ack.OpIDs) != 2 {
		t.Errorf("acknowledged as %+v", ack)
	}
	resolve(t, c.h, "b", Resolution{Choice: ChooseOurs})
	// They change one of them once more before it gets there.
	d, err := c.c.Get(t.Context(), c.keys["b"])
	if err != nil {
		t.Fatal(err)
	}
	d.Content.Text, d.UpdatedAt = "theirs again", d.UpdatedAt.Add(1)
	writeThere(t, c.c, c.keys["b"], d)
	// The process is killed here: another one goes on with the files as they are.
	synced(t, c.h)
	killed := t.TempDir()
	copyFolder(t, c.dir, killed)
	stop(t, c.h)
	c.h = start(t, external(killed, c.address))
	awaitState(t, c.h, StatePrimary)
	await(t, c.h, "every store in step", inStep)
	if got := texts(t, c.c); len(got) != 3 || got["a"] != "ours" || got["b"] != "theirs again" {
		t.Errorf("the service holds %v", got)
	}
	if n := open(c.h); n != 1 {
		t.Errorf("%d are open, want the second one about b", n)
	}
	if d := dispute(t, c.h, "b"); textOf(d.Place) != "theirs again" || textOf(d.Other) != "ours" || textOf(d.Base) != "theirs" {
		t.Errorf("place %q, copy %q, base %q (%s)", textOf(d.Place), textOf(d.Other), textOf(d.Base), d.NoBase)
	}
}

func TestASecondConflictAboutADocument(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", document.MaxID/2)
	c := clashing(t, writes(t), "a", long)
	if d := dispute(t, c.h, long); len(d.Name.String()) > document.MaxID || d.ID.String() != long {
		t.Fatalf("%+v", d.Conflict)
	}
	resolve(t, c.h, long, Resolution{Choice: ChooseOurs})
	wantText(t, c.h, long, "ours")
	first := dispute(t, c.h, "a").Name
	c.again(func(h *Host, id string) { put(t, h, doc(id, "ours too")) }, "a")
	_, err := c.h.Conflict(t.Context(), mustID("a"))
	if !errors.Is(err, document.ErrInvalid) || !strings.Contains(err.Error(), first.String()) {
		t.Fatalf("there are two: %v", err)
	}
	list, _, err := c.h.Conflicts(t.Context(), false, 0, 0)
	if err != nil || len(list) != 2 || list[1].Name != first {
		t.Fatalf("%+v, %v", list, err)
	}
	resolve(t, c.h, first.String(), Resolution{Choice: ChooseOurs})
	second := dispute(t, c.h, "a")
	if textOf(second.Place) != "ours" || textOf(second.Other) != "ours too" || !second.Moved {
		t.Errorf("place %q, copy %q, moved %v", textOf(second.Place), textOf(second.Other), second.Moved)
	}
	resolve(t, c.h, "a", Resolution{Choice: ChooseOurs})
	wantText(t, c.h, "a", "ours too")
	if page, err := c.h.List(t.Context(), Query{}); err != nil || page.Total != 2 {
		t.Errorf("%d documents, %v", page.Total, err)
	}
}

// choicesNotLeft tries what a conflict about a does not leave.
func choicesNotLeft(t *testing.T, c clash, d Dispute) {
	t.Helper()
	other := doc("a", "third")
	for i, r := range []Resolution{
		{Choice: "mine", Seen: d.Seen},
		{Choice: ChooseOurs},
		{Choice: ChooseOurs, Seen: d.Seen, Edited: &other},
		{Choice: ChooseEdit, Seen: d.Seen},
		{Choice: ChooseTheirs, Seen: d.Seen, As: mustID("b")},
		{Choice: ChooseBoth, Seen: d.Seen, As: mustID("a")},
		{Choice: ChooseEdit, Seen: d.Seen, Edited: ptr(doc("another", "x"))},
	} {
		if _, err := c.h.Resolve(t.Context(), d.Name, r); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%d: %+v: %v", i, r, err)
		}
	}
	if got := dispute(t, c.h, "a"); got.Seen != d.Seen || open(c.h) != 1 {
		t.Errorf("something was done: %+v", got.Conflict)
	}
	if _, err := c.h.Reopen(t.Context(), d.Name); !errors.Is(err, store.ErrConflict) {
		t.Errorf("it is open: %v", err)
	}
}

// TestAConflictThatIsMetTwiceIsOneConflict: a process that is killed after the
// conflict was recorded, and before the cursor moved, compares again.
func TestAConflictThatIsMetTwiceIsOneConflict(t *testing.T) {
	t.Parallel()
	h := start(t, external(t.TempDir(), service(t, "k")))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"), doc("b", "base"))
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "ours"))
	discard(t, h, "b")
	rows, err := h.o.State.Next(t.Context(), h.govcMark.now(), 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, w := range fold(rows) {
			_, theirs := changed(Found{Document: doc(w.newest.Key.ID.String(), "")}, "theirs")
			if err := h.conflict(t.Context(), w, store.Op{ID: w.newest.OpID, Key: w.newest.Key, Doc: w.newest.Doc}, theirs); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, events := open(h), toldAbout(h, "conflict", Warning); n != 2 || len(events) != 2 {
		t.Errorf("%d are open, told %q", n, events)
	}
	wantText(t, h, "a", "theirs")
	wantText(t, h, "b", "theirs")
	if page, err := h.List(t.Context(), Query{}); err != nil || page.Total != 3 {
		t.Errorf("%d documents, %v", page.Total, err)
	}
}
