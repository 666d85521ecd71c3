package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing/format/config"
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

// disk is a bare repository on disk.
type disk struct {
	packs *packStore
	refs  *diskRefs
	owed  *durable.Owed
}

func openDisk(dir string, o Options) (*disk, error) {
	opened := time.Now()
	var owed *durable.Owed
	o.Volume, owed = o.Volume.Track()
	entries, err := o.Volume.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(entries) == 0 || unfinished(entries) {
		if err := initialise(o.Volume, dir); err != nil {
			return nil, err
		}
	}
	if err := checkBare(o.Volume, dir); err != nil {
		return nil, err
	}
	if err := removeInitial(o.Volume, dir, entries); err != nil {
		return nil, err
	}
	if err := removeLeftovers(o.Volume, filepath.Join(dir, "objects", "pack")); err != nil {
		return nil, err
	}
	if err := settleOpened(o.Volume, dir); err != nil {
		return nil, err
	}
	packs, err := newPackStore(o.Volume, filepath.Join(dir, "objects"), o.CacheBytes)
	if err != nil {
		return nil, err
	}
	return &disk{packs, &diskRefs{volume: o.Volume, dir: dir, opened: opened, now: time.Now}, owed}, nil
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
func removeInitial(v durable.Volume, dir string, entries []os.DirEntry) error {
	for _, e := range entries {
		if !initial(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < abandonedAfter {
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

// checkBare refuses folders that are no bare repository, and repositories in
// formats that we would misread.
func checkBare(v durable.Volume, dir string) error {
	for _, name := range []string{"HEAD", "config", "objects", "refs"} {
		if _, err := v.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%w: the folder is no bare git repository: %w", ErrInvalid, err)
		}
	}
	data, err := v.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		return err
	}
	c := config.New()
	if err := config.NewDecoder(bytes.NewReader(data)).Decode(c); err != nil {
		return fmt.Errorf("%w: config: %w", ErrInvalid, err)
	}
	if bare, err := strconv.ParseBool(c.Section("core").Option("bare")); err != nil || !bare {
		return fmt.Errorf("%w: the repository is not bare", ErrInvalid)
	}
	extensions := c.Section("extensions")
	if format := extensions.Option("objectformat"); format != "" && !strings.EqualFold(format, "sha1") {
		return fmt.Errorf("%w: object format %q is not supported", ErrInvalid, format)
	}
	if storage := extensions.Option("refstorage"); storage != "" && !strings.EqualFold(storage, "files") {
		return fmt.Errorf("%w: reference storage %q is not supported", ErrInvalid, storage)
	}
	if _, err := v.Stat(filepath.Join(dir, "objects", "info", "alternates")); err == nil {
		return fmt.Errorf("%w: the repository borrows objects of another one (objects/info/alternates)", ErrInvalid)
	}
	return nil
}

// removeLeftovers deletes the temporary files of processes that died while
// they wrote a pack.
func removeLeftovers(v durable.Volume, dir string) error {
	entries, err := v.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return v.MkdirAll(dir, folderPerm)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), tempPrefix)
		if !ours || !abandoned(e, rest) {
			continue
		}
		if err := v.Discard(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// started is when this process began to write temporary files, at the
// earliest: older ones under our process id are those of a namesake.
var started = time.Now()

// abandonedAfter is how old the temporary file of a process that lives must
// be before it is taken for that of a dead namesake.
const abandonedAfter = time.Hour

func abandoned(e os.DirEntry, rest string) bool {
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
	return time.Since(info.ModTime()) > abandonedAfter
}
