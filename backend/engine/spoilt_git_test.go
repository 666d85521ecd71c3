package engine

import (
	"path/filepath"
	"testing"
)

// gitHas is what a listing says of a document in git.
func gitHas(t *testing.T, h *Host, id string) Presence {
	t.Helper()
	page, err := h.List(t.Context(), Query{Contains: id})
	if err != nil || len(page.Rows) != 1 {
		t.Fatalf("%d rows, %v", len(page.Rows), err)
	}
	return page.Rows[0].Git
}

// TestAPushedVersionThatCannotBeReadSeemedInStep: the document was served as it
// was before, and git was said to hold that.
func TestAPushedVersionThatCannotBeReadSeemedInStep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("b", "one"))
	taken(t, h)
	c := cloneOf(t, dir)
	spoil := func() {
		t.Helper()
		c.git("pull", "-q")
		c.file(filepath.Join(newest(t, h, "a").Folder.String(), "metadata.json"), "no json")
		c.push(h)
		taken(t, h)
	}
	want := func(when, text string, parked int64, presence Presence) {
		t.Helper()
		wantText(t, h, "a", text)
		s := await(t, h, when, func(s *Stats) bool { return s.Parked == parked })
		if p := gitHas(t, h, "a"); p != presence || s.Stores[1].Lag != 0 {
			t.Errorf("%s: git holds a: %s, and lacks %d", when, p, s.Stores[1].Lag)
		}
		if p := gitHas(t, h, "b"); p != InStep {
			t.Errorf("%s: git holds b: %s", when, p)
		}
	}
	want("before", "one", 0, InStep)
	spoil()
	want("spoilt", "one", 1, Parked)
	wantEvent(t, h, "parked", `"a" was pushed to git in a form that cannot be read`)

	stop(t, h)
	h = start(t, detached(dir))
	taken(t, h)
	want("after a start", "one", 1, Parked)

	c.git("pull", "-q")
	c.git("revert", "--no-edit", c.git("log", "-1", "--format=%H", "--author=Them"))
	c.git("push", "-q", "origin", "main")
	lookNow(h)
	taken(t, h)
	want("taken back", "one", 0, InStep)

	spoil()
	put(t, h, doc("a", "written here"))
	taken(t, h)
	want("written here", "written here", 0, InStep)

	spoil()
	want("spoilt again", "written here", 1, Parked)
	h.gitFill.Store(true) // as whenever the service comes back
	put(t, h, doc("b", "two"))
	taken(t, h)
	want("left as it is", "written here", 1, Parked)
	c.git("pull", "-q")
	c.git("checkout", "-q", c.git("log", "--format=%H", "--author=Them", "-1")+"~1", "--", newest(t, h, "a").Folder.String())
	c.edit(h, "a", "mended there")
	c.push(h)
	taken(t, h)
	want("mended", "mended there", 0, InStep)
	if told := toldAbout(h, "conflict", Info); len(told) > 0 {
		t.Errorf("nobody changed it on both sides: %q", told)
	}
}

// Where a forced push leaves out our version and brings one that cannot be read,
// ours keeps the place, and theirs is told of.
func TestAForcedPushOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	taken(t, h)
	c := cloneOf(t, dir)
	put(t, h, doc("a", "two"))
	taken(t, h)
	c.file(filepath.Join(newest(t, h, "a").Folder.String(), "metadata.json"), "no json")
	c.push(h, "--force")
	taken(t, h)
	wantText(t, h, "a", "two")
	if s, p := h.Stats(), gitHas(t, h, "a"); s.Parked != 0 || p != InStep {
		t.Errorf("%d are set aside, git holds a: %s", s.Parked, p)
	}
	wantEvent(t, h, "git", "/a in git cannot be read as a document")
	wantEvent(t, h, "git", "both histories are joined")
}
