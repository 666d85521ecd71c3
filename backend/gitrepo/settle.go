package gitrepo

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/caiatech/caiatop/backend/durable"
)

// settleOpened makes durable what is visible when a repository is opened: a
// process that died may have given names that it could not sync any more, and
// we are going to build upon what they name. A place that may only be read
// cannot lose them.
func settleOpened(v durable.Volume, dir string) error {
	folders := []string{dir, filepath.Join(dir, "objects", "pack")}
	folders, err := foldersBelow(v, filepath.Join(dir, "refs"), folders)
	for _, folder := range folders {
		synced := v.SyncDir(folder)
		if errors.Is(synced, fs.ErrNotExist) || errors.Is(synced, durable.ErrReadOnly) {
			continue
		}
		err = errors.Join(err, synced)
	}
	return err
}

// foldersBelow adds a folder and all below it.
func foldersBelow(v durable.Volume, dir string, folders []string) ([]string, error) {
	folders = append(folders, dir)
	entries, err := v.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folders, err
	}
	for _, e := range entries {
		if e.IsDir() {
			if folders, err = foldersBelow(v, filepath.Join(dir, e.Name()), folders); err != nil {
				return folders, err
			}
		}
	}
	return folders, nil
}
