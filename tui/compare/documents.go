package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/caiatech/caiatop/backend/document"
)

// Documents returns what differs between two documents in type, source,
// metadata, raw bytes and text, each that differs under a header of its own.
// An absent document is nil. Times are not compared: they always differ.
func Documents(before, after *document.Document, context int) []Line {
	var out writer
	a, b := fieldsOf(before), fieldsOf(after)
	out.section("type", a.kind, b.kind)
	out.section("source", a.source, b.source)
	out.section("metadata", a.metadata, b.metadata)
	out.section("raw bytes", a.raw, b.raw)
	if a.text != b.text || (before == nil) != (after == nil) {
		out.add(Header, "text")
		out.texts(a.text, b.text, context)
	}
	return out.done()
}

// fields are a document in lines, by their names.
type fields struct {
	kind, source, metadata, raw map[string]string
	text                        string
}

func fieldsOf(d *document.Document) fields {
	var f fields
	if d == nil {
		return f
	}
	f.kind = map[string]string{"type": d.Source.Type.String()}
	f.source = map[string]string{}
	if d.Source.URL != "" {
		f.source["url"] = d.Source.URL
	}
	if d.Source.Path != "" {
		f.source["path"] = d.Source.Path
	}
	f.metadata = map[string]string{}
	for name, value := range d.Content.Metadata {
		f.metadata[quoted(name)] = encoded(value)
	}
	if len(d.Content.Raw) > 0 {
		sum := sha256.Sum256(d.Content.Raw)
		f.raw = map[string]string{"raw": fmt.Sprintf("%d bytes, sha256 %s", len(d.Content.Raw), hex.EncodeToString(sum[:6]))}
	}
	f.text = d.Content.Text
	return f
}

// section writes the fields that differ, sorted by name.
func (w *writer) section(title string, a, b map[string]string) {
	if maps.Equal(a, b) {
		return
	}
	w.add(Header, title)
	names := slices.Collect(maps.Keys(a))
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		old, had := a[name]
		now, has := b[name]
		if had == has && old == now {
			continue
		}
		if had {
			w.add(Removed, "-"+name+": "+old)
		}
		if has {
			w.add(Added, "+"+name+": "+now)
		}
	}
}

// quoted is a name as it is, or in quotes where it could be taken for more.
func quoted(name string) string {
	for _, r := range name {
		if r <= ' ' || r == ':' || r == '"' {
			return strconv.Quote(name)
		}
	}
	return name
}

// encoded is a metadata value as JSON. What JSON cannot hold is told, and is
// never equal to a value.
func encoded(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprintf("not JSON: %v (%v)", value, err)
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

// MergeMetadata applies to base what either side changed, key by key, and
// returns the keys, sorted, that both changed in different ways. Those have the
// value of mine; where mine removed what theirs changed, that of theirs, so that
// nothing that was written is lost. Values are equal if their JSON is.
func MergeMetadata(base, mine, theirs map[string]any) (merged map[string]any, conflicts []string) {
	merged = map[string]any{}
	keys := map[string]bool{}
	for _, side := range []map[string]any{base, mine, theirs} {
		for name := range side {
			keys[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		old, own, other := valueOf(base, name), valueOf(mine, name), valueOf(theirs, name)
		pick := own
		switch {
		case own.is(other), other.is(old):
		case own.is(old):
			pick = other
		default:
			conflicts = append(conflicts, name)
			if !own.there {
				pick = other
			}
		}
		if pick.there {
			merged[name] = pick.value
		}
	}
	if len(merged) == 0 && mine == nil {
		return nil, conflicts
	}
	return merged, conflicts
}

// metadataValue is what a side has under a key.
type metadataValue struct {
	value any
	json  string
	there bool
}

func valueOf(side map[string]any, name string) metadataValue {
	value, ok := side[name]
	if !ok {
		return metadataValue{}
	}
	return metadataValue{value, encoded(value), true}
}

func (v metadataValue) is(other metadataValue) bool {
	return v.there == other.there && v.json == other.json
}
