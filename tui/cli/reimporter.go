package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// reimporter reads an export.
type reimporter struct {
	root *os.Root
	in   *bufio.Reader
	n    int // lines read
	file *os.File
}

// openExport opens the folder's index, nil if it has none.
func openExport(root *os.Root) (*reimporter, error) {
	file, err := root.Open(indexName)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := root.Lstat(indexPart); err == nil {
			return nil, httpapi.NewError(fmt.Errorf("%w: the export was killed before its end", httpapi.ErrInvalid), "export again, or take the folder as files with --plain")
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &reimporter{root: root, file: file, in: bufio.NewReader(file)}
	var head indexHead
	if _, err := r.next(&head); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if head.Format != indexFormat || head.Version < 1 {
		err = fmt.Errorf("%w: %s does not begin like the index of an export", httpapi.ErrInvalid, indexName)
	} else if head.Version > indexVersion {
		err = fmt.Errorf("%w: the export has version %d, this caiatop reads up to %d", httpapi.ErrInvalid, head.Version, indexVersion)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// count returns how many documents the index names.
func (r *reimporter) count(ctx context.Context) (total int64, err error) {
	file, err := r.root.Open(indexName)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	chunk := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, err := file.Read(chunk)
		total += int64(bytes.Count(chunk[:n], []byte("\n")))
		if errors.Is(err, io.EOF) {
			return total - 1, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, ctx.Err()
}

// next decodes the next line, and reports false at the end.
func (r *reimporter) next(v any) (bool, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxIndexLine {
			return false, fmt.Errorf("%w: line %d of %s is too long", httpapi.ErrInvalid, r.n+1, indexName)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("%s: %w", indexName, err)
		}
		break
	}
	if len(line) == 0 {
		return false, nil
	}
	r.n++
	if err := json.Unmarshal(line, v); err != nil {
		return false, fmt.Errorf("%w: line %d of %s: %w", httpapi.ErrInvalid, r.n, indexName, err)
	}
	return true, nil
}

// read makes the document of a line.
func (r *reimporter) read(line indexLine, content func(name string) ([]byte, error)) (httpapi.Document, error) {
	doc := httpapi.Document{
		ID: line.ID, Type: line.Type, SourceURL: line.SourceURL, SourcePath: line.SourcePath, Metadata: line.Metadata, CreatedAt: line.CreatedAt,
	}
	if line.Text != "" {
		text, err := content(line.Text)
		if err != nil {
			return doc, err
		}
		doc.Text = string(text)
	}
	if line.Raw != "" {
		raw, err := content(line.Raw)
		if err != nil {
			return doc, err
		}
		doc.Raw = raw
	}
	if len(doc.Text)+len(doc.Raw) > document.MaxContent {
		return doc, tooLarge(int64(len(doc.Text) + len(doc.Raw)))
	}
	return doc, nil
}
