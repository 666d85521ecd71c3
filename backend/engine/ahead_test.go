package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe"
)

// TestAnOlderStateBesideANewerServiceSeesNothingOfIt: the state folder is put back
// from an earlier copy, the folder of the embedded service is not. What is newer
// there is taken over before anybody reads it, deletes as well.
func TestAnOlderStateBesideANewerServiceSeesNothingOfIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "two"), doc("gone", "three"), doc("kept", "four")) })
	old := filepath.Join(t.TempDir(), "backup")
	copyFolder(t, dir, old)
	run(t, setup(dir), func(h *Host) {
		put(t, h, doc("a", "one changed"), doc("new", "five"))
		if _, err := h.Delete(t.Context(), mustID("gone")); err != nil {
			t.Fatal(err)
		}
	})
	kept := filepath.Join(t.TempDir(), "service")
	for _, move := range [][2]string{{filepath.Join(dir, ServiceDir), kept}, {dir, dir + ".newer"}, {old, dir}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, ServiceDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(kept, filepath.Join(dir, ServiceDir)); err != nil {
		t.Fatal(err)
	}
	// A command writes before the service is met: both versions survive.
	run(t, detached(dir), func(h *Host) { put(t, h, doc("b", "two here")) })
	copies := newlyCopied(t, setup(dir), func(h *Host) {
		page, err := h.List(t.Context(), Query{})
		var ids []string
		for _, row := range page.Rows {
			ids = append(ids, row.ID.String())
		}
		if err != nil || !slices.Equal(ids, []string{"a", "b", "kept", "new"}) {
			t.Errorf("listed %q, %v", ids, err)
		}
		for id, text := range map[string]string{"a": "one changed", "b": "two here", "kept": "four", "new": "five"} {
			wantText(t, h, id, text, probe.Govc)
		}
		told := toldAbout(h, "inbound", Info)
		if len(told) != 1 || !strings.HasSuffix(told[0], "2 documents, and 1 delete") {
			t.Errorf("told %q", told)
		}
		if there := texts(t, outside(t, h, dir)); len(there) != 4 {
			t.Errorf("the service holds %v", there)
		}
	})
	if len(copies) != 0 {
		t.Errorf("%q", copies)
	}
	if copies := newlyCopied(t, setup(dir), func(h *Host) {
		if told := toldAbout(h, "inbound", Info); len(told) != 1 {
			t.Errorf("once more: %q", told)
		}
	}); len(copies) != 0 {
		t.Errorf("%q", copies)
	}
}

// TestWhatOthersWriteDuringAnOutageIsInvisibleUntilItIsRead at a service of ours;
// that they deleted something is not inferred there.
func TestWhatOthersWriteDuringAnOutageIsInvisibleUntilItIsRead(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"), doc("c", "three"))
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("b", "ours"))
	c := colleague(t, address)
	for _, id := range []string{"a", "b"} {
		key, theirs := changed(get(t, h, id), "theirs "+id)
		writeThere(t, c, key, theirs)
	}
	key, fresh := changed(get(t, h, "a"), "new there")
	fresh.ID = mustID("new")
	key.ID, key.Folder = fresh.ID, document.LayoutFanOut.Folder(fresh.Source.Type, fresh.CreatedAt, fresh.ID)
	writeThere(t, c, key, fresh)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	wantEvent(t, h, "inbound", "recorded here: 2 documents")
	for id, text := range map[string]string{"a": "theirs a", "b": "theirs b", "c": "three", "new": "new there"} {
		wantText(t, h, id, text, probe.Govc)
	}
	if !anyHolds(t, h, "ours") {
		t.Error("ours is in no document any more")
	}
	if page, err := h.List(t.Context(), Query{Contains: ".conflict-"}); err != nil || page.Total != 1 {
		t.Errorf("%d conflict copies, %v", page.Total, err)
	}
}
