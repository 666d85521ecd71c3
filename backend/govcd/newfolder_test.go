package govcd

import (
	"fmt"
	"testing"
)

// TestBatchNewFolder: a put into a folder that must be new is made only where the
// newest commit has nothing there; what its batch does itself does not count.
func TestBatchNewFolder(t *testing.T) {
	fresh := func(path, group string) string {
		return fmt.Sprintf(`{"op":"put","path":%q,"content":"x","new_folder":true,"group":%q}`, path, group)
	}
	in := func(path, group string) string {
		return fmt.Sprintf(`{"op":"put","path":%q,"content":"y","group":%q}`, path, group)
	}
	remove := func(path string) string { return fmt.Sprintf(`{"op":"delete","path":%q}`, path) }
	for _, c := range []struct {
		what  string
		items []string
		codes []string // "" is made
	}{
		{"a new folder", []string{fresh("new/a", "g"), in("new/b", "g")}, []string{"", ""}},
		{"far below", []string{fresh("new/at/some/depth/a", "")}, []string{""}},
		{"after others of the batch", []string{in("new/a", ""), fresh("new/b", "")}, []string{"", ""}},
		{"beside a folder whose name begins alike", []string{fresh("d/e/fg/a", "")}, []string{""}},
		{"a folder that is there", []string{fresh("d/e/f/b", "g"), in("d/e/f/c", "g"), in("other", "")}, []string{"PRECONDITION_FAILED", "GROUP_FAILED", ""}},
		{"a folder of folders", []string{fresh("d/e/b", "")}, []string{"PRECONDITION_FAILED"}},
		{"the very file", []string{fresh("d/e/f/a", "")}, []string{"PRECONDITION_FAILED"}},
		{"the root", []string{fresh("b", "")}, []string{"PRECONDITION_FAILED"}},
		{"deleted by the same batch", []string{remove("d/e/f"), fresh("d/e/f/a", "")}, []string{"", "PRECONDITION_FAILED"}},
		{"below a file", []string{fresh("file/a", "")}, []string{"INVALID_FILE_PATH"}},
	} {
		h := withRepo(t, Options{})
		want(t, ask(t, h, "POST", docs+"/batch", batchOf(put("d/e/f/a", "one"), put("file", "two"))), 201, "")
		made := decode[batchAnswer](t, ask(t, h, "POST", docs+"/batch", batchOf(c.items...)))
		if len(made.Items) != len(c.codes) {
			t.Errorf("%s: %+v", c.what, made)
			continue
		}
		for i, code := range c.codes {
			if made.Items[i].Code != code {
				t.Errorf("%s: item %d says %q, want %q", c.what, i, made.Items[i].Code, code)
			}
		}
	}
	h := withRepo(t, Options{})
	want(t, ask(t, h, "POST", docs+"/batch", batchOf(fresh("a/b", ""))), 201, "") // nothing is there yet
}
