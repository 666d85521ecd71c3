package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Error says what is wrong with one setting or with the configuration file.
type Error struct {
	Key     string // "" if it is about the file as a whole
	Origin  string // as Origin.From, or the path of the file
	Problem string
	Fix     string
	Cause   error // of a file that cannot be read; nil otherwise
}

// Error returns one line of printable characters: key, origin, problem and fix.
func (e *Error) Error() string {
	var out strings.Builder
	if e.Key != "" {
		fmt.Fprintf(&out, "%s (%s)", e.Key, e.Origin)
	} else {
		out.WriteString(e.Origin)
	}
	out.WriteString(": " + e.Problem)
	if e.Fix != "" {
		out.WriteString("; " + e.Fix)
	}
	return printable(out.String())
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// printable escapes what would move the cursor, break the line or hide text.
func printable(s string) string {
	var out strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		out.WriteString(quoted[1 : len(quoted)-1])
	}
	return out.String()
}

// problem is what a parser says of a value; Load adds key and origin.
type problem struct{ what, fix string }

func (p *problem) Error() string { return p.what + "; " + p.fix }
