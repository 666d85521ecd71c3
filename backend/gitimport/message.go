package gitimport

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// fromTrailer names the commit of the source; partTrailer one of which only
	// a part is there.
	fromTrailer = "Imported-From"
	partTrailer = "Imported-Part-Of"
	// foreign is put before trailers that engines read: they say what the
	// repository holds that they were written to, which is not this one.
	foreign = "Imported-"
)

// engineTrailers are those, in lower case.
var engineTrailers = map[string]bool{"outbox-seq": true, "op-id": true}

// linkOf makes a commit of the same author and times as one that anybody may
// have written.
func linkOf(c gitrepo.Commit) gitrepo.Link {
	l := gitrepo.Link{Author: c.Author, At: c.At, Authored: c.Authored}
	if strings.Trim(l.Author.Name, " .,:;\"'\\<>\t\r\n") == "" {
		l.Author.Name = "unknown"
	}
	if strings.Trim(l.Author.Email, " .,:;\"'\\<>\t\r\n") == "" {
		l.Author.Email = "unknown"
	}
	for _, at := range []*time.Time{&l.At, &l.Authored} {
		if at.Unix() < 0 || at.Year() > 9999 {
			*at = time.Unix(0, 0)
		}
	}
	return l
}

// withTrailer is a message with one more trailer, as text that git takes.
func withTrailer(message, key, value string) string {
	if !utf8.ValidString(message) {
		message = strings.ToValidUTF8(message, "\ufffd")
	}
	message = strings.TrimRight(strings.ReplaceAll(message, "\x00", ""), "\n ")
	if most := gitrepo.MaxMessage - 200; len(message) > most {
		message = strings.ToValidUTF8(message[:most], "")
	}
	gap := "\n\n"
	if i := strings.LastIndex(message, "\n\n"); i >= 0 && isTrailers(message[i+2:]) {
		message, gap = message[:i+2]+disowned(message[i+2:]), "\n"
	}
	if message == "" {
		message = "(no message)"
	}
	return message + gap + key + ": " + value + "\n"
}

// disowned marks the trailers of engines.
func disowned(paragraph string) string {
	var out strings.Builder
	for line := range strings.Lines(paragraph) {
		if key, _, _ := strings.Cut(line, ":"); engineTrailers[strings.ToLower(strings.TrimSpace(key))] {
			out.WriteString(foreign)
		}
		out.WriteString(line)
	}
	return out.String()
}

// isTrailers reports whether every line of a paragraph is a trailer.
func isTrailers(paragraph string) bool {
	for line := range strings.Lines(paragraph) {
		key, _, ok := strings.Cut(line, ": ")
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return false
		}
	}
	return true
}

// trailerOf returns the last value of a trailer.
func trailerOf(message, key string) (value string) {
	message = strings.TrimRight(message, "\n")
	for line := range strings.Lines(message[strings.LastIndex(message, "\n\n")+1:]) {
		if k, v, ok := strings.Cut(line, ": "); ok && k == key {
			value = strings.TrimSpace(v)
		}
	}
	return value
}
