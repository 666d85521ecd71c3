package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caiatech/caiatop/backend/durable"
)

// Report is what Scan found.
type Report struct {
	Lines   int // intact ones
	Damaged int // lines that are there and are not intact, an unfinished last one included
	// Missing counts the numbers between the first and the last intact line that
	// no intact line has.
	Missing uint64
}

// Scan reads the whole record in dir, the oldest entry first, and calls each for
// every intact line. It changes nothing, and can be used beside a writer: then
// the newest entries may not be among those that it finds. An error of each ends
// it.
func Scan(v durable.Volume, dir, name string, each func(Entry) error) (Report, error) {
	if name == "" {
		name = defaultName
	}
	files, err := list(v, dir, name)
	if err != nil {
		return Report{}, fmt.Errorf("audit: list the record in %s: %w", dir, err)
	}
	var r Report
	last := uint64(0)
	for _, first := range files {
		file := fileName(name, first)
		data, err := v.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it became too old meanwhile
		}
		if err != nil {
			return r, fmt.Errorf("audit: read %s: %w", file, err)
		}
		if last, err = r.scan(data, last, each); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *Report) scan(data []byte, last uint64, each func(Entry) error) (uint64, error) {
	for line := range bytes.Lines(data) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		seq, ok := intact(text)
		var e Entry
		if !ok || !ended || seq <= last || json.Unmarshal(text, &e) != nil {
			r.Damaged++
			continue
		}
		if last > 0 {
			r.Missing += seq - last - 1
		}
		last = seq
		r.Lines++
		if err := each(e); err != nil {
			return last, err
		}
	}
	return last, nil
}
