package main

import (
	"crypto/sha1" //nolint:gosec // git's names
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/bench/beside"
)

// floor is the least that a disk needs for something durable.
type floor struct {
	dir  string
	file *os.File
	data []byte
}

func newFloor(dir string) (*floor, error) {
	f, err := os.CreateTemp(dir, "floor-")
	if err != nil {
		return nil, err
	}
	return &floor{dir: dir, file: f}, nil
}

// close removes the file, for use in a defer.
func (f *floor) close(err *error) {
	*err = errors.Join(*err, f.file.Close(), os.Remove(f.file.Name()))
}

// bytes returns that many bytes to write.
func (f *floor) bytes(n int) []byte {
	for i := 0; len(f.data) < n; i++ {
		f.data = append(f.data, makeDoc(i, 0).text...)
	}
	return f.data[:n]
}

// append writes to the end of a file and syncs it.
func (f *floor) append(size int) (time.Duration, error) {
	data := f.bytes(size)
	return beside.Clock(func() error {
		if _, err := f.file.Write(data); err != nil {
			return err
		}
		return f.file.Sync()
	})
}

// replace makes one durable file: temporary file, fsync, rename, fsync of the
// folder.
func (f *floor) replace(size int) (time.Duration, error) {
	data, name := f.bytes(size), filepath.Join(f.dir, "floor-file")
	return beside.Clock(func() error { return durable.WriteFile(name, data, 0o644) })
}

// hashFloor is the least that keeping a document in memory needs: the names of
// its two files and their places in a map.
type hashFloor struct {
	mu      sync.RWMutex
	objects map[[sha1.Size]byte][]byte
}

func (h *hashFloor) put(d doc) {
	for _, data := range [][]byte{d.meta, d.text} {
		name := sha1.Sum(data) //nolint:gosec // git's names
		h.mu.Lock()
		h.objects[name] = data
		h.mu.Unlock()
	}
}

// get finds an object by its name and copies it.
func (h *hashFloor) get(name [sha1.Size]byte) []byte {
	h.mu.RLock()
	data := h.objects[name]
	h.mu.RUnlock()
	return append([]byte(nil), data...)
}
