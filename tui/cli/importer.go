package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// What one put of an import holds at most.
const (
	batchDocs  = 256
	batchBytes = 8 << 20 // of content; one larger document goes alone
	// maxFailures bounds the failures that the report keeps; all are told on
	// stderr and counted.
	maxFailures = 1000
)

// failure is one file that was not imported.
type failure struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// report is the result of an import, and what --json writes.
type report struct {
	Imported int `json:"imported"`
	Failed   int `json:"failed"`
	// Unchanged counts those that were stored already, just like that.
	Unchanged int   `json:"unchanged"`
	Skipped   int   `json:"skipped"` // symbolic links, special files, .git
	Bytes     int64 `json:"bytes"`   // of content imported
	// Seconds is the time from the first file until git had all.
	Seconds  float64   `json:"seconds"`
	Rate     float64   `json:"docs_per_second"`
	Synced   bool      `json:"synced"` // git has all
	Failures []failure `json:"failures"`
	// Conflicts names the first documents whose place at the service somebody
	// else's version keeps.
	Conflicts []httpapi.MetConflict `json:"conflicts,omitempty"`
}

// folder is the tree below a root as a file system. Unlike os.Root.FS it takes
// names that are not UTF-8. Nothing outside is reached, and opening never
// waits for a pipe that took the place of a file.
type folder struct{ root *os.Root }

// Open implements fs.FS.
func (f folder) Open(name string) (fs.File, error) {
	return f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// ReadDir implements fs.ReadDirFS.
func (f folder) ReadDir(name string) (entries []fs.DirEntry, err error) {
	dir, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	entries, err = dir.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// importer puts the files of a tree as documents. A file that cannot be
// imported is reported and the rest goes on; an engine that cannot go on ends
// it.
type importer struct {
	docs httpapi.Documents
	tree fs.FS
	kind string // of every document; "" goes by the extension
	// failed and progress are told of each file that is not imported and of
	// each batch that is.
	failed   func(name string, err error)
	progress func(report)

	there  map[string]versionThere // what was stored before, by id
	report report
	batch  []httpapi.Document
	bytes  int64 // of content in batch
}

// prepare looks what is stored already, and then what is to be imported.
func (i *importer) prepare(ctx context.Context, root *os.Root, plain bool) (run func(context.Context) error, total int64, err error) {
	i.report.Failures = []failure{}
	if i.there, err = storedVersions(ctx, i.docs); err != nil {
		return nil, 0, err
	}
	return i.plan(ctx, root, plain)
}

// plan says how the tree is to be imported and how many documents that is to
// be, by a look that opens no file.
func (i *importer) plan(ctx context.Context, root *os.Root, plain bool) (run func(context.Context) error, total int64, err error) {
	i.report.Failures = []failure{}
	var export *reimporter
	if !plain {
		if export, err = openExport(root); err != nil {
			return nil, 0, err
		}
	}
	if export != nil {
		if total, err = export.count(ctx); err != nil {
			return nil, 0, errors.Join(err, export.file.Close())
		}
		return func(ctx context.Context) error { return i.runExport(ctx, export) }, total, nil
	}
	err = fs.WalkDir(i.tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return nil //nolint:nilerr // told when it is imported
		case strings.EqualFold(entry.Name(), ".git") && entry.IsDir():
			return fs.SkipDir
		case entry.Type().IsRegular() && !strings.EqualFold(entry.Name(), ".git"):
			total++
		}
		return nil
	})
	return i.run, total, err
}

// runExport imports what the index names.
func (i *importer) runExport(ctx context.Context, export *reimporter) (err error) {
	defer func() { err = errors.Join(err, export.file.Close()) }()
	for {
		var line indexLine
		more, err := export.next(&line)
		switch {
		case err != nil:
			return err
		case !more:
			return i.flush(ctx)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if err := i.addExported(ctx, export, line); err != nil {
			return err
		}
	}
}

func (i *importer) addExported(ctx context.Context, export *reimporter, line indexLine) error {
	_, err := document.ParseID(line.ID)
	var doc httpapi.Document
	if err == nil {
		doc, err = export.read(line, i.content)
	}
	if err == nil && i.kind != "" {
		doc.Type = i.kind
	}
	if err != nil {
		i.fail(line.ID, err)
		return nil
	}
	return i.take(ctx, doc)
}

// run walks the tree. The report holds what was done also when it returns an
// error.
func (i *importer) run(ctx context.Context) error {
	err := fs.WalkDir(i.tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && name == ".":
			return err
		case err != nil:
			i.fail(name, err)
			return nil
		case strings.EqualFold(entry.Name(), ".git"):
			i.report.Skipped++
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			i.report.Skipped++
			return nil
		}
		return i.add(ctx, name)
	})
	if err != nil {
		return err
	}
	return i.flush(ctx)
}

func (i *importer) fail(name string, err error) {
	i.report.Failed++
	if len(i.report.Failures) < maxFailures {
		i.report.Failures = append(i.report.Failures, failure{strings.ToValidUTF8(name, "\ufffd"), err.Error()})
	}
	i.failed(name, err)
}

// add reads one file.
func (i *importer) add(ctx context.Context, name string) error {
	doc, err := i.read(name)
	if err != nil {
		i.fail(name, err)
		return nil
	}
	return i.take(ctx, doc)
}

// take adds a document to the batch, after putting one that is full; what is
// stored already is left as it is.
func (i *importer) take(ctx context.Context, doc httpapi.Document) error {
	if i.same(doc) {
		i.report.Unchanged++
		i.progress(i.report)
		return nil
	}
	n := int64(len(doc.Text) + len(doc.Raw))
	if len(i.batch) == batchDocs || (len(i.batch) > 0 && i.bytes+n > batchBytes) {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	i.batch = append(i.batch, doc)
	i.bytes += n
	return nil
}

// read makes a document of one file. Its path is kept in its id, reversibly,
// and in its source.
func (i *importer) read(name string) (httpapi.Document, error) {
	id, err := document.EscapeID(name)
	if err != nil {
		return httpapi.Document{}, err
	}
	content, err := i.content(name)
	if err != nil {
		return httpapi.Document{}, err
	}
	doc := httpapi.Document{ID: id.String(), SourcePath: strings.ToValidUTF8(name, "\ufffd")}
	fill(&doc, content, path.Base(name), i.kind)
	return doc, nil
}

func (i *importer) content(name string) (data []byte, err error) {
	file, err := i.tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is no longer a regular file", httpapi.ErrInvalid)
	case info.Size() > document.MaxContent:
		return nil, tooLarge(info.Size())
	}
	return readContent(io.Reader(file))
}

// tooLarge says how many bytes there are and may be; exactly, where the rounded
// sizes are the same.
func tooLarge(n int64) error {
	has, most := size(n), size(document.MaxContent)
	if has == most {
		has, most = ui.Count(n)+" bytes", ui.Count(document.MaxContent)+" bytes"
	}
	return fmt.Errorf("%w: it has %s, a document holds at most %s", httpapi.ErrTooLarge, has, most)
}

// flush puts the batch. If the engine refuses something in it, each document
// is put by itself, so that only those that are refused are lost.
func (i *importer) flush(ctx context.Context) error {
	batch := i.batch
	i.batch, i.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	ack, err := i.docs.Put(ctx, batch)
	switch {
	case err == nil:
		i.count(ack, batch...)
	case !refused(err):
		return err
	default:
		if err := i.each(ctx, batch); err != nil {
			return err
		}
	}
	i.progress(i.report)
	return nil
}

func (i *importer) each(ctx context.Context, batch []httpapi.Document) error {
	for _, doc := range batch {
		ack, err := i.docs.Put(ctx, []httpapi.Document{doc})
		switch {
		case err == nil:
			i.count(ack, doc)
		case refused(err):
			i.fail(cmp.Or(doc.SourcePath, doc.ID), err)
		default:
			return err
		}
	}
	return nil
}

func (i *importer) count(ack httpapi.Ack, batch ...httpapi.Document) {
	room := maxFailures - len(i.report.Conflicts)
	i.report.Conflicts = append(i.report.Conflicts, ack.Conflicts[:min(room, len(ack.Conflicts))]...)
	i.report.Imported += len(batch)
	for _, doc := range batch {
		i.report.Bytes += int64(len(doc.Text) + len(doc.Raw))
	}
}

// refused reports errors that are the document's fault.
func refused(err error) bool {
	return errors.Is(err, httpapi.ErrInvalid) || errors.Is(err, httpapi.ErrTooLarge) || errors.Is(err, httpapi.ErrConflict)
}
