package document_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
)

// badSegments may be no segment of a path, and so no id and no type. All but
// the last are short.
var badSegments = map[string]string{
	"empty": "", "dot": ".", "dots": "..",
	"slash": "a/b", "backslash": `a\b`, "only slash": "/", "leading slash": "/a",
	"nul": "a\x00b", "newline": "a\nb", "escape": "a\x1b[31m", "delete": "a\x7f", "C1": "a\u0085b", "CSI": "a\u009bb", "tab": "\t",
	"not UTF-8": "a\xff", "half a rune": "caf\xc3", "surrogate": "\xed\xa0\x80", "replacement": "a\ufffd",
	"rtl override": "a\u202eb", "ltr mark": "a\u200eb", "isolate": "a\u2066b", "arabic mark": "a\u061cb",
	"zero width space": "a\u200bb", "joiner": "a\u200db", "bom": "\ufeffa", "soft hyphen": "a\u00adb", "grapheme joiner": "a\u034fb",
	"line separator": "a\u2028", "paragraph separator": "a\u2029", "mongolian": "a\u180eb", "tag": "a\U000e0041", "variation tag": "a\U000e0100",
	"git": ".git", "git upper": ".GIT", "git mixed": ".giT", "git dot": ".git.", "git dots": ".git...", "git space": ".git ", "git dot space": ".git . ",
	"git stream": ".git::$INDEX_ALLOCATION", "git stream short": ".git:x", "git short name": "git~1", "git short upper": "GIT~1",
	"git short dot": "git~1.", "git short stream": "git~1::$DATA", "git space stream": ".git :x",
	"git zero width": ".g\u200cit", "git leading mark": "\u200e.git", "git trailing mark": ".git\ufeff", "git bidi": ".gi\u202at",
	"git full width": "\uff0e\uff47\uff49\uff54", "git one dot leader": "\u2024git", "git dotless is not it, but wide t is": ".gi\uff54",
}

var goodSegments = []string{
	"a", "A b", "...", "..a", "a..", ".gitignore", ".gitx", "git", "x.git", "git~2", "git~10", ".git-", "a.git", "agit~1", ".g it",
	"100%", "a:b", "a*?<>|\"'", "Größe", "e\u0301", "文書", "\U0001f4c4", "-", "~", " ", "con", "nul", "\u00a0",
}

func TestSegments(t *testing.T) {
	parsers := map[string]func(string) (string, error){
		"ParseID":   func(s string) (string, error) { v, err := document.ParseID(s); return v.String(), err },
		"ParseType": func(s string) (string, error) { v, err := document.ParseType(s); return v.String(), err },
		"ParsePath": func(s string) (string, error) { v, err := document.ParsePath("a/" + s + "/b"); return v.String(), err },
	}
	for parser, parse := range parsers {
		for name, s := range badSegments {
			if parser == "ParsePath" && (name == "slash") {
				continue
			}
			got, err := parse(s)
			if !errors.Is(err, document.ErrInvalid) || got != "" {
				t.Errorf("%s of %s %q = %q, %v; want ErrInvalid", parser, name, s, got, err)
			}
			if err != nil && strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%s of %s: the error holds a control character: %q", parser, name, err)
			}
		}
		for _, s := range goodSegments {
			if got, err := parse(s); err != nil || !strings.Contains(got, s) {
				t.Errorf("%s(%q) = %q, %v", parser, s, got, err)
			}
		}
	}
}

func TestLimitsOfNames(t *testing.T) {
	longPath := strings.Repeat(strings.Repeat("p", 127)+"/", 8)[:document.MaxPath]
	longPath = strings.TrimSuffix(longPath, "/") + "p"
	for name, c := range map[string]struct {
		parse func(string) error
		at    string
	}{
		"id":       {func(s string) error { _, err := document.ParseID(s); return err }, strings.Repeat("x", document.MaxID)},
		"id bytes": {func(s string) error { _, err := document.ParseID(s); return err }, strings.Repeat("é", document.MaxID/2)},
		"type":     {func(s string) error { _, err := document.ParseType(s); return err }, strings.Repeat("x", document.MaxType)},
		"segment":  {func(s string) error { _, err := document.ParsePath(s); return err }, strings.Repeat("x", document.MaxSegment)},
		"path":     {func(s string) error { _, err := document.ParsePath(s); return err }, longPath},
	} {
		if err := c.parse(c.at); err != nil {
			t.Errorf("%s of %d bytes: %v", name, len(c.at), err)
		}
		if err := c.parse(c.at + "x"); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%s of %d bytes: %v, want ErrInvalid", name, len(c.at)+1, err)
		}
	}
	if len(longPath) != document.MaxPath {
		t.Errorf("the longest path has %d bytes", len(longPath))
	}
}

func TestPathsAreRelative(t *testing.T) {
	for _, s := range []string{"", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a/.git/b", "a/.GIT", "a/git~1/b"} {
		if p, err := document.ParsePath(s); !errors.Is(err, document.ErrInvalid) || !p.IsZero() {
			t.Errorf("ParsePath(%q) = %q, %v; want ErrInvalid", s, p, err)
		}
	}
}

// TestNamesAreSafe: whatever is accepted keeps the rules, said in another way
// than the parser says them.
func TestNamesAreSafe(t *testing.T) {
	pieces := rapid.SampledFrom([]string{".", "g", "i", "t", ".git", "git~1", "~", "1", " ", ":", "G", "\u200c", "\uff0e", "\u2024", "/", "\\", "a", "\x00", "é", "\xff", "\u0130", "\u212a"})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(pieces, 0, 8).Draw(t, "pieces"), "")
		id, err := document.ParseID(s)
		if err != nil {
			return
		}
		folded := strings.ToLower(id.String())
		stem, _, _ := strings.Cut(folded, ":")
		stem = strings.TrimRight(stem, " .")
		switch {
		case stem == ".git" || stem == "git~1":
			t.Fatalf("%q is .git to NTFS", s)
		case strings.ContainsAny(s, "/\\\x00\u200c\ufffd") || strings.Contains(s, "\xff") || s == "" || s == "." || s == "..":
			t.Fatalf("%q was accepted", s)
		}
	})
}

func anyName() *rapid.Generator[string] {
	special := rapid.SampledFrom([]string{"/", "~", "%", "%2F", "%~", ".git", "..", ".", "\\", "\x00", "\xff", "\u202e", "\ufffd", "é", "git~1", ":", "a", "%7E", "\uff0e", "\u2024", "git", "\uff47it"})
	return rapid.OneOf(
		rapid.StringN(1, -1, 300),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 300), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(special, 1, 60), func(parts []string) string { return strings.Join(parts, "") }),
	)
}

// TestEscape: every name becomes a valid id, which gives the name back unless
// it was shortened.
func TestEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := anyName().Draw(t, "name")
		id, err := document.EscapeID(name)
		if err != nil {
			t.Fatalf("EscapeID(%q): %v", name, err)
		}
		if _, err := document.ParseID(id.String()); err != nil {
			t.Fatalf("EscapeID(%q) = %q: %v", name, id, err)
		}
		back, ok := document.UnescapeID(id)
		switch {
		case ok && back != name:
			t.Fatalf("EscapeID(%q) = %q, which is taken for %q", name, id, back)
		case !ok && len(id.String()) < document.MaxID-4:
			t.Fatalf("EscapeID(%q) = %q of %d bytes cannot be reversed", name, id, len(id.String()))
		}
	})
}

func TestEscapeIsUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyName().Draw(t, "a"), anyName().Draw(t, "b")
		if rapid.Bool().Draw(t, "long and alike") {
			stem := strings.Repeat("x", 250)
			a, b = stem+a, stem+b
		}
		idA, errA := document.EscapeID(a)
		idB, errB := document.EscapeID(b)
		if errA != nil || errB != nil {
			t.Fatalf("EscapeID: %v, %v", errA, errB)
		}
		if (a == b) != (idA == idB) {
			t.Fatalf("%q and %q become %q and %q", a, b, idA, idB)
		}
	})
}

func TestEscapeExamples(t *testing.T) {
	for name, want := range map[string]string{
		"a":            "a",
		"in/box.txt":   "in~box.txt",
		"/abs":         "~abs",
		"100%":         "100%25",
		"a~b":          "a%7Eb",
		`c:\x`:         "c:%5Cx",
		".":            "%2E",
		"..":           "%2E.",
		".git":         "%2Egit",
		".GIT:x":       "%2EGIT:x",
		"a\xffb":       "a%FFb",
		"a\u202eb":     "a%E2%80%AEb",
		"\uff0egit":    "%EF%BC%8Egit",
		"Größe/文書.pdf": "Größe~文書.pdf",
	} {
		id, err := document.EscapeID(name)
		if err != nil || id.String() != want {
			t.Errorf("EscapeID(%q) = %q, %v; want %q", name, id, err, want)
		}
		if back, ok := document.UnescapeID(id); !ok || back != name {
			t.Errorf("UnescapeID(%q) = %q, %v; want %q", id, back, ok, name)
		}
	}
	if _, err := document.EscapeID(""); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("EscapeID of nothing: %v, want ErrInvalid", err)
	}
	long, err := document.EscapeID(strings.Repeat("x", document.MaxID+1))
	if err != nil || len(long.String()) != document.MaxID {
		t.Errorf("a long name became %d bytes, %v", len(long.String()), err)
	}
	if name, ok := document.UnescapeID(long); ok {
		t.Errorf("a shortened id claims to be %q", name)
	}
	fits, err := document.EscapeID(strings.Repeat("x", document.MaxID))
	if _, ok := document.UnescapeID(fits); err != nil || !ok {
		t.Errorf("a name of %d bytes was shortened: %v", document.MaxID, err)
	}
	for _, foreign := range []string{"100%", "a%2", "a%zz", "%~"} {
		id, err := document.ParseID(foreign)
		if err != nil {
			t.Fatalf("ParseID(%q): %v", foreign, err)
		}
		if name, ok := document.UnescapeID(id); ok {
			t.Errorf("UnescapeID(%q) = %q, but EscapeID never made it", foreign, name)
		}
	}
}
