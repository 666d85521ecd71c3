package editor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
	"pgregory.net/rapid"
)

func body(e *Editor) string {
	var out []string
	for _, line := range e.View() {
		out = append(out, strings.TrimRight(ansi.Strip(line), " "))
	}
	return strings.Join(out, "\n")
}

func TestView(t *testing.T) {
	tests := []struct {
		name, text string
		w, h       int
		keys       []string
		want       string
	}{
		{"tabs, CRLF and controls", "a\tb\r\nc\x1bd", 40, 4, nil, "  1 ▏a       b\n  2 c^[d\n\n1:1  8 bytes  CRLF"},
		{"not UTF-8", "\ufeff\xff\x00\xe4\xb8", 50, 3, nil, "  1 ▏‹U+FEFF›\\xff^@\\xe4\\xb8\n\n1:1  7 bytes  BOM  3 invalid bytes"},
		{"lone carriage return", "a\rb\n", 40, 4, []string{"down"}, "  1 a^Mb\n  2 ▏\n\n2:1  4 bytes"},
		{"mixed line ends", "a\r\nb\n", 50, 2, nil, "  1 ▏a\n1:1  5 bytes  CRLF in 1 of 2 lines"},
		{"wrapped", "abcdefgh\nx", 6, 5, []string{"end"}, "abcde\nfgh▏\nx\n\n1:9  …"},
		{"the end of a full row", "abcde", 6, 3, []string{"end"}, "abcde▏\n\n1:6  …"},
		{"wide characters do not break", "漢漢漢", 6, 4, nil, "▏漢漢\n漢\n\n1:1  …"},
		{"combining marks", "e\u0301x", 30, 2, []string{"right"}, "  1 e\u0301▏x\n1:3  4 bytes"},
		{"modified", "", 40, 2, []string{"ab"}, "  1 ab▏\n1:3  modified  2 bytes"},
		{"scrolled", "1\n2\n3\n4\n5\n6", 40, 3, []string{"down", "down"}, "  2 2\n  3 ▏3\n3:1  11 bytes"},
		{"one line", "ab", 30, 1, []string{"end"}, "  1 ab▏"},
		{"find", "ab\nxb", 40, 3, []string{"ctrl+f", "x"}, "  1 ab\n  2 ▏xb\nfind: x▏"},
		{"find nothing", "ab\nxb", 40, 3, []string{"ctrl+f", "\x1bq"}, "  1 ▏ab\n  2 xb\nfind: ^[q▏  not found"},
		{"go to", "1\n2\n3\n4", 40, 3, []string{"ctrl+g", "3x"}, "  1 ▏1\n  2 2\ngo to line: 3▏"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := open(tt.text)
			e.SetSize(tt.w, tt.h)
			press(t, e, tt.keys...)
			if got := body(e); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			check(t, e)
		})
	}
}

func TestFind(t *testing.T) {
	tests := []struct {
		name, text string
		keys       []string
		want       int // the caret
	}{
		{"any case", "x Ab aB", []string{"ctrl+f", "ab"}, 2},
		{"upper case is exact", "x Ab AB", []string{"ctrl+f", "AB"}, 5},
		{"next", "ab ab ab", []string{"ctrl+f", "ab", "enter", "ctrl+n"}, 6},
		{"overlapping", "aaaa", []string{"ctrl+f", "aa", "enter"}, 1},
		{"around the end", "ab ab", []string{"ctrl+f", "ab", "enter", "enter"}, 0},
		{"previous", "ab ab ab", []string{"ctrl+f", "ab", "enter", "ctrl+p"}, 0},
		{"around the start", "ab ab ab", []string{"ctrl+w", "ab", "ctrl+p"}, 6},
		{"incremental", "ab ac", []string{"ctrl+f", "a", "c"}, 3},
		{"taken back", "ab ac", []string{"ctrl+f", "a", "c", "backspace"}, 0},
		{"from the caret", "ab ab", []string{"right", "ctrl+f", "ab"}, 3},
		{"letters of other lengths", "x \u212a y", []string{"ctrl+f", "k"}, 2},
		{"letters past ASCII", "x É", []string{"ctrl+f", "é"}, 2},
		{"an upper letter past ASCII", "é É", []string{"ctrl+f", "É"}, 3},
		{"tab", "a b\tc", []string{"ctrl+f", "tab"}, 3},
		{"again without typing", "ab ab ab", []string{"ctrl+f", "ab", "esc", "ctrl+f", "enter"}, 0},
		{"nothing", "ab", []string{"right", "ctrl+f", "x", "enter"}, 1},
		{"invalid bytes are no letters", "\xff\ufffd", []string{"ctrl+f", "\ufffd"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := open(tt.text)
			press(t, e, tt.keys...)
			if e.caret != tt.want {
				t.Errorf("the caret is at %d, want %d", e.caret, tt.want)
			}
			if e.Modified() {
				t.Errorf("find changed the text to %q", e.Text())
			}
		})
	}
}

// Matches are found wherever chunks and places of the text are divided.
func TestFindEqualsANaiveSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, chunkSize - 1, 2 * chunkSize}).Draw(t, "before")) +
			strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"ab", "AB", "a", "b", "é", "É", "\xff", "\n"}), 0, 30).Draw(t, "middle"), "") +
			strings.Repeat("y", rapid.SampledFrom([]int{0, 1, 2 * chunkSize}).Draw(t, "after"))
		query := rapid.SampledFrom([]string{"ab", "AB", "b", "é", "abab", "aé", "xa", "by"}).Draw(t, "query")
		e := open(text)
		// Divide it further.
		at := rapid.IntRange(0, len(text)).Draw(t, "at")
		e.swap(at, "", "q")
		e.swap(at, "q", "")
		folded := text
		if query != "AB" {
			folded = strings.NewReplacer("A", "a", "B", "b", "É", "é").Replace(text)
		}
		from := rapid.IntRange(0, len(text)).Draw(t, "from")
		f := newFinder(query)
		want := strings.Index(folded[from:], query)
		got, _, ok := e.forward(&f, from, len(text))
		if ok != (want >= 0) || (ok && got != from+want) {
			t.Fatalf("forward from %d: %d %v, want %d", from, got, ok, want)
		}
		want = -1
		for i := range from {
			if strings.HasPrefix(folded[i:], query) {
				want = i
			}
		}
		got, _, ok = e.backward(&f, 0, from)
		if ok != (want >= 0) || (ok && got != want) {
			t.Fatalf("backward from %d: %d %v, want %d", from, got, ok, want)
		}
	})
}

// A text of near misses must not stop the screen; what is in it is found all the
// same, a part of the text a key.
func TestFindInATextOfNearMissesIsBounded(t *testing.T) {
	text := strings.Repeat("-", 1<<20)
	e := open(text + "x")
	e.SetSize(80, 10)
	query := strings.Repeat("-", 100) + "x"
	press(t, e, "ctrl+f", "paste:"+query)
	presses := 0
	for ; e.prompt.to == 0 && presses < 1000; presses++ {
		press(t, e, "enter")
	}
	if want := len(text) + 1 - len(query); e.caret != want || presses < 2 {
		t.Errorf("found at %d after %d keys, want %d", e.caret, presses, want)
	}
	press(t, e, "ctrl+p")
	if e.prompt.told == "" || e.caret == 0 {
		t.Errorf("backward: %q at %d", e.prompt.told, e.caret)
	}
}

// Lines of any length are walked over completely, by units and by rows.
func TestLongLinesAreWalkedOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "漢", "e\u0301", "\xff", "\xb8", "\x1b", "\t", strings.Repeat("\u0301", 70), "🇩🇪"})
		unit := strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "unit"), "")
		text := "first\n" + strings.Repeat(unit, rapid.SampledFrom([]int{1, stretchSize - 1, stretchSize, 2*stretchSize + 9}).Draw(t, "bytes")/len(unit)+1) + rapid.SampledFrom([]string{"", "\r\n", "\nlast"}).Draw(t, "end")
		e := open(text)
		e.SetSize(rapid.IntRange(1, 300).Draw(t, "w"), 4)
		before := 0
		for at, n := 0, 0; at < len(text); n++ {
			next := e.after(at)
			if next <= at {
				t.Fatalf("no way on from %d", at)
			}
			// Each step back looks at a whole stretch: some are enough, and all
			// around its borders.
			if n%61 == 0 || (at-6)%stretchSize < 150 || (at-6)%stretchSize > stretchSize-20 {
				if back := e.before(at); back != before && at > 0 {
					t.Fatalf("before %d is %d, want %d", at, back, before)
				}
				if e.settle(at) != at || e.settle(at+1) != next {
					t.Fatalf("from %d to %d there are settled %d and %d", at, next, e.settle(at), e.settle(at+1))
				}
			}
			before, at = at, next
		}
		var down, up []row
		c := e.cursorAt(0)
		for more := true; more; more = e.down(&c) {
			if n := len(down); n > 0 && c.row().from != down[n-1].to && !c.first() {
				t.Fatalf("row %+v after %+v", c.row(), down[n-1])
			}
			down = append(down, c.row())
		}
		for more := true; more; more = e.up(&c) {
			up = append(up, c.row())
		}
		slices.Reverse(up)
		if !slices.Equal(down, up) {
			t.Fatalf("rows down %v, up %v", down, up)
		}
		e.moveTo(rapid.IntRange(0, len(text)).Draw(t, "at"))
		e.reveal()
		check(t, e)
	})
}

func TestPasteTakesTheLineEndsOfTheText(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "1\n2\n3\n4"}, {"x\r\n", "1\r\n2\r\n3\r\n4x\r\n"}, {"x\r\ny\n", "1\n2\n3\n4x\r\ny\n"},
	} {
		e := open(tt.text)
		press(t, e, "paste:1\r2\n3\r\n4")
		if e.Text() != tt.want {
			t.Errorf("%q, want %q", e.Text(), tt.want)
		}
		press(t, e, "ctrl+z")
		if e.Text() != tt.text {
			t.Errorf("after undo %q", e.Text())
		}
	}
}

func TestTheTextIsBounded(t *testing.T) {
	if err := Holds(strings.Repeat("x", MaxBytes)); err != nil {
		t.Error(err)
	}
	if err := Holds(strings.Repeat("x", MaxBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one past the limit: %v", err)
	}
	e := open(strings.Repeat("x", MaxBytes-2))
	if r := press(t, e, "paste:abc"); r.Changed || r.Note.Width() == 0 || e.Modified() {
		t.Errorf("a paste that does not fit: %+v", r)
	}
	if r := press(t, e, "paste:ab"); !r.Changed || len(e.Text()) != MaxBytes {
		t.Errorf("a paste that fits: %+v", r)
	}
	if r := press(t, e, "x"); r.Changed || r.Note.Width() == 0 {
		t.Errorf("a key past the limit: %+v", r)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	e := open("")
	for range MaxSteps + 10 {
		press(t, e, "enter")
	}
	if len(e.history.done) != MaxSteps {
		t.Errorf("%d steps", len(e.history.done))
	}
	big := strings.Repeat("x", 9<<20)
	for i := range 5 {
		e.Replace(fmt.Sprint(i) + big + fmt.Sprint(i))
	}
	if e.history.bytes > MaxHistory || len(e.history.done) == 0 {
		t.Errorf("%d bytes in %d steps", e.history.bytes, len(e.history.done))
	}
}

func TestTypingIsUndoneTogether(t *testing.T) {
	e := open("")
	press(t, e, "a", "b", "c", "left", "d", "e")
	for _, want := range []string{"abc", ""} {
		press(t, e, "ctrl+_")
		if e.Text() != want {
			t.Errorf("%q, want %q", e.Text(), want)
		}
	}
	if r := press(t, e, "ctrl+z"); r.Changed || r.Note.Width() == 0 {
		t.Errorf("nothing to undo: %+v", r)
	}
}

func TestReplaceKeepsTheCaret(t *testing.T) {
	e := open("one\ntwo\nthree\n")
	e.Goto(3)
	e.Replace("one\n2\nand\nthree\n")
	if e.Line() != 4 {
		t.Errorf("line %d", e.Line())
	}
	press(t, e, "ctrl+z")
	if e.Text() != "one\ntwo\nthree\n" || e.Modified() {
		t.Errorf("%q after undo", e.Text())
	}
}

func TestKeysOfThePageAreUnused(t *testing.T) {
	e := open("x")
	for _, name := range []string{"esc", "ctrl+s", "ctrl+c", "alt+x", "nul"} {
		if r := press(t, e, name); !r.Unused || r.Changed {
			t.Errorf("%s: %+v", name, r)
		}
	}
	press(t, e, "ctrl+f")
	if r := press(t, e, "esc"); r.Unused || e.prompt.kind != Nothing {
		t.Errorf("esc does not close the prompt: %+v", r)
	}
	press(t, e, "ctrl+f", "x")
	if r := press(t, e, "ctrl+s"); !r.Unused {
		t.Errorf("ctrl+s in a prompt: %+v", r)
	}
	for _, b := range Keys() {
		for _, k := range b.Keys() {
			if table[k] == nil {
				t.Errorf("%s is told and not bound", k)
			}
		}
	}
}

func TestGotoLine(t *testing.T) {
	e := open("1\n2\n3\n")
	if r := press(t, e, "ctrl+g", "9", "9", "enter"); e.Line() != 4 || r.Note.Width() == 0 {
		t.Errorf("line %d, %+v", e.Line(), r)
	}
	press(t, e, "ctrl+g", "2", "enter")
	if e.Line() != 2 || e.prompt.kind != Nothing {
		t.Errorf("line %d", e.Line())
	}
	for line, want := range map[int]int{-1: 1, 0: 1, 1: 1, 3: 3, 1 << 40: 4} {
		if e.Goto(line); e.Line() != want {
			t.Errorf("Goto(%d) is line %d, want %d", line, e.Line(), want)
		}
	}
}

func TestColoursChangeNothing(t *testing.T) {
	e := New(theme(termenv.ANSI), "a\x1bb\xff\nab")
	e.SetSize(40, 5)
	press(t, e, "ctrl+f", "b")
	plain := open("a\x1bb\xff\nab")
	plain.SetSize(40, 5)
	press(t, plain, "ctrl+f", "b")
	if body(e) != body(plain) || strings.Join(e.View(), "") == strings.Join(plain.View(), "") {
		t.Errorf("got\n%s\nwant\n%s", body(e), body(plain))
	}
}

func lines100k() string {
	var out strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&out, "line %d with some words, a tab\tand é 漢 of a text that is long enough to be one: %010d\n", i, i)
	}
	return out.String()[:min(out.Len(), MaxBytes)]
}

func TestAHundredThousandLines(t *testing.T) {
	text := lines100k()
	e := open(text)
	e.SetSize(120, 40)
	press(t, e, "ctrl+end")
	if e.Line() != strings.Count(text, "\n")+1 {
		t.Errorf("line %d", e.Line())
	}
	e.Goto(50_000)
	press(t, e, "x", "backspace")
	if e.Modified() || e.Text() != text {
		t.Error("modified")
	}
	press(t, e, "delete", "ctrl+k", "enter")
	check(t, e)
}

// TestACutOfNothingEndsAWalkUpAndDown: down aims at where the caret is, not at
// where a walk before it aimed.
func TestACutOfNothingEndsAWalkUpAndDown(t *testing.T) {
	for _, name := range []string{"ctrl+u", "backspace"} {
		e := open("\n\tx\n")
		press(t, e, "down", "end", "up", name, "down")
		if e.caret != 1 {
			t.Errorf("%s: at %d, want 1", name, e.caret)
		}
	}
}

func TestOnlyAFocusedEditorShowsItsCaret(t *testing.T) {
	e := open("one\ntwo")
	e.SetSize(20, 5)
	caret := func() bool { return strings.Contains(strings.Join(e.View(), "\n"), e.theme.Glyphs.Caret) }
	if !caret() {
		t.Error("a new editor shows no caret")
	}
	e.Focus(false)
	if caret() {
		t.Error("an editor without the keys shows a caret")
	}
	e.Focus(true)
	if !caret() {
		t.Error("the caret does not come back")
	}
}
