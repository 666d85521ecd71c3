package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// packedLines calls fn with each line of packed-refs, as it is, and the name
// and target it gives; comments and peeled tags have no name.
func (d *diskRefs) packedLines(fn func(line []byte, name string, target Hash)) error {
	path := filepath.Join(d.dir, "packed-refs")
	data, err := d.volume.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, "\r\n")
		if len(text) == 0 || text[0] == '#' || text[0] == '^' {
			fn(line, "", Hash{})
			continue
		}
		hex, name, ok := bytes.Cut(text, []byte(" "))
		target, valid := parseHash(hex)
		if !ok || !valid {
			return fmt.Errorf("%w: %s: the line %.80q", ErrCorrupt, path, text)
		}
		fn(line, string(name), target)
	}
	return nil
}

func (d *diskRefs) packedRef(name string) (Hash, error) {
	var found Hash
	err := d.packedLines(func(_ []byte, n string, target Hash) {
		if n == name {
			found = target
		}
	})
	if err == nil && found.IsZero() {
		err = fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return found, err
}

// remove deletes a reference whose lock we hold, the packed line first: were
// it last, a crash in between would bring back an older target.
func (d *diskRefs) remove(ctx context.Context, name string) error {
	_, err := d.packedRef(name)
	if err == nil {
		err = d.unpack(ctx, name)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	err = d.volume.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// unpack rewrites packed-refs without one reference.
func (d *diskRefs) unpack(ctx context.Context, name string) error {
	path := filepath.Join(d.dir, "packed-refs")
	lock, err := d.lock(ctx, path+".lock")
	if err != nil {
		return err
	}
	var kept []byte
	dropping := false
	err = d.packedLines(func(line []byte, n string, _ Hash) {
		// The peeled target below a dropped tag goes with it.
		dropping = n == name || (dropping && line[0] == '^')
		if !dropping {
			kept = append(kept, line...)
		}
	})
	if err == nil {
		_, err = lock.Write(kept)
	}
	if err != nil {
		return errors.Join(err, lock.Abort())
	}
	return lock.Commit(path)
}

// each implements refStore.
func (d *diskRefs) each(prefix string, fn func(name string, target Hash, err error) error) error {
	names := make(map[string]struct{})
	err := d.packedLines(func(_ []byte, name string, _ Hash) {
		if strings.HasPrefix(name, prefix) {
			names[name] = struct{}{}
		}
	})
	if errors.Is(err, ErrCorrupt) {
		err = fn("packed-refs", Hash{}, err)
	}
	if err != nil {
		return err
	}
	if err := d.walk(strings.TrimSuffix(prefix, "/"), 0, names); err != nil {
		return err
	}
	if len(names) == 0 {
		if err := d.missing(prefix); errors.Is(err, ErrGone) {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if checkRef(name) != nil {
			continue // git ignores such files, too
		}
		target, err := d.ref(name)
		if errors.Is(err, ErrNotFound) {
			continue // deleted while we look, or it points to a branch without commits
		}
		if err := fn(name, target, err); err != nil {
			return err
		}
	}
	return nil
}

// walk adds the files below a folder of references.
func (d *diskRefs) walk(folder string, depth int, names map[string]struct{}) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: folders deeper than %d in %s", ErrCorrupt, maxDepth, d.path(folder))
	}
	entries, err := d.volume.ReadDir(d.path(folder))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := folder + "/" + e.Name()
		switch {
		case e.IsDir():
			if err := d.walk(name, depth+1, names); err != nil {
				return err
			}
		case !strings.HasSuffix(name, ".lock"):
			names[name] = struct{}{}
		}
	}
	return nil
}
