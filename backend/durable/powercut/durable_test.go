package powercut_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// everyChange runs do once for each operation that changes the disk, with a
// cut just before it, and once to its end, and gives what was left to check.
func everyChange(t *testing.T, prepare func(*powercut.Disk), do func(durable.Volume) error, check func(state string, done bool)) {
	t.Helper()
	for seed := range uint64(40) {
		d := powercut.New()
		prepare(d)
		d.Before(func(op powercut.Op) {
			if op.Kind < powercut.Open {
				check(found(t, d.Cut(source(seed))), false)
			}
		})
		must(t, do(d.Volume()))
		check(found(t, d.Cut(source(seed))), true)
	}
}

func prepared(t *testing.T) func(*powercut.Disk) {
	return func(d *powercut.Disk) {
		must(t, d.Mkdir("/dir", 0o755))
		write(t, d, "/dir/a", strings.Repeat("old", 600), true)
		must(t, d.SyncDir("/dir"))
		must(t, d.SyncDir("/"))
	}
}

// Whenever the power fails: the old file or the new one, never a part; and the
// new one once WriteFile has returned.
func TestWriteFileSurvivesEveryCut(t *testing.T) {
	old, fresh := strings.Repeat("old", 600), strings.Repeat("new!", 800)
	write := func(v durable.Volume) error { return v.WriteFile("/dir/a", []byte(fresh), 0o600) }
	everyChange(t, prepared(t), write, func(state string, done bool) {
		_, after, ok := strings.Cut(state, "/dir/a=")
		if !ok || (after != fresh && (done || after != old)) {
			t.Fatalf("done: %t, left %.80q", done, state)
		}
	})
}

func TestRenameSurvivesEveryCut(t *testing.T) {
	for _, to := range []string{"/dir/b", "/other/b"} {
		prepare := func(d *powercut.Disk) {
			prepared(t)(d)
			must(t, d.Mkdir("/other", 0o755))
			must(t, d.SyncDir("/"))
		}
		rename := func(v durable.Volume) error { return v.Rename("/dir/a", to) }
		everyChange(t, prepare, rename, func(state string, done bool) {
			moved, old := strings.Contains(state, to+"=old"), strings.Contains(state, "/dir/a=")
			if done && (!moved || old) {
				t.Fatalf("done: %t, left %.80q", done, state)
			}
		})
	}
}

func TestMkdirAllSurvivesEveryCut(t *testing.T) {
	make := func(v durable.Volume) error { return v.MkdirAll("/dir/x/y/z", 0o755) }
	everyChange(t, prepared(t), make, func(state string, done bool) {
		if done && !strings.Contains(state, "/dir/x/y/z/") {
			t.Fatalf("left %.80q", state)
		}
	})
}

// Whatever fails in WriteFile, the file is the old one or the new one, nothing
// is left beside it, and the error says which of the two it is after a cut.
func TestWriteFileSurvivesEveryFault(t *testing.T) {
	old, fresh := strings.Repeat("old", 600), strings.Repeat("new!", 800)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n++ {
			d := powercut.New()
			prepared(t)(d)
			d.Fail(powercut.Fault{Kind: powercut.Change, N: n, Err: errno, Short: 700})
			err := d.Volume().WriteFile("/dir/a", []byte(fresh), 0o600)
			if !d.Mend() {
				must(t, err)
				if n < 5 {
					t.Fatalf("WriteFile changes the disk %d times only", n-1)
				}
				break
			}
			if !errors.Is(err, errno) || (errno == syscall.ENOSPC) != errors.Is(err, durable.ErrDiskFull) {
				t.Fatalf("fault %d: %v", n, err)
			}
			want := "/dir/ /dir/a=" + old
			if errors.Is(err, durable.ErrUnsynced) {
				want = "/dir/ /dir/a=" + fresh
			}
			if got := found(t, d); got != want {
				t.Fatalf("fault %d: %.60q, %v", n, got, err)
			}
			must(t, d.Volume().WriteFile("/dir/a", []byte("again"), 0o600))
			exactly(t, d, "/dir/ /dir/a=again")
		}
	}
}

// A file whose sync failed is not synced again and renamed: it would be
// without its content after a cut.
func TestAPoisonedFileIsNeverPlaced(t *testing.T) {
	d := powercut.New()
	prepared(t)(d)
	f, err := d.Volume().CreateTemp("/dir", "tmp-", 0o600)
	must(t, err)
	_, err = f.Write([]byte("new"))
	must(t, err)
	d.Fail(powercut.Fault{Kind: powercut.Sync, N: 1, Err: syscall.EIO})
	if err := f.Sync(); err == nil {
		t.Fatal("the sync did not fail")
	}
	if err := f.Commit("/dir/a"); !errors.Is(err, durable.ErrPoisoned) {
		t.Fatalf("commit: %v", err)
	}
	must(t, d.SyncDir("/dir"))
	exactly(t, d, "/dir/ /dir/a="+strings.Repeat("old", 600))
}
