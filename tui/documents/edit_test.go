package documents

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/tui/ui"
)

func TestEditSaves(t *testing.T) {
	s := newShelf(t)
	s.add("one", "old\n", map[string]any{"n": json.Number("1.00")})
	d := newDesk(t, s)
	d.press("e")
	d.see("Edit one", "old", "F2 metadata", "ctrl+s save")
	d.press("new ")
	d.see("(modified)")
	if !d.Unsaved() {
		t.Error("what was typed counts as saved")
	}
	d.press("ctrl+s")
	d.wrote("put one")
	d.heard("Saved one")
	d.miss("Edit one")
	if got := s.newest("one").Content; got.Text != "new old\n" || got.Metadata["n"] != json.Number("1.00") {
		t.Errorf("saved %+v", got)
	}
	if d.Unsaved() || d.Keep() != nil {
		t.Error("something counts as unsaved")
	}
}

func TestSavingWithoutAChangeWritesNothing(t *testing.T) {
	s := newShelf(t)
	text := "\xff\x00tab\t\r\nno end"
	s.add("one", text, map[string]any{"a": []any{json.Number("1e5")}})
	d := newDesk(t, s)
	d.press("e", "ctrl+s")
	d.wrote()
	d.heard("Nothing changed")
	d.press("e", "f2", "down", "tab", "f2", "x", "backspace", "ctrl+s")
	d.wrote()
	if s.text("one") != text {
		t.Errorf("the text is %q", s.text("one"))
	}
}

func TestWhatAnEditorCannotHoldIsNotOpened(t *testing.T) {
	s := newShelf(t)
	raw := doc(t, "image", "", nil)
	raw.Content.Raw = []byte{1, 2}
	s.put(raw, "x")
	d := newDesk(t, s)
	for _, key := range []string{"e", "E"} {
		d.told = nil
		d.press(key)
		d.heard("caiatop get and put can")
		if d.Typing() {
			t.Error("an editor is open")
		}
	}
	both := doc(t, "image", "text", nil)
	both.Content.Raw = []byte{1, 2}
	s.put(both, "x")
	d.press("e", "!", "ctrl+s")
	if got := s.newest("image").Content; got.Text != "!text" || string(got.Raw) != "\x01\x02" {
		t.Errorf("saved %+v", got)
	}
}

func TestEditFails(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	s.fail = errBroken
	d.press("e")
	d.heard("Opening one failed: disk on fire")
	s.fail = nil
	d.press("e", "precious ")
	s.fail = errBroken
	d.press("ctrl+s")
	d.see("precious |text", "not saved: disk on fire")
	s.fail = nil
	d.press("ctrl+s")
	d.wrote("put one")
	if s.text("one") != "precious text" {
		t.Errorf("saved %q", s.text("one"))
	}
}

func TestLeavingAsks(t *testing.T) {
	tests := []struct {
		name   string
		keys   []string
		open   bool
		text   string
		drafts []string
	}{
		{"esc stays", []string{"esc", "esc"}, true, "old", []string{"one"}},
		{"enter on the first stays", []string{"esc", "enter"}, true, "old", []string{"one"}},
		{"letters do nothing", []string{"esc", "dxsy", "enter"}, true, "old", []string{"one"}},
		{"save", []string{"esc", "tab", "enter"}, false, "X old", nil},
		{"discard", []string{"esc", "right", "right", "enter"}, false, "old", nil},
		{"keep", []string{"esc", "shift+tab", "enter"}, false, "old", []string{"one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelf(t)
			s.add("one", "old", nil)
			d := newDesk(t, s)
			d.press("e", "X ")
			d.tick(4)
			d.press(tt.keys...)
			if (d.edit != nil) != tt.open || s.text("one") != tt.text {
				t.Fatalf("open: %v, text %q\n%s", d.edit != nil, s.text("one"), d.screen())
			}
			d.hands(tt.drafts...)
		})
	}
	s := newShelf(t)
	s.add("one", "old", nil)
	d := newDesk(t, s)
	d.press("e", "esc")
	d.miss("Leave", "Edit one")
}

func TestNewDocument(t *testing.T) {
	s := newShelf(t)
	s.add("taken", "x", nil)
	d := newDesk(t, s)
	d.press("a")
	d.see("New document", "ctrl+s")
	d.press("note", "tab", "tab", "two\twords", "f2", "ctrl+n", "pages", "tab", "12", "ctrl+s")
	d.wrote("put note")
	got := s.newest("note")
	if got.Content.Text != "two\twords" || got.Source.Type.String() != "text" || got.Content.Metadata["pages"] != json.Number("12") {
		t.Errorf("saved %+v", got)
	}
	d.press("a", "taken", "ctrl+s")
	d.see("choose another id", "New document")
	d.press("2", "ctrl+s")
	d.wrote("put note", "put taken2")
	d.press("a", "a/b", "ctrl+s")
	d.see("holds '/'")
	d.press("esc")
	d.see("not saved")
}

// TestNothingIsSavedInPart: a paste over the limit was cut and saved as if it
// were whole.
func TestNothingIsSavedInPart(t *testing.T) {
	s := newShelf(t)
	d := newDesk(t, s)
	d.press("a")
	d.paste("i\x1bd")
	d.see("id: control characters were left out")
	d.press("ctrl+s")
	d.heard("Not saved: the id is not all that was given")
	d.press("x", "tab", "tab")
	d.paste("text")
	d.paste(strings.Repeat("x", document.MaxContent))
	d.press("left", "ctrl+s")
	d.heard("Not saved: the text is not all that was given")
	d.wrote()
	d.press("!", "ctrl+s")
	d.wrote("put idx")
	if s.text("idx") != "tex!t" {
		t.Errorf("saved %q", s.text("idx"))
	}
	d.press("a", "meta", "f2", "f2", "ctrl+n")
	d.paste("na\x00me")
	d.press("ctrl+s")
	d.see("a cell of the metadata is not all that was given")
	d.wrote("put idx")
}

func TestKeysTypedAheadAreForTheEditor(t *testing.T) {
	s := newShelf(t)
	s.add("one", "", nil)
	d := newDesk(t, s)
	d.holding = true
	d.press("e", "xqd")
	d.see("opening one")
	d.release()
	if d.edit == nil || d.edit.text.Text() != "xqd" || d.removal != nil {
		t.Fatalf("the keys went elsewhere:\n%s", d.screen())
	}
	d.press("esc", "tab", "tab", "enter")
	d.holding = true
	d.press("e", "esc")
	d.release()
	if d.edit != nil || d.Typing() {
		t.Error("a document opens that was given up")
	}
}

func TestStaleRepliesOfEditsAreDropped(t *testing.T) {
	s := newShelf(t)
	s.add("one", "1", nil)
	s.add("two", "2", nil)
	d := newDesk(t, s)
	d.holding = true
	d.press("e", "esc", "j", "e")
	d.release()
	if d.edit == nil || d.edit.name.String() != "two" {
		t.Fatal("the wrong document is open")
	}
	d.holding = true
	d.press("x", "ctrl+s")
	saved := d.held[0]
	d.send(savedMsg{seq: saved.(savedMsg).seq - 1, edit: d.edit, err: errBroken})
	if !d.edit.saving {
		t.Error("an old reply was taken for that of the save under way")
	}
	d.release()
	d.press("e")
	d.send(saved) // a second time, for an edit that is closed
	if d.edit == nil {
		t.Error("an old reply closed another edit")
	}
}

func TestMetadataValues(t *testing.T) {
	tests := []struct {
		typed string
		want  any
	}{
		{"words", "words"},
		{"", ""},
		{" ", " "},
		{"12", json.Number("12")},
		{"1.10", json.Number("1.10")},
		{"123456789012345678901", json.Number("123456789012345678901")},
		{"true", true},
		{"null", nil},
		{`"12"`, "12"},
		{`[1,"a"]`, []any{json.Number("1"), "a"}},
		{`{"a":{}}`, map[string]any{"a": map[string]any{}}},
		{"12 13", "12 13"},
		{"{", "{"},
		{"1.2.3", "1.2.3"},
		{"2026-03-14", "2026-03-14"},
		{`"a" b`, `"a" b`},
	}
	for _, tt := range tests {
		if got := decoded(tt.typed); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %#v, want %#v", tt.typed, got, tt.want)
		}
		if again := decoded(encoded(tt.want)); !reflect.DeepEqual(again, tt.want) {
			t.Errorf("%#v comes back as %#v", tt.want, again)
		}
	}
	for _, s := range []string{"a\nb", "\x1b[31m", "tab\t", "12", "true", "\u2028", "<&>", strings.Repeat("x", maxCell+1)} {
		if got := decoded(encoded(s)); got != s {
			t.Errorf("%q comes back as %#v", s, got)
		}
	}
}

func TestMetadataForm(t *testing.T) {
	before := map[string]any{"a": json.Number("1.0"), "b": "two", "c": 3, "d\x1b": "hidden\nline", "text": "12"}
	tests := []struct {
		name string
		keys []string
		want map[string]any // nil: the same map
		err  string
	}{
		{"nothing", nil, before, ""},
		{"moving", []string{"down", "tab", "tab", "up", "pgdown", "pgup", "shift+tab"}, before, ""},
		{"a change taken back", []string{"tab", "x", "backspace"}, before, ""},
		{"an empty row", []string{"ctrl+n"}, before, ""},
		{"value", []string{"down", "tab", "!"}, map[string]any{"a": json.Number("1.0"), "b": "two!", "c": 3, "d\x1b": "hidden\nline", "text": "12"}, ""},
		{"name", []string{"down", "x"}, map[string]any{"a": json.Number("1.0"), "bx": "two", "c": 3, "d\x1b": "hidden\nline", "text": "12"}, ""},
		{"delete", []string{"ctrl+d", "down", "down", "down", "ctrl+d"}, map[string]any{"b": "two", "c": 3, "text": "12"}, ""},
		{"delete taken back", []string{"ctrl+d", "ctrl+d"}, before, ""},
		{"delete an added row", []string{"ctrl+n", "x", "ctrl+d"}, before, ""},
		{"add", []string{"ctrl+n", "z", "tab", "[]"}, map[string]any{"a": json.Number("1.0"), "b": "two", "c": 3, "d\x1b": "hidden\nline", "text": "12", "z": []any{}}, ""},
		{"a hidden name cannot be typed", []string{"down", "down", "down", "x"}, before, ""},
		{"twice", []string{"ctrl+n", "b"}, nil, `"b" is there twice`},
		{"without a name", []string{"ctrl+n", "tab", "x"}, nil, "a name is missing"},
		{"text that looks like a number", []string{"pgdown", "tab", "backspace", "backspace", "backspace", "backspace", "13"}, map[string]any{"a": json.Number("1.0"), "b": "two", "c": 3, "d\x1b": "hidden\nline", "text": json.Number("13")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMeta(before)
			for _, k := range tt.keys {
				for _, msg := range messages(k) {
					m.key(msg)
				}
			}
			got, err := m.values()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("%v, %v", got, err)
				}
				if len(m.best()) != len(before)+1 {
					t.Errorf("a draft loses something: %v", m.best())
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%v, %v", got, err)
			}
			if !reflect.DeepEqual(m.best(), got) {
				t.Errorf("a draft differs: %v", m.best())
			}
		})
	}
}

func TestMetadataViewShowsHostileTextSafely(t *testing.T) {
	s := newShelf(t)
	values := map[string]any{"\x1b[31mred": "\x1b]0;title\x07", "bidi\u202e": "\u202etxt", "long": strings.Repeat("w", 5000)}
	for i := range 50 {
		values[fmt.Sprintf("row-%02d", i)] = i
	}
	s.add("one", "text \x1b[2J\u202e\x9b", values)
	for _, size := range [][2]int{{100, 22}, {80, 21}, {60, 12}, {30, 5}, {20, 4}, {4, 3}, {1, 1}} {
		d := sizedDesk(t, s, nil, size[0], size[1])
		d.press("e", "f2")
		d.press("down", "tab", "x", "pgdown", "pgdown", "ctrl+n", "y", "f2", "z", "ctrl+s", "e", "esc")
	}
}

func TestTheRemarkFits(t *testing.T) {
	for _, w := range []int{20, 36, 60, 120} {
		s := newShelf(t)
		d := sizedDesk(t, s, nil, w, 10)
		d.press("a")
		d.edit.refused[idField] = ui.TooLong
		d.check()
		d.see("id:")
	}
}

// TestMetadataRoundTrip: a value that is shown and not touched, or typed again as
// it is shown, stays what it is.
func TestMetadataRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := jsonValue(t, 3)
		if got := decoded(encoded(value)); !reflect.DeepEqual(got, value) {
			t.Fatalf("%#v is shown as %s and comes back as %#v", value, encoded(value), got)
		}
	})
}

func jsonValue(t *rapid.T, depth int) any {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?`).Draw(t, "number"))
	case 3:
		return rapid.OneOf(rapid.String(), rapid.StringMatching(`["\[{ ]?(1|true|null|a)["\]} ]?`)).Draw(t, "text")
	case 4:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, jsonValue(t, depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		object[rapid.String().Draw(t, "name")] = jsonValue(t, depth-1)
	}
	return object
}
