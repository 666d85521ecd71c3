package drafts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// A file of a draft is this line, the SHA-256 of all that follows it in hex and
// a newline, and JSON. Bytes are kept in base64, which is what JSON does with
// them.
const magic = "caiatop draft 1\n"

// file is the shape of that JSON.
type file struct {
	ID    string            `json:"id"`
	Owner []byte            `json:"owner,omitempty"`
	New   bool              `json:"new,omitempty"`
	Base  string            `json:"base,omitempty"`
	At    time.Time         `json:"at"`
	Files map[string][]byte `json:"files"`
}

func encode(d Draft) ([]byte, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	files, err := d.Document.Files(document.AnyBytes)
	if err != nil {
		return nil, fmt.Errorf("%w of %q: %w", ErrInvalid, d.ID, err)
	}
	f := file{ID: d.ID.String(), Owner: []byte(d.Owner), New: d.New, At: d.At.UTC(), Files: map[string][]byte{}}
	if !d.Base.IsZero() {
		f.Base = d.Base.String()
	}
	for _, one := range files {
		f.Files[one.Name] = one.Data
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("%w of %q: %w", ErrInvalid, d.ID, err)
	}
	sum := sha256.Sum256(body)
	out := make([]byte, 0, len(magic)+2*len(sum)+1+len(body))
	out = append(out, magic...)
	out = hex.AppendEncode(out, sum[:])
	out = append(out, '\n')
	return append(out, body...), nil
}

// decode reads what encode returned. Everything else is ErrDamaged.
func decode(data []byte) (Draft, error) {
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return Draft{}, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, strings.TrimSpace(magic))
	}
	want, body, ok := bytes.Cut(rest, []byte("\n"))
	if sum := sha256.Sum256(body); !ok || string(want) != hex.EncodeToString(sum[:]) {
		return Draft{}, fmt.Errorf("%w: its checksum differs", ErrDamaged)
	}
	var f file
	if err := json.Unmarshal(body, &f); err != nil {
		return Draft{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	d := Draft{New: f.New, At: f.At.UTC(), Owner: string(f.Owner)}
	var err error
	if d.ID, err = document.ParseID(f.ID); err != nil {
		return Draft{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if f.Base != "" {
		if d.Base, err = document.ParseHash(f.Base); err != nil {
			return Draft{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if d.Document, err = document.FromFiles(f.Files, document.Type{}); err != nil {
		return Draft{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := d.validate(); err != nil {
		return Draft{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return d, nil
}

// fileName is the name of the file of a draft: safe whatever the identity and
// the owner are, and another one for each pair of them.
func fileName(id document.ID, owner string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s%s", len(id.String()), id, owner))
	return hex.EncodeToString(sum[:]) + suffix
}
