package ui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Narrow returns a line for a terminal that shows ASCII only, in as many cells
// as before: a cut is marked with ~, and what cannot be written is ?. Escape
// sequences stay.
func Narrow(line string) string {
	var out strings.Builder
	state := byte(0)
	for len(line) > 0 {
		seq, width, n, next := ansi.DecodeSequence(line, state, nil)
		state = next
		switch {
		case isASCII(seq):
			out.WriteString(seq)
		case seq == "…":
			out.WriteByte('~')
		default:
			out.WriteString(strings.Repeat("?", width))
		}
		line = line[n:]
	}
	return out.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
