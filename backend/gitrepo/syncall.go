package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// syncAll makes other git programs sync what they write, as initialConfig does,
// where the configuration of a repository says nothing about it. A section may
// be there twice, and so what is there stays as it is. Where the file cannot be
// written now, that is no reason not to open the repository: it is tried again
// at the next start.
func syncAll(v durable.Volume, dir string) error {
	path := filepath.Join(dir, "config")
	info, err := v.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err // a link leads to a file that is not ours
	}
	data, err := v.ReadFile(path)
	if err != nil {
		return err
	}
	c := config.New()
	if err := config.NewDecoder(bytes.NewReader(data)).Decode(c); err != nil {
		return fmt.Errorf("%w: config: %w", ErrInvalid, err)
	}
	// Of what is included we do not know what it says.
	if c.Section("core").HasOption("fsync") || c.HasSection("include") || c.HasSection("includeIf") {
		return nil
	}
	lock, err := v.Create(path+".lock", info.Mode().Perm())
	if errors.Is(err, fs.ErrExist) || errors.Is(err, durable.ErrReadOnly) || errors.Is(err, durable.ErrDiskFull) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := len(data); n > 0 && data[n-1] != '\n' {
		data = append(data, '\n')
	}
	if _, err := lock.Write(append(data, "[core]\n\tfsync = all\n"...)); err != nil {
		if err = errors.Join(err, lock.Abort()); errors.Is(err, durable.ErrDiskFull) {
			return nil
		}
		return err
	}
	return lock.Commit(path)
}
