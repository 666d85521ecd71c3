package documents

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// outside is a desk with an editor of the operator's own, which writes what
// write returns.
func outside(t *testing.T, text string, write func(string) (string, error)) (*desk, *string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "true -w 'two words'")
	s := newShelf(t)
	s.add("one", text, map[string]any{"k": "v"})
	d := newDesk(t, s)
	path := new(string)
	d.program = func(c *exec.Cmd) error {
		if len(c.Args) != 4 || c.Args[1] != "-w" || c.Args[2] != "two words" {
			t.Errorf("called as %q", c.Args)
		}
		*path = c.Args[len(c.Args)-1]
		for _, f := range []struct {
			path string
			perm os.FileMode
		}{{*path, 0o600}, {filepath.Dir(*path), 0o700}} {
			if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != f.perm {
				t.Errorf("%s: %v, %v", f.path, info, err)
			}
		}
		got, err := os.ReadFile(*path)
		if err != nil || string(got) != text {
			t.Errorf("the editor is given %q, %v", got, err)
		}
		after, end := write(string(got))
		if after != "gone" {
			if err := os.WriteFile(*path, []byte(after), 0o600); err != nil {
				t.Error(err)
			}
		} else if err := os.Remove(*path); err != nil {
			t.Error(err)
		}
		return end
	}
	return d, path
}

func TestEditWithAProgram(t *testing.T) {
	failed := errors.New("exit status 1")
	tests := []struct {
		name string
		text string
		end  error
		told string
		kept bool // the file is still there, and was named
		one  string
	}{
		{"changed", "new\xff\x00\r\n", nil, "Saved one", false, "new\xff\x00\r\n"},
		{"unchanged", "old", nil, "Nothing changed", false, "old"},
		{"failed", "old", failed, "The editor failed: exit status 1. one is as it was", false, "old"},
		{"failed, changed", "new", failed, "the editor failed: exit status 1", true, "old"},
		{"too large", strings.Repeat("x", 10<<20+1), nil, "is larger than 10.0 MiB", true, "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, path := outside(t, "old", func(string) (string, error) { return tt.text, tt.end })
			d.press("E")
			d.heard(tt.told)
			if d.shelf.text("one") != tt.one || d.shelf.newest("one").Content.Metadata["k"] != "v" {
				t.Errorf("one is %+v", d.shelf.newest("one"))
			}
			_, err := os.Stat(*path)
			if kept := err == nil; kept != tt.kept {
				t.Errorf("the file: %v", err)
			}
			if tt.kept {
				d.heard(*path)
			} else if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if d.Typing() {
				t.Error("something has the keys")
			}
		})
	}
	d, _ := outside(t, "old", func(string) (string, error) { return "gone", nil })
	d.press("E")
	d.heard("The editor removed its file; one is as it was")
}

func TestEditWithAProgramMeetsAConflict(t *testing.T) {
	var d *desk
	d, path := outside(t, baseText, func(s string) (string, error) {
		d.shelf.add("one", elsewhere, nil)
		return "mine " + s, nil
	})
	d.press("E")
	d.see("theirs", "+mine a", "m merge (clean)")
	if _, err := os.Stat(*path); err != nil {
		t.Error("the file is gone before its text is safe")
	}
	d.press("wait", "m")
	if got := d.shelf.text("one"); got != "mine a\nb\nc\nd\ne\nf\ng theirs\n" {
		t.Errorf("merged %q", got)
	}
	if _, err := os.Stat(*path); err == nil {
		t.Error("the file is left")
	}
}

func TestEditWithAProgramThatCannotBeSaved(t *testing.T) {
	var d *desk
	d, path := outside(t, "old", func(string) (string, error) {
		d.shelf.fail = errBroken
		return "new", nil
	})
	d.press("E")
	d.see("new", "not saved: disk on fire", "Edit one")
	d.press("esc", "tab", "tab", "enter")
	d.heard("Not saved: " + *path + " holds what the editor wrote")
	if got, err := os.ReadFile(*path); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNoProgramToEditWith(t *testing.T) {
	for _, tt := range []struct{ visual, editor, told string }{
		{"", "", "Not edited: neither VISUAL nor EDITOR names an editor; e opens the built-in editor"},
		{"/no/such/program -x", "true", "the editor that VISUAL names cannot be run"},
	} {
		d, _ := outside(t, "old", nil)
		t.Setenv("VISUAL", tt.visual)
		t.Setenv("EDITOR", tt.editor)
		d.press("E")
		d.heard(tt.told)
		if d.Typing() {
			t.Error("something has the keys")
		}
	}
	d, _ := outside(t, "old", nil)
	d.o.Exec = nil
	d.press("E")
	d.heard("e opens the built-in editor")
}

// TestAnEditorThatIsGivenUpLeavesNoFile: its file was written when esc was
// pressed.
func TestAnEditorThatIsGivenUpLeavesNoFile(t *testing.T) {
	d, _ := outside(t, "old", nil)
	d.holding = true
	d.press("E")
	opened := d.held[0]
	d.held = nil
	d.send(opened)
	d.press("esc")
	d.release()
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 || d.Typing() {
		t.Errorf("left: %v", left)
	}
}

func TestWords(t *testing.T) {
	tests := map[string][]string{
		"": nil, "  ": nil, "vi": {"vi"}, "code -w": {"code", "-w"}, "  a\tb ": {"a", "b"}, `"/a b/vi" -x`: {"/a b/vi", "-x"},
		`'a b'c`: {"a bc"}, `a\ b`: {"a b"}, `a ''`: {"a", ""}, `"a\"b"`: {`a"b`}, `'a\b'`: {`a\b`},
	}
	for in, want := range tests {
		if got := words(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestFileNames(t *testing.T) {
	tests := []struct{ id, kind, want string }{
		{"report-42", "text", "report-42.txt"},
		{"notes.md", "markdown", "notes.md"},
		{"-rf", "sh", "rf.sh"},
		{"漢字", "text", "document.txt"},
		{"a b;c", "x y", "a-b-c.x-y"},
		{"x", "averyveryverylongtype", "x.txt"},
		{strings.Repeat("n", 200), "json", strings.Repeat("n", maxFileName) + ".json"},
	}
	for _, tt := range tests {
		d := doc(t, tt.id, "", nil)
		kind, err := document.ParseType(tt.kind)
		if err != nil {
			t.Fatal(err)
		}
		d.Source.Type = kind
		if got := fileName(d); got != tt.want {
			t.Errorf("%q of %q: %q, want %q", tt.id, tt.kind, got, tt.want)
		}
	}
}
