package powercut_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// What was visible after a failed sync of its folder is durable once the debt
// is settled, and not before.
func TestAFolderThatCouldNotBeSyncedIsOwed(t *testing.T) {
	d := powercut.New()
	v, owed := d.Volume().Track()
	must(t, owed.Settle())
	d.Fail(powercut.Fault{Kind: powercut.SyncDir, N: 1, Err: syscall.ENOSPC})
	if err := v.WriteFile("/a", []byte("1"), 0o600); !errors.Is(err, durable.ErrUnsynced) {
		t.Fatalf("write: %v", err)
	}
	if got := outcomes(t, d); got[""] == 0 {
		t.Fatalf("nothing is owed: %v", got)
	}
	d.Fail(powercut.Fault{Kind: powercut.SyncDir, N: 1, Err: syscall.ENOSPC})
	if err := owed.Settle(); !errors.Is(err, durable.ErrDiskFull) {
		t.Fatalf("settle on a full disk: %v", err)
	}
	must(t, owed.Settle())
	exactly(t, d, "/a=1")
	count := d.Count(powercut.SyncDir)
	must(t, owed.Settle())
	if d.Count(powercut.SyncDir) != count {
		t.Error("a debt is paid twice")
	}
}

func TestAFolderThatIsGoneOwesNothing(t *testing.T) {
	d := powercut.New()
	v, owed := d.Volume().Track()
	must(t, d.Mkdir("/dir", 0o755))
	d.Fail(powercut.Fault{Kind: powercut.SyncDir, N: 1, Err: syscall.EIO})
	if err := v.SyncDir("/dir"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	must(t, d.Remove("/dir"))
	must(t, owed.Settle())
}
