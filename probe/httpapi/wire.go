package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// wireDocument is a Document as it travels. Exactly one of Text and TextBase64
// is set.
type wireDocument struct {
	ID         string                     `json:"id"`
	Type       string                     `json:"type"`
	SourceURL  string                     `json:"source_url,omitempty"`
	SourcePath string                     `json:"source_path,omitempty"`
	Text       string                     `json:"text,omitempty"`
	TextBase64 []byte                     `json:"text_base64,omitempty"`
	RawBase64  []byte                     `json:"raw_base64,omitempty"`
	Metadata   map[string]json.RawMessage `json:"metadata,omitempty"`
	CreatedAt  time.Time                  `json:"created_at,omitzero"`
	UpdatedAt  time.Time                  `json:"updated_at,omitzero"`
	Hash       string                     `json:"hash,omitempty"`
	ServedBy   string                     `json:"served_by,omitempty"`
	Conflict   bool                       `json:"conflict,omitempty"`
}

// documentBatch is the body of a put, idBatch that of a delete of several.
type documentBatch struct {
	Documents []Document `json:"documents"`
}

type idBatch struct {
	IDs []string `json:"ids"`
}

// restoreRequest is the body of a restore.
type restoreRequest struct {
	Commit string `json:"commit"`
	Base   string `json:"base"`
}

// revisionList is the reply to a history, eventList that to events.
type revisionList struct {
	Revisions []Revision `json:"revisions"`
}

type eventList struct {
	Events []Event `json:"events"`
}

// MarshalJSON encodes d. Names that are not UTF-8 are refused with ErrInvalid:
// JSON would change them without a word.
func (d Document) MarshalJSON() ([]byte, error) {
	for _, name := range []string{d.ID, d.Type, d.SourceURL, d.SourcePath, d.Hash, d.ServedBy} {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("%w: %q is not UTF-8", ErrInvalid, name)
		}
	}
	for name, value := range d.Metadata {
		if !utf8.ValidString(name) || !utf8.Valid(value) || !json.Valid(value) {
			return nil, fmt.Errorf("%w: the metadata %q is not JSON", ErrInvalid, name)
		}
	}
	w := wireDocument{
		ID: d.ID, Type: d.Type, SourceURL: d.SourceURL, SourcePath: d.SourcePath,
		RawBase64: d.Raw, Metadata: d.Metadata, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		Hash: d.Hash, ServedBy: d.ServedBy, Conflict: d.Conflict,
	}
	if travelsAsText(d.Text) {
		w.Text = d.Text
	} else {
		w.TextBase64 = []byte(d.Text)
	}
	return encode(w)
}

// UnmarshalJSON decodes what MarshalJSON made. Unknown fields are ignored.
func (d *Document) UnmarshalJSON(data []byte) error {
	var w wireDocument
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	if w.Text != "" && len(w.TextBase64) > 0 {
		return fmt.Errorf("%w: the document %q has both text and text_base64", ErrInvalid, w.ID)
	}
	*d = Document{
		ID: w.ID, Type: w.Type, SourceURL: w.SourceURL, SourcePath: w.SourcePath,
		Text: w.Text, Raw: w.RawBase64, Metadata: w.Metadata, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
		Hash: w.Hash, ServedBy: w.ServedBy, Conflict: w.Conflict,
	}
	if len(w.TextBase64) > 0 {
		d.Text = string(w.TextBase64)
	}
	return nil
}

// travelsAsText reports whether s survives in a JSON string and at most
// doubles there. Control characters take six bytes each: a document at the
// limit of its content would pass MaxBody.
func travelsAsText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// encode is json.Marshal without the escapes that only matter inside HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decode reads one JSON value of at most MaxBody bytes and nothing behind it.
// Errors wrap ErrTooLarge or ErrInvalid.
func decode(r io.Reader, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return fmt.Errorf("%w: the body ended early: %w", ErrInvalid, err)
	}
	if len(data) > MaxBody {
		return fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, MaxBody)
	}
	return decodeBytes(data, v)
}

// decodeBytes is decode of a body that was read.
func decodeBytes(data []byte, v any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: the body is not UTF-8", ErrInvalid)
	}
	if half := halfCharacter(data); half != nil {
		return fmt.Errorf("%w: the body holds half a character, %s, which no text can hold", ErrInvalid, half)
	}
	if err := json.Unmarshal(data, v); err != nil {
		if errors.Is(err, ErrInvalid) {
			return err
		}
		return fmt.Errorf("%w: the body is not the JSON that is expected here: %w", ErrInvalid, err)
	}
	return nil
}

// halfCharacter returns the first escape in JSON text that is one half of a
// surrogate pair without the other, nil if there is none: the decoder would put
// U+FFFD in its place without a word.
func halfCharacter(data []byte) []byte {
	for rest := data; ; {
		at := bytes.IndexByte(rest, '\\')
		if at < 0 || at+1 == len(rest) {
			return nil
		}
		rest = rest[at:]
		switch code := escaped(rest); {
		case code < 0:
			rest = rest[2:] // another escape
		case !utf16.IsSurrogate(code):
			rest = rest[escapeLength:]
		case utf16.DecodeRune(code, escaped(rest[escapeLength:])) != unicode.ReplacementChar:
			rest = rest[2*escapeLength:]
		default:
			return rest[:escapeLength]
		}
	}
}

// escapeLength is that of an escape like \u002f.
const escapeLength = 6

// escaped is the code that text begins with as an escape, -1 if it does not.
func escaped(text []byte) rune {
	if len(text) < escapeLength || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	code, err := strconv.ParseUint(string(text[2:escapeLength]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(code)
}
