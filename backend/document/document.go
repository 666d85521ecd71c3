package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of one document. A store may have lower ones of its own, which it
// reports as store.ErrTooLarge.
const (
	// MaxContent bounds text and raw bytes together, in bytes (10 MiB).
	MaxContent = 10 << 20
	// MaxMetadata bounds the encoded metadata.json, in bytes (1 MiB).
	MaxMetadata = 1 << 20
	// MaxDepth bounds how deep a value of the metadata nests, in levels: readers
	// of JSON have limits of their own.
	MaxDepth = 1000
	// MaxSource bounds the URL and the path of a source, in bytes each.
	MaxSource = 4096
)

// ErrInvalid is wrapped by every error that says that a document, an
// identity, a type or a path breaks the rules of this package.
var ErrInvalid = errors.New("invalid document")

// ErrTooLarge is wrapped by errors about MaxContent and MaxMetadata. It is
// also an ErrInvalid.
var ErrTooLarge = fmt.Errorf("%w: too large", ErrInvalid)

// Document is one document of the library.
type Document struct {
	ID        ID
	Source    Source
	Content   Content
	CreatedAt time.Time // UTC
	UpdatedAt time.Time // UTC

	// extra holds the fields of metadata.json that this version does not
	// know, so that they survive a round trip.
	extra map[string]json.RawMessage
}

// Source says where a document came from.
type Source struct {
	Type Type
	URL  string
	Path string
}

// Content is what a document holds. Text and Raw may hold any bytes.
type Content struct {
	Text     string
	Raw      []byte
	Metadata map[string]any // JSON values; numbers as json.Number
}

// Size returns the bytes of text and raw together.
func (c Content) Size() int64 { return int64(len(c.Text)) + int64(len(c.Raw)) }

// Validate reports the first rule that d breaks: a missing identity or type,
// content over MaxContent, metadata that is not JSON, over MaxMetadata or deeper
// than MaxDepth.
// Errors wrap ErrInvalid.
func (d Document) Validate() error {
	if err := d.ValidateShape(); err != nil {
		return err
	}
	if !utf8.ValidString(d.Source.URL) || !utf8.ValidString(d.Source.Path) {
		return fmt.Errorf("%w %q: the URL or the path of the source is not UTF-8", ErrInvalid, d.ID)
	}
	if deep(d.Content.Metadata, MaxDepth+1) {
		return fmt.Errorf("%w %q: the metadata nests deeper than %d levels", ErrTooLarge, d.ID, MaxDepth)
	}
	if !validText(d.Content.Metadata) {
		return fmt.Errorf("%w %q: a name or a text of the metadata is not UTF-8", ErrInvalid, d.ID)
	}
	for _, at := range []time.Time{d.CreatedAt, d.UpdatedAt} {
		if y := at.UTC().Year(); y < 0 || y > 9999 {
			return fmt.Errorf("%w %q: the year %d of a time is not between 0 and 9999", ErrInvalid, d.ID, y)
		}
	}
	meta, err := d.canonical()
	if err != nil {
		return err
	}
	if len(meta) > MaxMetadata {
		return fmt.Errorf("%w %q: the metadata has %d bytes, the limit is %d", ErrTooLarge, d.ID, len(meta), MaxMetadata)
	}
	return nil
}

// deep reports whether a JSON value nests deeper than most.
func deep(value any, most int) bool {
	switch v := value.(type) {
	case map[string]any:
		if most == 0 {
			return true
		}
		for _, inner := range v {
			if deep(inner, most-1) {
				return true
			}
		}
	case []any:
		return most == 0 || slices.ContainsFunc(v, func(inner any) bool { return deep(inner, most-1) })
	}
	return false
}

// validText reports whether all text in a JSON value is UTF-8: JSON cannot hold
// anything else, and would replace it without a word.
func validText(value any) bool {
	switch v := value.(type) {
	case string:
		return utf8.ValidString(v)
	case map[string]any:
		for name, inner := range v {
			if !utf8.ValidString(name) || !validText(inner) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(inner any) bool { return !validText(inner) })
	}
	return true
}

// ValidateShape is Validate without a look into the metadata, for stores: what
// they are given was validated when it was accepted.
func (d Document) ValidateShape() error {
	if d.ID.IsZero() {
		return fmt.Errorf("%w: the id is missing", ErrInvalid)
	}
	if d.Source.Type.IsZero() {
		return fmt.Errorf("%w %q: the type is missing", ErrInvalid, d.ID)
	}
	if n := d.Content.Size(); n > MaxContent {
		return fmt.Errorf("%w %q: the content has %d bytes, the limit is %d", ErrTooLarge, d.ID, n, MaxContent)
	}
	if len(d.Source.URL) > MaxSource || len(d.Source.Path) > MaxSource {
		return fmt.Errorf("%w %q: the source has more than %d bytes", ErrTooLarge, d.ID, MaxSource)
	}
	return nil
}

// Clone returns a copy that shares nothing mutable with d but nested metadata
// values, which are never changed in place.
func (d Document) Clone() Document {
	d.Content.Raw = bytes.Clone(d.Content.Raw)
	d.Content.Metadata = maps.Clone(d.Content.Metadata)
	d.extra = maps.Clone(d.extra)
	return d
}

// Inherit carries over from an earlier version what an edit must not lose:
// the time of creation and the unknown fields of metadata.json.
func (d Document) Inherit(earlier Document) Document {
	if !earlier.CreatedAt.IsZero() {
		d.CreatedAt = earlier.CreatedAt
	}
	if d.extra == nil {
		d.extra = maps.Clone(earlier.extra)
	}
	return d
}
