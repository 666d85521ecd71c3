package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// record writes entries and syncs them. The caller has the turn.
func (l *Log) record(bodies [][]byte) error {
	if l.file == nil {
		if l.now().Before(l.retry) {
			return fmt.Errorf("audit: the record cannot be written: %w", l.failed)
		}
		if err := l.recover(); err != nil {
			return l.fail(err)
		}
	}
	err := l.InPlace()
	if err == nil {
		err = l.recordAll(bodies)
	}
	if err != nil {
		return l.fail(err)
	}
	return nil
}

func (l *Log) recordAll(bodies [][]byte) error {
	l.buffer = l.buffer[:0]
	next := l.last
	for _, body := range bodies {
		before := len(l.buffer)
		next++
		l.buffer = appendLine(l.buffer, next, body)
		if l.size+int64(len(l.buffer)) <= l.maxFile || l.size+int64(before) == 0 {
			continue
		}
		// The line that does not fit begins the next file.
		line := slices.Clone(l.buffer[before:])
		l.buffer = l.buffer[:before]
		if err := l.flush(next - 1); err != nil {
			return err
		}
		if err := l.rotate(); err != nil {
			return err
		}
		l.buffer = append(l.buffer, line...)
	}
	return l.flush(next)
}

// flush writes the buffer, which ends with the line numbered last, and syncs.
func (l *Log) flush(last uint64) error {
	if len(l.buffer) == 0 {
		return nil
	}
	if _, err := l.file.Write(l.buffer); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.size += int64(len(l.buffer))
	l.last = last
	l.buffer = l.buffer[:0]
	return nil
}

// fail gives the file up: after a failed write or sync nothing is known of what
// it holds, so that it is read and written anew before the next entry.
func (l *Log) fail(err error) error {
	l.place.Store(nil)
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
		l.file = nil
	}
	l.failed, l.retry = err, l.now().Add(retryAfter)
	return fmt.Errorf("audit: record an entry: %w", err)
}

// rotate ends the full file and begins the next one. Files are named once and
// for all: no name is ever moved.
func (l *Log) rotate() error {
	l.place.Store(nil)
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return err
	}
	l.size = 0
	if err := l.begin(l.last + 1); err != nil {
		return err
	}
	return l.prune()
}

// begin opens the file whose first line has a number, and makes it if it is
// missing.
func (l *Log) begin(first uint64) error {
	path := filepath.Join(l.dir, fileName(l.name, first))
	file, err := l.volume.Append(path, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = l.volume.SyncDir(l.dir)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.failed = file, nil
	l.place.Store(&place{path, info})
	return nil
}

// prune deletes the oldest full files. A power cut may bring them back, to be
// deleted again.
func (l *Log) prune() error {
	files, err := list(l.volume, l.dir, l.name)
	if err != nil {
		return err
	}
	for ; len(files) > l.keep+1; files = files[1:] {
		if err := l.volume.Discard(filepath.Join(l.dir, fileName(l.name, files[0]))); err != nil {
			return err
		}
	}
	return nil
}
