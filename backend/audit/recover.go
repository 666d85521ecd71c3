package audit

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
)

// Repaired is what the entry is called that tells of a repair.
const Repaired = "audit.repaired"

// recover finds the end of the record and makes everything before it durable.
// After an error the file may be open.
//
// The newest file is always written anew, as one step: the process before may
// have seen a sync fail, after which lines can be read that are not on the
// disk, and whatever is appended behind them could be joined to what a power cut
// leaves in their place.
func (l *Log) recover() error {
	if err := l.volume.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	if err := l.volume.SyncDir(l.dir); err != nil {
		return err
	}
	if err := l.sweep(); err != nil {
		return err
	}
	files, err := list(l.volume, l.dir, l.name)
	if err != nil {
		return err
	}
	first := l.last + 1
	var data []byte
	var found found
	if len(files) > 0 {
		first = files[len(files)-1]
		current := filepath.Join(l.dir, fileName(l.name, first))
		if data, err = l.volume.ReadFile(current); err != nil {
			return err
		}
		found = examine(data, first)
		if err := l.volume.WriteFile(current, data[:found.end], 0o600); err != nil {
			return err
		}
	}
	l.size, l.last = int64(found.end), max(l.last, found.last, first-1)
	if err := l.begin(first); err != nil {
		return err
	}
	if cut := len(data) - found.end; cut > 0 {
		body, err := encode(Entry{
			Time: l.now(), Who: "caiatop", What: Repaired, Result: OK,
			Ref: fmt.Sprintf("%d bytes of an unfinished entry cut", cut),
		})
		if err != nil {
			return err
		}
		if err := l.recordAll([][]byte{body}); err != nil {
			return err
		}
	}
	return l.prune()
}

// found is what a file holds.
type found struct {
	last uint64 // number of the last intact line, 0 if none
	end  int    // where it ends, in bytes
}

// examine looks at every line of the file whose first one has that number. A
// line counts only if its number is greater than those before: what a power cut
// digs up may be an old one.
func examine(data []byte, first uint64) found {
	var f found
	for at := 0; at < len(data); {
		length := bytes.IndexByte(data[at:], '\n')
		if length < 0 {
			break
		}
		seq, ok := intact(data[at : at+length])
		at += length + 1
		if ok && seq >= first && seq > f.last {
			f.last, f.end = seq, at
		}
	}
	return f
}

// sweep removes what a crash left of a repair.
func (l *Log) sweep() error {
	entries, err := l.volume.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+l.name+"-") && strings.Contains(e.Name(), ".jsonl.tmp-") {
			if err := l.volume.Discard(filepath.Join(l.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// digits of a number in the name of a file.
const digits = 20

// fileName is the name of the file whose first line has that number.
func fileName(name string, first uint64) string {
	return fmt.Sprintf("%s-%0*d.jsonl", name, digits, first)
}

// list returns the number of the first line of each file, the oldest first.
func list(v durable.Volume, dir, name string) ([]uint64, error) {
	entries, err := v.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []uint64
	for _, e := range entries { // by name, and so by number
		rest, ours := strings.CutPrefix(e.Name(), name+"-")
		number, file := strings.CutSuffix(rest, ".jsonl")
		first, err := strconv.ParseUint(number, 10, 64)
		if ours && file && err == nil && len(number) == digits && first > 0 && e.Type().IsRegular() {
			files = append(files, first)
		}
	}
	return files, nil
}
