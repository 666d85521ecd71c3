package ui

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
)

const chain = `5 calls in a row failed, the last one: unavailable: govc: check liveness: Get "http://127.0.0.1:1/health/live": ` +
	`dial tcp 127.0.0.1:1: connect: connection refused`

func TestGist(t *testing.T) {
	tests := map[string]string{
		"":                          "",
		"the operator left it":      "The operator left it",
		"one: two: three":           "One: two: three",
		chain:                       "5 calls in a row failed, the last one: connection refused",
		"http://x/ is not: a: b: c": "http://x/ is not: c",
		"probe: a: b: context deadline exceeded (Client.Timeout exceeded while awaiting headers)": "Probe: no answer in time",
		"probe: a: read tcp: i/o timeout": "Probe: no answer in time",
		"probe: status 503: BUSY: ":       "Probe: BUSY",
		"short (with a remark)":           "Short (with a remark)",
		"über: das: dann: so":             "Über: so",
		"govc: a: b: it is away":          "govc: it is away", // a name
	}
	for in, want := range tests {
		if got := Gist(in); got != want {
			t.Errorf("Gist(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCondense(t *testing.T) {
	tests := []struct {
		name, in string
		w, limit int
		want     string
	}{
		{"whole where there is room", chain, 60, 9, strings.Join(Wrap(chain, 60, 9), "|")},
		{"the middle goes", chain, 60, 2, "5 calls in a row failed, the last one: unavailable: … dial|tcp 127.0.0.1:1: connect: connection refused"},
		{"the cause stays", chain, 40, 2, "5 calls in a row failed, the last one:|unavailable: … connection refused"},
		{"a long word is broken", "see http://host/path", 8, 9, "see|http://h|ost/path"},
		{"remarks go first", "it failed (status 404, of whatever)", 12, 1, "it failed"},
		{"cut at last", "no parts at all here", 10, 1, "no parts …"},
		{"no room", "x", 0, 1, ""},
		{"no lines", "x", 9, 0, ""},
		{"nothing", "", 9, 1, ""},
	}
	for _, tt := range tests {
		if got := strings.Join(Condense(tt.in, tt.w, tt.limit), "|"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCondenseFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.StringMatching(`[a-z漢 ()…]{0,30}`)).Draw(t, "parts")
		w, limit := rapid.IntRange(0, 40).Draw(t, "w"), rapid.IntRange(0, 5).Draw(t, "limit")
		lines := Condense(strings.Join(parts, ": "), w, limit)
		if len(lines) > limit {
			t.Fatalf("%d lines of %d", len(lines), limit)
		}
		for _, line := range lines {
			if ansi.StringWidth(line) > w {
				t.Fatalf("%q takes more than %d cells", line, w)
			}
		}
	})
}

func TestNarrow(t *testing.T) {
	tests := map[string]string{
		"plain":                        "plain",
		"cut…":                         "cut~",
		"\x1b[31mé\x1b[0m x":           "\x1b[31m?\x1b[0m x",
		"漢字":                           "????",
		"e\u0301":                      "e",
		"\x1b[1m█\x1b[0m":              "\x1b[1m?\x1b[0m",
		"":                             "",
		"a\U0001F469\u200d\U0001F680b": "a??b",
	}
	for in, want := range tests {
		got := Narrow(in)
		if got != want || ansi.StringWidth(got) != ansi.StringWidth(in) {
			t.Errorf("Narrow(%q) = %q, want %q", in, got, want)
		}
	}
}
