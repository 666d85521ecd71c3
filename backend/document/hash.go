package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Hash names one version of a document: SHA-256 over its canonical metadata
// (every field of metadata.json but the encoding) and its decoded content. It
// is the same in every store.
type Hash [sha256.Size]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h names nothing, as the base of a new document does.
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads what String returned.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return Hash{}, fmt.Errorf("%w: a hash has %d hex digits, not %d", ErrInvalid, 2*len(h), len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("%w: hash: %w", ErrInvalid, err)
	}
	return h, nil
}

// Hash returns the hash of d. It fails only where Validate fails.
func (d Document) Hash() (Hash, error) {
	meta, err := d.canonical()
	if err != nil {
		return Hash{}, err
	}
	sum := sha256.New()
	for _, part := range [][]byte{meta, []byte(d.Content.Text), d.Content.Raw} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		sum.Write(length[:])
		sum.Write(part)
	}
	var h Hash
	sum.Sum(h[:0])
	return h, nil
}

// canonical returns the metadata in the one form that the hash is taken over:
// sorted keys, no white space, no encoding, whatever types and order it was
// made of.
func (d Document) canonical() ([]byte, error) {
	written, err := d.metadataJSON(nil, "")
	if err != nil || (len(d.extra) == 0 && plain(d.Source.URL) && plain(d.Source.Path) && plain(d.Content.Metadata)) {
		return written, err // already in that form
	}
	var fields any
	decoder := json.NewDecoder(bytes.NewReader(written))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("%w %q: metadata: %w", ErrInvalid, d.ID, err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return nil, fmt.Errorf("%w %q: metadata: %w", ErrInvalid, d.ID, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// plain reports whether a value is made of what decoding JSON yields, so that
// encoding it again changes nothing.
func plain(value any) bool {
	switch v := value.(type) {
	case nil, bool, json.Number:
		return true
	case string:
		return utf8.ValidString(v) // JSON replaces what is not
	case map[string]any:
		for name, inner := range v {
			if !utf8.ValidString(name) || !plain(inner) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(v, func(inner any) bool { return !plain(inner) })
	}
	return false
}
