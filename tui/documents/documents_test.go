package documents

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseFilter(t *testing.T) {
	tests := map[string]engine.Query{
		"":                  {},
		"  ":                {},
		"report":            {Contains: "report"},
		"type:pdf":          {Type: "pdf"},
		" type:pdf  two  w": {Type: "pdf", Contains: "two w"},
		"a type:x type:y":   {Type: "y", Contains: "a"},
		"type:":             {},
		"mytype:pdf":        {Contains: "mytype:pdf"},
	}
	for in, want := range tests {
		if got := parseFilter(in); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}

func TestSpans(t *testing.T) {
	on, off := engine.MarkStart, engine.MarkEnd
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain", "plain|"},
		{"a " + on + "b" + off + " c", "a |<b>| c|"},
		{on + "a" + off + on + "b" + off, "<a>|<b>|"},
		{"line\r\none\ttab", "line one tab|"},
		{"no end " + on + "x", "no end |^Bx|"},
		{"end only " + off, "end only ^C|"},
		{"\x1b[31m" + on + "\x1b]0;x" + off, "^[[31m|<^[]0;x>|"},
	}
	for _, tt := range tests {
		var got strings.Builder
		for _, s := range spans(tt.in) {
			if s.found {
				fmt.Fprintf(&got, "<%s>|", s.text)
			} else {
				fmt.Fprintf(&got, "%s|", s.text)
			}
		}
		if got.String() != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got.String(), tt.want)
		}
	}
}

func TestMoved(t *testing.T) {
	tests := []struct {
		cursor        int
		name          string
		total, height int
		want          int
	}{
		{0, "up", 10, 5, 0},
		{0, "down", 10, 5, 1},
		{9, "down", 10, 5, 9},
		{0, "page-down", 10, 5, 4},
		{9, "page-up", 10, 5, 5},
		{3, "top", 10, 5, 0},
		{3, "bottom", 10, 5, 9},
		{0, "down", 0, 5, 0},
		{0, "bottom", 0, 5, 0},
		{0, "page-down", 10, 1, 1},
		{4, "other", 10, 5, 4},
	}
	for _, tt := range tests {
		if got := moved(tt.cursor, tt.name, tt.total, tt.height); got != tt.want {
			t.Errorf("%s from %d of %d: %d, want %d", tt.name, tt.cursor, tt.total, got, tt.want)
		}
	}
}

func TestScrolled(t *testing.T) {
	tests := []struct{ top, cursor, total, height, want int }{
		{0, 4, 10, 5, 0}, {0, 5, 10, 5, 1}, {5, 2, 10, 5, 2}, {8, 9, 10, 5, 5}, {3, 0, 0, 5, 0}, {0, 0, 3, 5, 0},
	}
	for _, tt := range tests {
		if got := scrolled(tt.top, tt.cursor, tt.total, tt.height); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}

func TestWorse(t *testing.T) {
	tests := []struct {
		govc, git engine.Presence
		want      engine.Presence
		name      string
	}{
		{engine.InStep, engine.InStep, engine.InStep, ""},
		{engine.Behind, engine.InStep, engine.Behind, "govc"},
		{engine.InStep, engine.Disputed, engine.Disputed, "git"},
		{engine.InStep, engine.Behind, engine.Behind, "git"},
		{engine.Behind, engine.Behind, engine.Behind, ""},
		{engine.Behind, engine.Missing, engine.Missing, "git"},
		{engine.TooLarge, engine.Behind, engine.TooLarge, "govc"},
		{engine.Detached, engine.InStep, engine.InStep, ""},
		{engine.Unknown, engine.InStep, engine.Unknown, "govc"},
		{engine.Unknown, engine.Behind, engine.Behind, "git"},
	}
	for _, tt := range tests {
		if got, name := worse(tt.govc, tt.git); got != tt.want || name != tt.name {
			t.Errorf("%s, %s: %s %q", tt.govc, tt.git, got, name)
		}
	}
}

func TestQuoted(t *testing.T) {
	tests := map[string]string{
		"report-1.txt": "report-1.txt", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "-rf": "-- -rf", "~x": "'~x'", "漢": "'漢'",
	}
	for in, want := range tests {
		if got := quoted(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestDetailIsBounded(t *testing.T) {
	doc := document.Document{Content: document.Content{
		Text: strings.Repeat("漢\n", maxTextBytes), Raw: bytes.Repeat([]byte{0xff}, 1<<20), Metadata: map[string]any{"long": strings.Repeat("v", 1<<20)},
	}}
	for i := range maxFields + 10 {
		doc.Content.Metadata[fmt.Sprintf("name-%03d", i)] = i
	}
	lines := detail(engine.Found{Document: doc, ServedBy: probe.State, Pending: true}, time.UTC)
	if most := maxTextLines + maxFields + rawHead/rawLine + 30; len(lines) > most {
		t.Fatalf("%d lines, at most %d are right", len(lines), most)
	}
	text := ""
	for _, line := range lines {
		text += line.text.String() + "\n"
	}
	for _, want := range []string{"served by  state, still on its way", "… 11 more", "more lines", "more bytes", "raw  1.00 MiB", "created    -"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told", want)
		}
	}
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	lines := textLines("x" + strings.Repeat("漢", maxTextBytes))
	for _, line := range lines {
		if strings.Contains(line.String(), `\x`) {
			t.Fatalf("a character was torn: %q", line.String()[len(line.String())-40:])
		}
	}
	if last := lines[len(lines)-1].String(); !strings.HasSuffix(last, "more bytes") {
		t.Errorf("the rest is not told: %q", last)
	}
}
