package document

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// metadataReader reads metadata.json as encoding/json does, where it is written
// as everybody writes it, which takes a quarter of the time. What is unusual in any
// way (unknown names, names in another case or given twice, null for a field, bytes
// that are not UTF-8, deep nesting) it does not read: its methods report false then,
// and what they returned counts for nothing.
type metadataReader struct {
	// text is all of it, of which the names and strings of the metadata are parts;
	// "" if each is a copy. Identity and source are copies in any case: they are
	// kept in indexes, long after the document is gone.
	text  string
	from  []byte
	at    int
	level int
}

const (
	// maxShared bounds the metadata.json that strings are parts of, in bytes: who
	// keeps one keeps all of it.
	maxShared = 4 << 10
	// maxQuick bounds how deep a value nests that is read quickly, in levels.
	maxQuick = 64
)

// quickMetadata reads metadata.json that has nothing unusual in it.
func quickMetadata(raw []byte) (m metadata, ok bool) {
	if !utf8.Valid(raw) {
		return m, false
	}
	r := metadataReader{from: raw}
	if len(raw) <= maxShared {
		r.text = string(raw)
	}
	ok = r.metadata(&m)
	r.space()
	return m, ok && r.at == len(raw)
}

func (r *metadataReader) metadata(m *metadata) bool {
	var seen [6]bool
	return r.members(func(name string) (ok bool) {
		field := 0
		switch name {
		case "id":
			m.ID, ok = r.copied()
		case "source":
			field, ok = 1, r.source(&m.Source)
		case "created_at":
			field, ok = 2, r.time(&m.CreatedAt)
		case "updated_at":
			field, ok = 3, r.time(&m.UpdatedAt)
		case "metadata":
			field = 4
			m.Metadata, ok = r.object()
		case "encoding":
			field = 5
			m.Encoding, ok = r.encoding()
		}
		ok = ok && !seen[field]
		seen[field] = true
		return ok
	})
}

func (r *metadataReader) source(s *source) bool {
	var seen [3]bool
	return r.members(func(name string) (ok bool) {
		field := 0
		switch name {
		case "type":
			s.Type, ok = r.copied()
		case "url":
			field = 1
			s.URL, ok = r.copied()
		case "path":
			field = 2
			s.Path, ok = r.copied()
		}
		ok = ok && !seen[field]
		seen[field] = true
		return ok
	})
}

func (r *metadataReader) encoding() (map[string]Encoding, bool) {
	out := map[string]Encoding{}
	return out, r.members(func(name string) bool {
		value, ok := r.string()
		out[name] = Encoding(value)
		return ok
	})
}

func (r *metadataReader) object() (map[string]any, bool) {
	out := map[string]any{}
	return out, r.members(func(name string) (ok bool) {
		out[name], ok = r.value()
		return ok
	})
}

// members reads an object, and calls read before each value.
func (r *metadataReader) members(read func(name string) bool) bool {
	if r.level++; r.level > maxQuick || !r.next('{') {
		return false
	}
	for first := true; !r.next('}'); first = false {
		if !first && !r.next(',') {
			return false
		}
		name, ok := r.string()
		if !ok || !r.next(':') || !read(name) {
			return false
		}
	}
	r.level--
	return true
}

func (r *metadataReader) array() ([]any, bool) {
	if r.level++; r.level > maxQuick || !r.next('[') {
		return nil, false
	}
	out := []any{}
	for first := true; !r.next(']'); first = false {
		if !first && !r.next(',') {
			return nil, false
		}
		value, ok := r.value()
		if !ok {
			return nil, false
		}
		out = append(out, value)
	}
	r.level--
	return out, true
}

func (r *metadataReader) value() (any, bool) {
	r.space()
	if r.at == len(r.from) {
		return nil, false
	}
	switch r.from[r.at] {
	case '"':
		return boxed(r.string())
	case '{':
		return boxed(r.object())
	case '[':
		return boxed(r.array())
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	}
	return boxed(r.number())
}

func boxed[T any](value T, ok bool) (any, bool) { return value, ok }

// number reads a number that isNumber takes.
func (r *metadataReader) number() (json.Number, bool) {
	end := r.at
	for end < len(r.from) && (r.from[end] == '-' || r.from[end] == '.' || (r.from[end] >= '0' && r.from[end] <= '9')) {
		end++
	}
	number := r.part(r.at, end)
	r.at = end
	// What an exponent would make of it is found by who reads on.
	return json.Number(number), isNumber(number)
}

func (r *metadataReader) time(into *time.Time) bool {
	r.space()
	start := r.at
	if _, ok := r.string(); !ok {
		return false
	}
	return into.UnmarshalJSON(r.from[start:r.at]) == nil
}

// copied reads a string that shares nothing with others.
func (r *metadataReader) copied() (string, bool) {
	s, ok := r.string()
	return strings.Clone(s), ok
}

// string reads a string.
func (r *metadataReader) string() (string, bool) {
	if !r.next('"') {
		return "", false
	}
	start := r.at
	for ; r.at < len(r.from); r.at++ {
		switch c := r.from[r.at]; {
		case c == '"':
			r.at++
			return r.part(start, r.at-1), true
		case c == '\\':
			return r.escaped(start)
		case c < 0x20:
			return "", false
		}
	}
	return "", false
}

// escaped reads a string that has an escape where the reader is.
func (r *metadataReader) escaped(start int) (s string, ok bool) {
	for r.at < len(r.from) && r.from[r.at] != '"' {
		if r.from[r.at] == '\\' {
			r.at++
		}
		r.at++
	}
	if r.at >= len(r.from) {
		return "", false
	}
	r.at++
	return s, json.Unmarshal(r.from[start-1:r.at], &s) == nil
}

// part is what lies between two places.
func (r *metadataReader) part(from, to int) string {
	if r.text != "" {
		return r.text[from:to]
	}
	return string(r.from[from:to])
}

// next reads a character that means something, after white space, if it is this
// one.
func (r *metadataReader) next(c byte) bool {
	r.space()
	if r.at == len(r.from) || r.from[r.at] != c {
		return false
	}
	r.at++
	return true
}

func (r *metadataReader) word(word string) bool {
	if !bytes.HasPrefix(r.from[r.at:], []byte(word)) {
		return false
	}
	r.at += len(word)
	return true
}

func (r *metadataReader) space() {
	for r.at < len(r.from) && (r.from[r.at] == ' ' || r.from[r.at] == '\n' || r.from[r.at] == '\t' || r.from[r.at] == '\r') {
		r.at++
	}
}
