package document

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// metadataWriter appends metadata.json, byte for byte as encoding/json would
// write it, where it is made of what decoding JSON yields: that is nearly always
// so, and takes a fifth of the time. It reports false where it is not, and what it
// wrote counts for nothing then.
type metadataWriter struct {
	out    []byte
	indent string // of one level; "" writes one line
	level  int
}

// quick writes metadata.json, indented where it may be: it nests no deeper, and
// what is small with its lines is small without.
func (m written) quick(indent string) ([]byte, bool) {
	w := metadataWriter{out: make([]byte, 0, 768), indent: indent}
	ok := w.written(m)
	return w.out, ok && (indent == "" || len(w.out) <= maxIndented)
}

// written appends metadata.json itself.
func (w *metadataWriter) written(m written) bool {
	w.begin('{')
	ok := w.name("created_at", true) && w.time(m.CreatedAt)
	if len(m.Encoding) > 0 {
		ok = ok && w.name("encoding", false) && w.encoding(m.Encoding)
	}
	ok = ok && w.name("id", false) && w.string(m.ID) && w.name("metadata", false) && w.object(m.Metadata) && w.name("source", false)
	if !ok {
		return false
	}
	w.begin('{')
	first := true
	if m.Source.Path != "" {
		ok = w.name("path", true) && w.string(m.Source.Path)
		first = false
	}
	ok = ok && w.name("type", first) && w.string(m.Source.Type)
	if m.Source.URL != "" {
		ok = ok && w.name("url", false) && w.string(m.Source.URL)
	}
	w.end('}', false)
	ok = ok && w.name("updated_at", false) && w.time(m.UpdatedAt)
	w.end('}', false)
	return ok
}

func (w *metadataWriter) begin(c byte) {
	w.out = append(w.out, c)
	w.level++
}

func (w *metadataWriter) end(c byte, empty bool) {
	w.level--
	if !empty {
		w.line()
	}
	w.out = append(w.out, c)
}

func (w *metadataWriter) line() {
	if w.indent == "" {
		return
	}
	w.out = append(w.out, '\n')
	for range w.level {
		w.out = append(w.out, w.indent...)
	}
}

// next begins another member or element.
func (w *metadataWriter) next(first bool) {
	if !first {
		w.out = append(w.out, ',')
	}
	w.line()
}

func (w *metadataWriter) name(name string, first bool) bool {
	w.next(first)
	if !w.string(name) {
		return false
	}
	w.out = append(w.out, ':')
	if w.indent != "" {
		w.out = append(w.out, ' ')
	}
	return true
}

func (w *metadataWriter) string(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return w.escaped(s)
		}
	}
	w.out = append(append(append(w.out, '"'), s...), '"')
	return true
}

// escaped appends a string that has to be looked at character by character.
func (w *metadataWriter) escaped(s string) bool {
	const hexadecimal = "0123456789abcdef"
	if !utf8.ValidString(s) {
		return false
	}
	w.out = append(w.out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.out = append(w.out, '\\', byte(r))
		case r == '\b':
			w.out = append(w.out, '\\', 'b')
		case r == '\f':
			w.out = append(w.out, '\\', 'f')
		case r == '\n':
			w.out = append(w.out, '\\', 'n')
		case r == '\r':
			w.out = append(w.out, '\\', 'r')
		case r == '\t':
			w.out = append(w.out, '\\', 't')
		case r < 0x20:
			w.out = append(w.out, '\\', 'u', '0', '0', hexadecimal[r>>4], hexadecimal[r&15])
		case r == '\u2028' || r == '\u2029':
			w.out = append(w.out, '\\', 'u', '2', '0', '2', hexadecimal[r&15])
		default:
			w.out = utf8.AppendRune(w.out, r)
		}
	}
	w.out = append(w.out, '"')
	return true
}

func (w *metadataWriter) time(t time.Time) bool {
	if y := t.Year(); y < 0 || y > 9999 {
		return false
	}
	w.out = append(t.AppendFormat(append(w.out, '"'), time.RFC3339Nano), '"')
	return true
}

func (w *metadataWriter) encoding(of map[string]Encoding) bool {
	w.begin('{')
	first := true
	for _, name := range sortedNames(of) {
		if !w.name(name, first) || !w.string(string(of[name])) {
			return false
		}
		first = false
	}
	w.end('}', first)
	return true
}

// sortedNames are the keys of a map in the order of their bytes.
func sortedNames[V any](m map[string]V) []string {
	names := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(names)
	return names
}

func (w *metadataWriter) object(m map[string]any) bool {
	if m == nil || w.level >= maxIndentedDepth {
		return false
	}
	names := sortedNames(m)
	w.begin('{')
	for i, name := range names {
		if !w.name(name, i == 0) || !w.value(m[name]) {
			return false
		}
	}
	w.end('}', len(names) == 0)
	return true
}

func (w *metadataWriter) value(value any) bool {
	switch v := value.(type) {
	case string:
		return w.string(v)
	case json.Number:
		if !isNumber(string(v)) {
			return false
		}
		w.out = append(w.out, v...)
	case bool:
		if v {
			w.out = append(w.out, "true"...)
		} else {
			w.out = append(w.out, "false"...)
		}
	case nil:
		w.out = append(w.out, "null"...)
	case map[string]any:
		return w.object(v)
	case []any:
		return w.array(v)
	default:
		return false
	}
	return true
}

func (w *metadataWriter) array(values []any) bool {
	if values == nil || w.level >= maxIndentedDepth {
		return false
	}
	w.begin('[')
	for i, value := range values {
		w.next(i == 0)
		if !w.value(value) {
			return false
		}
	}
	w.end(']', len(values) == 0)
	return true
}

// isNumber reports a whole number without an exponent, or a decimal fraction, as
// JSON writes them. Others are left to encoding/json.
func isNumber(s string) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	whole, rest := digits(s)
	if whole == 0 || (whole > 1 && s[0] == '0') {
		return false
	}
	if rest == "" {
		return true
	}
	fraction, rest := digits(rest[1:])
	return s[whole] == '.' && fraction > 0 && rest == ""
}

// digits returns how many digits a text begins with, and what follows.
func digits(s string) (n int, rest string) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n, s[n:]
}
