package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// The layout of an export. The index has a head and then one line for each
// document, which names the files of its content; what it does not name is no
// part of the export. It gets its name at the end, so that a folder without it
// is no export.
//
//	caiatop-export.jsonl   the index
//	files/a/b.txt          the text, or the raw bytes of a document without text
//	more/{hash}            raw bytes beside a text; content whose id is no path
const (
	indexName   = "caiatop-export.jsonl"
	indexFormat = "caiatop-export"
	// indexVersion is raised by changes that an older reader would get wrong.
	indexVersion = 1
	filesFolder  = "files"
	moreFolder   = "more"
	// The files that are being written.
	indexPart = ".caiatop-part-index"
	filePart  = ".caiatop-part-file"
	// maxIndexLine bounds a line of an index that is read, in bytes. Metadata
	// counts as content.
	maxIndexLine = 4 * document.MaxContent
)

// indexHead is the first line of an index.
type indexHead struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	At      time.Time `json:"at"`
}

// indexLine is a document in an index.
type indexLine struct {
	ID         string                     `json:"id"`
	Type       string                     `json:"type"`
	SourceURL  string                     `json:"source_url,omitempty"`
	SourcePath string                     `json:"source_path,omitempty"`
	Metadata   map[string]json.RawMessage `json:"metadata,omitempty"`
	CreatedAt  time.Time                  `json:"created_at,omitzero"`
	UpdatedAt  time.Time                  `json:"updated_at,omitzero"` // not brought back
	Text       string                     `json:"text,omitempty"`      // the file, "" for an empty text
	Raw        string                     `json:"raw,omitempty"`       // the file, "" for no bytes
}

// exported is the result of an export, and what --json writes.
type exported struct {
	Exported int     `json:"exported"`
	Gone     int     `json:"gone"`  // deleted while it ran
	Bytes    int64   `json:"bytes"` // of content
	Seconds  float64 `json:"seconds"`
	Folder   string  `json:"folder"`
	Complete bool    `json:"complete"`
}

// errTarget: the folder of an export cannot take what is written.
var errTarget = errors.New("export")

// exporter writes documents as files. Every file is whole or not there.
type exporter struct {
	docs     httpapi.Documents
	root     *os.Root
	force    bool // replace files
	progress func(done, total int64)

	report exported
	index  *os.File
	lines  *bufio.Writer
	whole  int64 // bytes of the index that are lines
	// taken are the paths of this export, as a file system sees them that folds
	// case: two ids must not share a file.
	taken map[uint64]struct{}
	seed  maphash.Seed
}

// run exports all documents that query selects. When it returns, the folder is
// an export of what was written, also with an error.
func (e *exporter) run(ctx context.Context, query httpapi.ListQuery, now time.Time) (err error) {
	if err := e.begin(now); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.end()) }()
	last := ""
	query.Limit = httpapi.MaxList
	for {
		page, err := e.docs.List(ctx, query)
		if err != nil {
			return err
		}
		// The list moves while others write. The row that came last must be seen
		// again, or one before it; what follows it is new.
		if last != "" && query.Offset > 0 && (len(page.Rows) == 0 || page.Rows[0].ID > last) {
			query.Offset = max(0, query.Offset-httpapi.MaxList)
			continue
		}
		fresh := 0
		for _, row := range page.Rows {
			if row.ID <= last {
				continue
			}
			if err := e.export(ctx, row.ID); err != nil {
				return err
			}
			last, fresh = row.ID, fresh+1
			e.progress(int64(e.report.Exported), page.Total)
		}
		if len(page.Rows) < query.Limit {
			return nil
		}
		query.Offset += len(page.Rows) - 1
		if fresh == 0 {
			query.Offset++
		}
	}
}

// begin opens the index.
func (e *exporter) begin(now time.Time) (err error) {
	e.taken, e.seed = map[uint64]struct{}{}, maphash.MakeSeed()
	for _, folder := range []string{filesFolder, moreFolder} {
		if err := e.root.MkdirAll(folder, 0o755); err != nil {
			return unwritten(err)
		}
	}
	if e.index, err = e.root.OpenFile(indexPart, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644); err != nil {
		return unwritten(err)
	}
	e.lines = bufio.NewWriter(e.index)
	if err := e.line(indexHead{indexFormat, indexVersion, now.UTC()}); err != nil {
		return errors.Join(err, e.end())
	}
	return nil
}

// line adds a line to the index, which is in the file before it counts.
func (e *exporter) line(v any) error {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if _, err := e.lines.WriteString(out.String()); err != nil {
		return unwritten(err)
	}
	if err := e.lines.Flush(); err != nil {
		return unwritten(err)
	}
	e.whole += int64(out.Len())
	return nil
}

// end cuts a line off that was not written whole, and gives the index its name.
// An index without a head is removed.
func (e *exporter) end() error {
	err := unwritten(errors.Join(e.index.Truncate(e.whole), e.index.Sync(), e.index.Close()))
	if e.whole == 0 {
		return errors.Join(err, unwritten(e.root.Remove(indexPart)))
	}
	return errors.Join(err, unwritten(e.root.Rename(indexPart, indexName)))
}

func (e *exporter) export(ctx context.Context, id string) error {
	doc, err := e.docs.Get(ctx, id)
	if errors.Is(err, httpapi.ErrNotFound) {
		e.report.Gone++
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", id, err)
	}
	line := indexLine{
		ID: doc.ID, Type: doc.Type, SourceURL: doc.SourceURL, SourcePath: doc.SourcePath,
		Metadata: doc.Metadata, CreatedAt: doc.CreatedAt, UpdatedAt: doc.UpdatedAt,
	}
	if doc.Text != "" || len(doc.Raw) == 0 {
		if line.Text, err = e.write(id, "text", filePath(id), []byte(doc.Text)); err != nil {
			return err
		}
	}
	if len(doc.Raw) > 0 {
		name := filePath(id)
		if doc.Text != "" {
			name = ""
		}
		if line.Raw, err = e.write(id, "raw", name, doc.Raw); err != nil {
			return err
		}
	}
	if err := e.line(line); err != nil {
		return err
	}
	e.report.Exported++
	e.report.Bytes += int64(len(doc.Text) + len(doc.Raw))
	return nil
}

// filePath is the path that an id was made of, if it was and the path is one
// that files can have, else the id.
func filePath(id string) string {
	name := id
	if parsed, err := document.ParseID(id); err == nil {
		if was, ok := document.UnescapeID(parsed); ok {
			name = was
		}
	}
	full := filesFolder + "/" + name
	if !fs.ValidPath(full) || strings.ContainsAny(name, "\\\x00") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return ""
	}
	return full
}

// write makes a file of content, at name or, where that cannot be, at a name of
// its own, and returns which.
func (e *exporter) write(id, kind, name string, content []byte) (string, error) {
	sum := sha256.Sum256([]byte(kind + "\x00" + id))
	own := path.Join(moreFolder, hex.EncodeToString(sum[:16]))
	if name == "" || !e.take(name) {
		name = own
	}
	err := e.place(name, content)
	if err != nil && name != own && unplaceable(err) {
		name = own
		err = e.place(name, content)
	}
	if err != nil {
		return "", fmt.Errorf("%q: %w", id, unwritten(err))
	}
	return name, nil
}

// take reserves a path, unless this export has it already.
func (e *exporter) take(name string) bool {
	sum := maphash.String(e.seed, strings.ToLower(name))
	if _, twice := e.taken[sum]; twice {
		return false
	}
	e.taken[sum] = struct{}{}
	return true
}

// unplaceable reports that another name may do: a file is where a folder has to
// be or the other way round, or the name is one that this file system lacks.
func unplaceable(err error) bool {
	for _, known := range []error{fs.ErrExist, syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// place writes the file aside and gives it its name when it is whole.
func (e *exporter) place(name string, content []byte) (err error) {
	file, err := e.root.OpenFile(filePart, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = e.root.MkdirAll(path.Dir(name), 0o755)
	}
	switch {
	case err != nil:
	case e.force:
		// Renaming replaces; a part that was renamed is not there to be removed.
		if err = e.root.Rename(filePart, name); err == nil {
			return nil
		}
	default:
		err = e.root.Link(filePart, name)
	}
	return errors.Join(err, e.root.Remove(filePart))
}

// unwritten marks errors of the target.
func unwritten(err error) error {
	if err == nil || errors.Is(err, errTarget) {
		return err
	}
	return coded{err, errTarget}
}
