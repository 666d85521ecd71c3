package document

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Names of the files of a document's folder.
const (
	MetadataFile = "metadata.json"
	TextFile     = "content.txt"
	RawFile      = "raw"
	// LegacyTextFile is what some repositories of the CAIA Library call
	// TextFile. It is read, and kept by an edit in place.
	LegacyTextFile = "text.txt"
)

// File is one file of a document's folder, as a store keeps it.
type File struct {
	Name string
	Data []byte
}

// Encoding says how the bytes of a file are kept.
type Encoding string

// The encodings that metadata.json can name; a file it does not name is plain.
const (
	Plain Encoding = ""
	// UTF8 is plain text. It is only named so that the list of files is
	// complete: see RecordedFiles.
	UTF8   Encoding = "utf-8"
	Base64 Encoding = "base64"
	// Empty marks a file without content at a service that refuses empty
	// files; the file itself holds one newline.
	Empty Encoding = "empty"
)

// Transport says what a store can carry.
type Transport int

const (
	// AnyBytes is a store that keeps every byte sequence, as git does.
	AnyBytes Transport = iota
	// TextOnly is a store whose files are non-empty JSON strings, as those of
	// a govc service: everything else is encoded. metadata.json records the
	// encoding of every file beside it.
	TextOnly
)

// metadata is the shape of metadata.json. Fields that it does not name are
// kept in Document.extra.
type metadata struct {
	ID        string              `json:"id"`
	Source    source              `json:"source"`
	CreatedAt time.Time           `json:"created_at"`
	UpdatedAt time.Time           `json:"updated_at"`
	Metadata  map[string]any      `json:"metadata"`
	Encoding  map[string]Encoding `json:"encoding,omitempty"`
}

// source has its fields in the order of their names, as the canonical form has
// them.
type source struct {
	Path string `json:"path,omitempty"`
	Type string `json:"type"`
	URL  string `json:"url,omitempty"`
}

// UnmarshalJSON accepts the object, and the plain URL string that the CAIA
// Library writes.
func (s *source) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &s.URL)
	}
	type plain source
	return json.Unmarshal(data, (*plain)(s))
}

var knownFields = []string{"id", "source", "created_at", "updated_at", "metadata", "encoding"}

// Files returns the files of d's folder for a store that can carry t, sorted
// by name: content.txt, metadata.json, and raw if d has raw bytes.
func (d Document) Files(t Transport) ([]File, error) {
	encoding := map[string]Encoding{}
	files := []File{encode(TextFile, []byte(d.Content.Text), t, encoding)}
	if len(d.Content.Raw) > 0 {
		files = append(files, encode(RawFile, d.Content.Raw, t, encoding))
	}
	meta, err := d.metadataJSON(encoding, "  ")
	if err != nil {
		return nil, err
	}
	files = append(files, File{MetadataFile, append(meta, '\n')})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func encode(name string, data []byte, t Transport, encoding map[string]Encoding) File {
	switch {
	case t == AnyBytes:
		return File{name, data}
	case len(data) == 0:
		encoding[name] = Empty
		return File{name, []byte("\n")}
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		encoding[name] = Base64
		return File{name, []byte(base64.StdEncoding.EncodeToString(data))}
	}
	encoding[name] = UTF8
	return File{name, data}
}

// RecordedFiles returns the names of the files beside metadata.json that it
// records, sorted, and whether that list is complete, so that a store that
// cannot list a folder knows what to read. It is complete where Files made
// metadata.json for a TextOnly store, and nowhere else.
func RecordedFiles(metadataJSON []byte) (names []string, complete bool, err error) {
	var recorded struct {
		Encoding map[string]Encoding `json:"encoding"`
	}
	if err := json.Unmarshal(metadataJSON, &recorded); err != nil {
		return nil, false, fmt.Errorf("%w: %s: %w", ErrInvalid, MetadataFile, err)
	}
	_, complete = recorded.Encoding[TextFile]
	return slices.Sorted(maps.Keys(recorded.Encoding)), complete, nil
}

// FromFiles reads a document from the files of its folder, whatever store they
// come from, by name. folderType is used where metadata.json names no type.
// A missing or malformed metadata.json, and an encoding that cannot be
// decoded, are errors that wrap ErrInvalid.
func FromFiles(files map[string][]byte, folderType Type) (Document, error) {
	m, extra, err := readMetadata(files)
	if err != nil {
		return Document{}, err
	}
	return m.document(files, folderType, extra)
}

// FromRecorded is FromFiles that leaves out files beside metadata.json that it
// does not record, where its record is complete (see RecordedFiles): they are
// left over from an earlier version. A file that it records and that is missing
// is an error that wraps ErrInvalid.
func FromRecorded(files map[string][]byte, folderType Type) (Document, error) {
	m, extra, err := readMetadata(files)
	if err != nil {
		return Document{}, err
	}
	if _, complete := m.Encoding[TextFile]; complete {
		kept := make(map[string][]byte, len(m.Encoding))
		for name := range m.Encoding {
			data, ok := files[name]
			if !ok {
				return Document{}, fmt.Errorf("%w: %s is missing", ErrInvalid, name)
			}
			kept[name] = data
		}
		files = kept
	}
	return m.document(files, folderType, extra)
}

// HasUnknown reports whether metadata.json has fields that this version does
// not know.
func (d Document) HasUnknown() bool { return len(d.extra) > 0 }

// readMetadata reads metadata.json, and the fields of it that have no name here,
// which are nil if there are none.
func readMetadata(files map[string][]byte) (m metadata, extra map[string]json.RawMessage, err error) {
	raw, ok := files[MetadataFile]
	if !ok {
		return m, nil, fmt.Errorf("%w: %s is missing", ErrInvalid, MetadataFile)
	}
	// Nearly always there are none, and one look is enough.
	if m, ok := quickMetadata(raw); ok {
		return m, nil, nil
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.UseNumber()
	strict.DisallowUnknownFields()
	if strict.Decode(&m) == nil && onlySpace(raw[strict.InputOffset():]) {
		return m, nil, nil
	}
	m = metadata{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		return m, nil, fmt.Errorf("%w: %s: %w", ErrInvalid, MetadataFile, err)
	}
	if err := json.Unmarshal(raw, &extra); err != nil {
		return m, nil, fmt.Errorf("%w: %s: %w", ErrInvalid, MetadataFile, err)
	}
	maps.DeleteFunc(extra, func(name string, _ json.RawMessage) bool {
		return slices.ContainsFunc(knownFields, func(known string) bool { return strings.EqualFold(known, name) })
	})
	if len(extra) == 0 {
		extra = nil
	}
	return m, extra, nil
}

func onlySpace(rest []byte) bool { return len(bytes.TrimLeft(rest, " \t\r\n")) == 0 }

// document makes the document of which m is the metadata.
func (m metadata) document(files map[string][]byte, folderType Type, extra map[string]json.RawMessage) (Document, error) {
	id, err := ParseID(m.ID)
	if err != nil {
		return Document{}, err
	}
	kind := folderType
	if m.Source.Type != "" {
		if kind, err = ParseType(m.Source.Type); err != nil {
			return Document{}, err
		}
	}
	text, err := firstDecoded(files, m.Encoding, TextFile, LegacyTextFile)
	if err != nil {
		return Document{}, err
	}
	rawBytes, err := firstDecoded(files, m.Encoding, RawFile)
	if err != nil {
		return Document{}, err
	}
	return Document{
		ID:        id,
		Source:    Source{Type: kind, URL: m.Source.URL, Path: m.Source.Path},
		Content:   Content{Text: string(text), Raw: rawBytes, Metadata: m.Metadata},
		CreatedAt: m.CreatedAt.UTC(),
		UpdatedAt: m.UpdatedAt.UTC(),
		extra:     extra,
	}, nil
}

func firstDecoded(files map[string][]byte, encoding map[string]Encoding, names ...string) ([]byte, error) {
	for _, name := range names {
		data, ok := files[name]
		if !ok {
			continue
		}
		switch encoding[name] {
		case Plain, UTF8:
			return data, nil
		case Empty:
			return nil, nil
		case Base64:
			decoded, err := base64.StdEncoding.DecodeString(string(data))
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
			}
			return decoded, nil
		default:
			return nil, fmt.Errorf("%w: %s has the unknown encoding %q", ErrInvalid, name, encoding[name])
		}
	}
	return nil, nil
}

// metadataJSON encodes metadata.json with sorted keys, unknown fields
// included.
func (d Document) metadataJSON(encoding map[string]Encoding, indent string) ([]byte, error) {
	var fields any
	if len(d.extra) == 0 {
		w := d.written(encoding)
		if quick, ok := w.quick(indent); ok {
			return quick, nil
		}
		fields = w
	} else {
		fields = d.writtenWithUnknown(encoding)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return nil, fmt.Errorf("%w %q: metadata: %w", ErrInvalid, d.ID, err)
	}
	compact := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if indent == "" || len(compact) > maxIndented || depth(compact) > maxIndentedDepth {
		return compact, nil
	}
	var lines bytes.Buffer
	lines.Grow(2 * len(compact))
	if err := json.Indent(&lines, compact, "", indent); err != nil {
		return nil, fmt.Errorf("%w %q: metadata: %w", ErrInvalid, d.ID, err)
	}
	return lines.Bytes(), nil
}

// written is metadata.json, its fields in the order of their names.
type written struct {
	CreatedAt time.Time           `json:"created_at"`
	Encoding  map[string]Encoding `json:"encoding,omitempty"`
	ID        string              `json:"id"`
	Metadata  map[string]any      `json:"metadata"`
	Source    source              `json:"source"`
	UpdatedAt time.Time           `json:"updated_at"`
}

func (d Document) written(encoding map[string]Encoding) written {
	w := written{
		CreatedAt: d.CreatedAt.UTC(), Encoding: encoding, ID: d.ID.s, Metadata: d.Content.Metadata,
		Source: source{Path: d.Source.Path, Type: d.Source.Type.s, URL: d.Source.URL}, UpdatedAt: d.UpdatedAt.UTC(),
	}
	if w.Metadata == nil {
		w.Metadata = map[string]any{}
	}
	return w
}

// writtenWithUnknown is written where there are fields that have no name here.
func (d Document) writtenWithUnknown(encoding map[string]Encoding) map[string]any {
	fields := make(map[string]any, len(d.extra)+len(knownFields))
	for name, value := range d.extra {
		fields[name] = value
	}
	fields["id"] = d.ID.s
	fields["source"] = source{Path: d.Source.Path, Type: d.Source.Type.s, URL: d.Source.URL}
	fields["created_at"] = d.CreatedAt.UTC()
	fields["updated_at"] = d.UpdatedAt.UTC()
	fields["metadata"] = d.Content.Metadata
	if d.Content.Metadata == nil {
		fields["metadata"] = map[string]any{}
	}
	if len(encoding) > 0 {
		fields["encoding"] = encoding
	}
	return fields
}

// What metadata.json may have at most to be written in lines. Past that it is
// one line: a line for each value of deep nesting is a thousand times as large
// as what it says.
const (
	maxIndented      = 64 << 10 // bytes
	maxIndentedDepth = 32       // levels
)

// depth returns how deep a JSON text nests.
func depth(text []byte) (deepest int) {
	level, quoted, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}
