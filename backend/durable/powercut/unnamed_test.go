package powercut_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// What was synced is there under the name, and the name when the folder was
// synced; without a name there is nothing.
func TestTheNameOfAnUnnamedFileIsLostOrKept(t *testing.T) {
	d := powercut.New()
	f, err := d.OpenUnnamed("/", 0o600)
	must(t, err)
	_, err = f.Write([]byte("x"))
	must(t, errors.Join(err, f.Sync()))
	exactly(t, d, "")
	must(t, f.Link("/a"))
	exactly(t, d, "", "/a=x")
	must(t, d.SyncDir("/"))
	exactly(t, d, "/a=x")
	must(t, f.Close())
}

func TestUnnamedFilesFailAsTheMachineDoes(t *testing.T) {
	d := powercut.New()
	write(t, d, "/file", "", true)
	for dir, want := range map[string]error{"/missing": fs.ErrNotExist, "/file": syscall.ENOTDIR} {
		if _, err := d.OpenUnnamed(dir, 0o600); !errors.Is(err, want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	f, err := d.OpenUnnamed("/", 0o600)
	must(t, err)
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, syscall.EBADF) {
		t.Errorf("read: %v", err)
	}
	for name, want := range map[string]error{"/missing/x": fs.ErrNotExist, "/file": fs.ErrExist, "/": fs.ErrExist, "/file/x": syscall.ENOTDIR} {
		if err := f.Link(name); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range []powercut.Kind{powercut.Link, powercut.Change} {
		d.Fail(powercut.Fault{Kind: kind, N: 1, Err: syscall.EIO})
		if err := f.Link("/free"); !errors.Is(err, syscall.EIO) || !d.Mend() {
			t.Errorf("a fault: %v", err)
		}
	}
	must(t, f.Close())
	if err := f.Link("/free"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closed: %v", err)
	}
	d.Fail(powercut.Fault{Kind: powercut.Create, N: 1, Err: syscall.ENOSPC})
	if _, err := d.OpenUnnamed("/", 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a fault: %v", err)
	}
}

// Whenever the power fails: the old file or the new one.
func TestAnUnnamedFileThatReplacesSurvivesEveryCut(t *testing.T) {
	old, fresh := strings.Repeat("old", 600), strings.Repeat("new!", 800)
	replace := func(v durable.Volume) error {
		f, err := v.CreateUnnamed("/dir", "tmp-", 0o600)
		if err != nil {
			return err
		}
		if _, err := f.Write([]byte(fresh)); err != nil {
			return err
		}
		return f.Commit("/dir/a")
	}
	everyChange(t, prepared(t), replace, func(state string, done bool) {
		_, after, ok := strings.Cut(state, "/dir/a=")
		after, _, _ = strings.Cut(after, " ")
		if !ok || (after != fresh && (done || after != old)) {
			t.Fatalf("done: %t, left %.80q", done, state)
		}
	})
}
