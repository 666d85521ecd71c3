package gitstore_test

import (
	"path/filepath"
	"testing"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/backend/store/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			repo := gitrepo.NewMemory(gitrepo.Options{})
			t.Cleanup(func() { closeRepo(t, repo) })
			return gitstore.New(repo)
		})
	})
	t.Run("disk", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			return gitstore.New(onDisk(t, filepath.Join(t.TempDir(), "repo.git")))
		})
	})
}

func onDisk(t testing.TB, dir string) *gitrepo.Repo {
	t.Helper()
	repo, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, repo) })
	return repo
}

func closeRepo(t testing.TB, repo *gitrepo.Repo) {
	t.Helper()
	if err := repo.Close(); err != nil {
		t.Error(err)
	}
}
