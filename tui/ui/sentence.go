package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// chainLinks is the number of parts from which on a sentence is taken for one
// that ends with the chain of an error.
const chainLinks = 4

// separator stands between the parts of an error.
const separator = ": "

// Gist makes a sentence of a reason that may end with the chain of an error:
// what happened and the cause, without what lies between them and without
// remarks in brackets at its end. Whoever needs the whole reads the event.
func Gist(s string) string {
	parts := strings.Split(s, separator)
	if len(parts) >= chainLinks {
		parts = strings.Split(withoutRemark(s), separator)
	}
	if len(parts) >= chainLinks {
		cause := parts[len(parts)-1]
		switch {
		case strings.Contains(cause, "deadline exceeded"), strings.Contains(cause, "timeout"):
			cause = "no answer in time"
		case strings.TrimSpace(cause) == "":
			cause = parts[len(parts)-2]
		}
		s = parts[0] + separator + cause
	}
	return sentenceCase(s)
}

// Condense returns s in at most limit lines of at most w cells; words that are
// longer than a line are broken. Where that is not enough room, remarks in
// brackets at its end go first, then the middle of a chain of causes: how it
// begins and the last cause say most.
func Condense(s string, w, limit int) []string {
	if s == "" || w <= 0 || limit <= 0 {
		return nil
	}
	short := withoutRemark(s)
	for _, text := range append([]string{s, short}, without(short)...) {
		if lines := Wrap(broken(text, w), w, limit+1); len(lines) <= limit {
			return lines
		}
	}
	return Wrap(short, w, limit)
}

// without returns a chain of causes with ever more of its middle left out: all
// but its first two parts at the longest, all but the first and the last at the
// shortest.
func without(chain string) []string {
	parts := strings.Split(chain, separator)
	var out []string
	for _, keep := range []int{2, 1} {
		for i := keep + 1; i < len(parts); i++ {
			out = append(out, strings.Join(parts[:keep], separator)+separator+"… "+strings.Join(parts[i:], separator))
		}
	}
	return out
}

// broken breaks words that are longer than a line, so that Wrap cuts none.
func broken(s string, w int) string {
	words := strings.Fields(s)
	for i, word := range words {
		if ansi.StringWidth(word) > w {
			words[i] = strings.ReplaceAll(ansi.Hardwrap(word, w, true), "\n", " ")
		}
	}
	return strings.Join(words, " ")
}

// withoutRemark drops brackets that end s.
func withoutRemark(s string) string {
	if i := strings.Index(s, " ("); i > 0 && strings.HasSuffix(s, ")") {
		return s[:i]
	}
	return s
}

func sentenceCase(s string) string {
	if s == "" || strings.HasPrefix(s, "http") || strings.HasPrefix(s, "govc") { // an address, a name
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}
