package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of the fields of an Entry, in bytes. What is longer is cut and ends in
// "…".
const (
	MaxName = 128  // Who, Via, Ref
	MaxWord = 64   // From, What, Repo, Result
	MaxPath = 1024 // Path
	// MaxLine bounds a line: every byte of every field may need six.
	MaxLine = 16 << 10
)

// Results that callers other than a service have, too.
const (
	OK     = "ok"
	Failed = "failed"
)

// Entry says who did what. Fields that are empty are left out of the line.
type Entry struct {
	Seq    uint64    `json:"seq"`              // given by the Log
	Time   time.Time `json:"time"`             // the Log's clock if zero; UTC
	Who    string    `json:"who,omitempty"`    // the subject: a name, never a credential
	Via    string    `json:"via,omitempty"`    // how it was known: "jwt", "key 1f2e3d4c5b6a", "shell"
	From   string    `json:"from,omitempty"`   // the address
	What   string    `json:"what"`             // the action: "commit", "apikey.revoke"
	Repo   string    `json:"repo,omitempty"`   // where: the repository
	Path   string    `json:"path,omitempty"`   // where: the file or folder in it
	Ref    string    `json:"ref,omitempty"`    // what came of it: a commit, the id of a key
	Result string    `json:"result,omitempty"` // "ok", or the code of the refusal
	Count  int       `json:"count,omitempty"`  // of the times that it happened, where they are recorded as a sum
}

// credentials are API keys, also mistyped ones, and JSON web tokens.
var credentials = regexp.MustCompile(`caia_[0-9A-Za-z]{16,}|eyJ[\w-]{8,}\.[\w-]*\.[\w-]*`)

const redacted = "[redacted]"

// bounded returns s without credentials, cut at a limit.
func bounded(s string, most int) string {
	// No more is looked at than a limit needs, whatever somebody sends.
	if rest := 4 * most; len(s) > rest {
		s = s[:rest]
	}
	if len(s) > 16 {
		s = credentials.ReplaceAllString(s, redacted)
	}
	if len(s) <= most {
		return s
	}
	const mark = "…"
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// encode returns the members of an entry after "seq", without the braces.
func encode(e Entry) ([]byte, error) {
	e.Seq = 0
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	for _, field := range []struct {
		value *string
		most  int
	}{
		{&e.Who, MaxName},
		{&e.Via, MaxName},
		{&e.From, MaxWord},
		{&e.What, MaxWord},
		{&e.Repo, MaxWord},
		{&e.Path, MaxPath},
		{&e.Ref, MaxName},
		{&e.Result, MaxWord},
	} {
		*field.value = bounded(*field.value, field.most)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("audit: encode an entry: %w", err)
	}
	text := strings.TrimPrefix(strings.TrimSuffix(out.String(), "}\n"), `{"seq":0,`)
	return []byte(escapeHidden(text)), nil
}

// escapeHidden escapes what a terminal acts on or hides. Below U+007F the
// encoder has done it.
func escapeHidden(text string) string {
	visible := func(r rune) bool {
		return r < 0x7f || (unicode.IsGraphic(r) && !unicode.Is(unicode.Variation_Selector, r))
	}
	if strings.IndexFunc(text, func(r rune) bool { return !visible(r) }) < 0 {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case visible(r):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		}
	}
	return out.String()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	seqMark = `{"seq":`
	sumMark = `,"sum":"`
	// tail is how long the end of a line is: the sum and the closing brace.
	tail = len(sumMark) + 8 + len(`"}`)
)

// appendLine adds the line of an encoded entry.
func appendLine(to []byte, seq uint64, body []byte) []byte {
	start := len(to)
	to = append(to, seqMark...)
	to = strconv.AppendUint(to, seq, 10)
	to = append(to, ',')
	to = append(to, body...)
	sum := crc32.Checksum(to[start:], castagnoli)
	return fmt.Appendf(to, "%s%08x\"}\n", sumMark, sum)
}

// intact reports whether a line, without its end, is one that was written, and
// its number.
func intact(line []byte) (seq uint64, ok bool) {
	if len(line) > MaxLine || len(line) < len(seqMark)+tail || !bytes.HasPrefix(line, []byte(seqMark)) {
		return 0, false
	}
	head, end := line[:len(line)-tail], line[len(line)-tail:]
	if string(end) != fmt.Sprintf("%s%08x\"}", sumMark, crc32.Checksum(head, castagnoli)) {
		return 0, false
	}
	number, _, found := bytes.Cut(head[len(seqMark):], []byte(","))
	seq, err := strconv.ParseUint(string(number), 10, 64)
	return seq, found && err == nil && seq > 0
}
