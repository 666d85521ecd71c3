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

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// place is where the parts of a repository lie.
type place struct {
	git    string // HEAD
	common string // all the rest; another folder in a linked worktree
}

// locate finds the repository that a folder is, or that is in it.
func locate(v durable.Volume, dir string) (place, error) {
	git := dir
	info, err := v.Stat(dir)
	if err == nil && info.IsDir() {
		dot := filepath.Join(dir, ".git")
		if info, err = v.Stat(dot); err == nil {
			git = dot
		} else if errors.Is(err, fs.ErrNotExist) {
			info, err = v.Stat(dir)
		}
	}
	if err != nil {
		return place{}, fmt.Errorf("%w: there is no git repository: %w", ErrInvalid, err)
	}
	if !info.IsDir() {
		if git, err = gitFile(v, git); err != nil {
			return place{}, err
		}
	}
	common := git
	data, err := v.ReadFile(filepath.Join(git, "commondir"))
	switch {
	case err == nil:
		common = relativeTo(git, strings.TrimSpace(string(data)))
	case !errors.Is(err, fs.ErrNotExist):
		return place{}, err
	}
	return place{git, common}, nil
}

// gitFile reads a ".git" file, which a linked worktree or a submodule has in
// place of the folder.
func gitFile(v durable.Volume, name string) (string, error) {
	data, err := v.ReadFile(name)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(string(data[:min(len(data), maxRefFile)]), "gitdir:")
	if !ok {
		return "", fmt.Errorf("%w: %s does not say where the repository is", ErrInvalid, name)
	}
	return relativeTo(filepath.Dir(name), strings.TrimSpace(target)), nil
}

func relativeTo(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// check refuses what is no repository, and repositories that we would misread
// or may not write.
func (p place) check(v durable.Volume, readOnly bool) error {
	for _, name := range []string{filepath.Join(p.git, "HEAD"), filepath.Join(p.common, "config"), filepath.Join(p.common, "objects"), filepath.Join(p.common, "refs")} {
		if _, err := v.Stat(name); err != nil {
			return fmt.Errorf("%w: the folder is no git repository: %w", ErrInvalid, err)
		}
	}
	data, err := v.ReadFile(filepath.Join(p.common, "config"))
	if err != nil {
		return err
	}
	c := config.New()
	if err := config.NewDecoder(bytes.NewReader(data)).Decode(c); err != nil {
		return fmt.Errorf("%w: config: %w", ErrInvalid, err)
	}
	if err := checkFormat(c); err != nil || readOnly {
		return err
	}
	if bare, err := strconv.ParseBool(c.Section("core").Option("bare")); err != nil || !bare {
		return fmt.Errorf("%w: %w: it has a worktree, whose files would seem changed; open it for reading only, or write to a bare clone (git clone --bare)", ErrInvalid, ErrReadOnly)
	}
	if _, err := v.Stat(filepath.Join(p.common, "objects", alternates)); err == nil {
		return fmt.Errorf("%w: %w: it borrows objects of another one (objects/%s); open it for reading only, or make it whole: git repack -ad, then remove that file", ErrInvalid, ErrReadOnly, alternates)
	}
	return nil
}

// checkFormat refuses the formats of git that are not supported.
func checkFormat(c *config.Config) error {
	extensions := c.Section("extensions")
	if format := extensions.Option("objectformat"); format != "" && !strings.EqualFold(format, "sha1") {
		return fmt.Errorf("%w: its objects have %s names (extensions.objectFormat), and only those with sha1 are supported; make a new repository with git init --object-format=sha1 and bring the history there with git fast-export and git fast-import", ErrInvalid, strings.ToUpper(format))
	}
	if storage := extensions.Option("refstorage"); storage != "" && !strings.EqualFold(storage, "files") {
		return fmt.Errorf("%w: its references are kept as %q (extensions.refStorage), and only files are supported; change that with git refs migrate --ref-format=files", ErrInvalid, storage)
	}
	if version := c.Section("core").Option("repositoryformatversion"); version != "" && version != "0" && version != "1" {
		return fmt.Errorf("%w: its format has the version %q, and only 0 and 1 are known", ErrInvalid, version)
	}
	return nil
}

// readOnly is a file system on which nothing is ever written.
type readOnly struct{ volume durable.Volume }

func refused(operation, name string) error {
	return &fs.PathError{Op: operation, Path: name, Err: ErrReadOnly}
}

func (f readOnly) OpenFile(name string, flag int, _ os.FileMode) (durable.Handle, error) {
	if flag != os.O_RDONLY {
		return nil, refused("write", name)
	}
	return f.volume.Open(name)
}
func (f readOnly) Stat(name string) (os.FileInfo, error)      { return f.volume.Stat(name) }
func (f readOnly) Lstat(name string) (os.FileInfo, error)     { return f.volume.Lstat(name) }
func (f readOnly) ReadDir(name string) ([]os.DirEntry, error) { return f.volume.ReadDir(name) }
func (readOnly) Mkdir(name string, _ os.FileMode) error       { return refused("make folder", name) }
func (readOnly) Rename(from, _ string) error                  { return refused("rename", from) }
func (readOnly) Remove(name string) error                     { return refused("remove", name) }
func (readOnly) SyncDir(name string) error                    { return refused("sync", name) }
