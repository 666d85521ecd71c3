package gitrepo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	folderPerm = 0o755
	filePerm   = 0o644
)

// initialConfig makes other git programs sync what they write here, too.
const initialConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	fsync = all
`

// disk is a repository on disk.
type disk struct {
	packs *packStore
	refs  *diskRefs
	owed  *durable.Owed
}

func openDisk(dir string, o Options) (*disk, error) {
	opened := o.Now()
	if o.ReadOnly {
		o.Volume = durable.Volume{FS: readOnly{o.Volume}}
	}
	volume, owed := o.Volume.Track()
	o.Volume = volume
	if !o.ReadOnly {
		if err := begin(o.Volume, dir); err != nil {
			return nil, err
		}
	}
	at, err := locate(o.Volume, dir)
	if err != nil {
		return nil, err
	}
	if err := at.check(o.Volume, o.ReadOnly); err != nil {
		return nil, err
	}
	objects := filepath.Join(at.common, "objects")
	if !o.ReadOnly {
		if err := takeOver(o.Volume, at.common, opened); err != nil {
			return nil, err
		}
		if o.SyncAll {
			if err := syncAll(o.Volume, at.common); err != nil {
				return nil, err
			}
		}
	}
	packs, err := openPacks(o.Volume, objects, o.CacheBytes, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	refs := &diskRefs{volume: o.Volume, dir: at.common, head: filepath.Join(at.git, "HEAD"), opened: opened, now: o.Now, spares: packs.spares}
	return &disk{packs, refs, owed}, nil
}

// takeOver clears up behind a process that died before now, and makes durable
// what it left visible.
func takeOver(v durable.Volume, dir string, now time.Time) error {
	entries, err := v.ReadDir(dir)
	if err != nil {
		return err
	}
	if err := removeInitial(v, dir, entries, now); err != nil {
		return err
	}
	if err := removeLeftovers(v, filepath.Join(dir, "objects", "pack"), now); err != nil {
		return err
	}
	return settleOpened(v, dir)
}

// openPacks opens the objects of a repository, and those that it borrows.
func openPacks(v durable.Volume, objects string, cacheBytes int64, readOnly bool) (*packStore, error) {
	if !readOnly {
		return newPackStore(v, objects, cacheBytes)
	}
	packs, err := openPackStore(v, objects, cacheBytes)
	if err != nil {
		return nil, err
	}
	if err := packs.borrow(); err != nil {
		return nil, errors.Join(err, packs.close())
	}
	return packs, nil
}

// begin makes an empty repository of a folder that is missing or empty.
func begin(v durable.Volume, dir string) error {
	entries, err := v.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) == 0 || unfinished(entries) {
		return initialise(v, dir)
	}
	return nil
}

// unfinished recognises what a crash in initialise leaves: HEAD, which makes
// a folder a repository, is written last.
func unfinished(entries []os.DirEntry) bool {
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "objects" || name == "refs":
			if !e.IsDir() {
				return false
			}
		case name == "config" || initial(name):
		default:
			return false
		}
	}
	return true
}

// initial recognises the temporary files of initialise.
func initial(name string) bool {
	return strings.HasPrefix(name, ".config.tmp-") || strings.HasPrefix(name, ".HEAD.tmp-")
}

// removeInitial deletes the temporary files of an initialise that died.
func removeInitial(v durable.Volume, dir string, entries []os.DirEntry, now time.Time) error {
	for _, e := range entries {
		if !initial(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < abandonedAfter {
			continue // removed meanwhile, or of a process that may live
		}
		if err := v.Discard(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func initialise(v durable.Volume, dir string) error {
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := v.MkdirAll(filepath.Join(dir, folder), folderPerm); err != nil {
			return err
		}
	}
	if err := v.WriteFile(filepath.Join(dir, "config"), []byte(initialConfig), filePerm); err != nil {
		return err
	}
	return v.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: "+headsPrefix+Main+"\n"), filePerm)
}

// removeLeftovers deletes the temporary files of processes that died while
// they wrote a pack.
func removeLeftovers(v durable.Volume, dir string, now time.Time) error {
	entries, err := v.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return v.MkdirAll(dir, folderPerm)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), tempPrefix)
		if !ours || !abandoned(e, rest, now) {
			continue
		}
		if err := v.Discard(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// started is when this process began to write temporary files, at the
// earliest: older ones under our process id are those of a namesake. It is of
// the process and not of a repository, which may be opened long after.
var started = time.Now()

// abandonedAfter is how old the temporary file of a process that lives must
// be before it is taken for that of a dead namesake.
const abandonedAfter = time.Hour

func abandoned(e os.DirEntry, rest string, now time.Time) bool {
	info, err := e.Info()
	if err != nil {
		return false // removed meanwhile
	}
	number, _, _ := strings.Cut(rest, "_")
	pid, err := strconv.Atoi(number)
	switch {
	case err != nil || pid <= 0:
		return true
	case pid == os.Getpid():
		return info.ModTime().Before(started)
	case errors.Is(syscall.Kill(pid, 0), syscall.ESRCH):
		return true
	}
	return now.Sub(info.ModTime()) > abandonedAfter
}
