package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

func TestVerify(t *testing.T) {
	repo := grown(t, 6, 500)
	behind := tipOf(t, repo)
	grow(t, repo, 6, 2, 10)
	eachServer(t, func(t *testing.T, dir string, target *Target) {
		ctx := context.Background()
		if _, err := target.Verify(ctx, repo, tipOf(t, repo), now); !errors.Is(err, ErrMissing) && !errors.Is(err, gitrepo.ErrNotFound) {
			t.Errorf("empty: %v", err)
		}
		if _, err := target.Push(ctx, repo, behind, zero, nil); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "gc", "-q") // with deltas
		if _, fetches := target.place.(*server); fetches {
			leftBy(t, target.temp, "crash")
		}
		report, err := target.Verify(ctx, repo, tipOf(t, repo), now)
		if err != nil || !report.Good() || report.Behind != 2 || report.Commits != 6 || report.Tip != behind {
			t.Errorf("%+v, %v", report, err)
		}
		if left, err := os.ReadDir(target.temp); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// leftBy makes what a verification leaves if its process is killed.
func leftBy(t *testing.T, temp, whom string) string {
	t.Helper()
	dir := filepath.Join(temp, scratchMark+whom)
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "objects"), 0o700), os.WriteFile(filepath.Join(dir, "objects", "x"), []byte("x"), 0o400)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestKilledVerificationsFillTheStateFolder: each left all that it had fetched.
func TestKilledVerificationsFillTheStateFolder(t *testing.T) {
	target := parse(t, Settings{}, "git://127.0.0.1/store.git")
	old, dead := leftBy(t, target.temp, "old"), leftBy(t, target.temp, "dead")
	lock, err := durable.AcquireLock(filepath.Join(dead, scratchLock))
	if err == nil {
		err = lock.Release() // as the end of its process does
	}
	if err != nil {
		t.Fatal(err)
	}
	alive, err := newScratch(target.temp)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(target.temp, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	leftBy(t, target.temp, "again")
	if err := target.Sweep(); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{old, dead, filepath.Join(target.temp, scratchMark+"again")} {
		if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
	for _, kept := range []string{alive.dir, other} {
		if _, err := os.Stat(kept); err != nil {
			t.Error(err)
		}
	}
	if err := alive.remove(); err != nil {
		t.Error(err)
	}
}

// TestVerifyFindsDamage: an object that is gone from the backup's folder.
func TestVerifyFindsDamage(t *testing.T) {
	dir := bare(t)
	repo := grown(t, 4, 100)
	target := parse(t, Settings{}, dir)
	if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); err != nil {
		t.Fatal(err)
	}
	pack, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))
	if err != nil || len(pack) != 1 {
		t.Fatal(pack, err)
	}
	loose := t.TempDir()
	if err := os.Rename(pack[0], filepath.Join(loose, "pack")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(strings.TrimSuffix(pack[0], "pack") + "idx"); err != nil {
		t.Fatal(err)
	}
	unpack(t, dir, filepath.Join(loose, "pack"))
	blob := git(t, dir, "rev-parse", "main:a/2/f2")
	if err := os.Remove(filepath.Join(dir, "objects", blob[:2], blob[2:])); err != nil {
		t.Fatal(err)
	}
	report, err := target.Verify(context.Background(), repo, tipOf(t, repo), now)
	if err != nil || report.Good() || report.Damaged != 1 || !strings.Contains(report.Damages[0], blob) {
		t.Errorf("%+v, %v; want %s missing", report, err, blob)
	}
}
