package state

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/store"
)

func TestCorruptFileSaysWhichAndWhatToDo(t *testing.T) {
	for name, spoil := range map[string]func(data []byte) []byte{
		"no database":    func(data []byte) []byte { return []byte(strings.Repeat("not a database ", 1000)) },
		"torn header":    func(data []byte) []byte { copy(data, make([]byte, 64)); return data },
		"cut short":      func(data []byte) []byte { return data[:len(data)/2] },
		"garbage inside": func(data []byte) []byte { copy(data[100:], strings.Repeat("\xa5", 4000)); return data },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := open(t, dir)
			mustAppend(t, db, numbered(200, "x")...)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(db.file, spoil(must(os.ReadFile(db.file))), 0o600); err != nil {
				t.Fatal(err)
			}
			spoiled, err := Open(t.Context(), dir, Options{})
			if err == nil {
				// What lies deeper is found by whoever reads it.
				_, err = spoiled.Next(t.Context(), 0, MaxNext, 1<<30)
				if closeErr := spoiled.Close(); closeErr != nil && !errors.Is(closeErr, store.ErrCorrupt) {
					t.Fatal(closeErr)
				}
			}
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), db.file) || !strings.Contains(err.Error(), corruptAdvice) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// After a crash the index is checked before it is believed.
func TestCorruptIndexIsFoundAfterACrash(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAppend(t, db, numbered(500, "x")...)
	var root, busy, pages int
	if err := db.conn.QueryRowContext(t.Context(), `SELECT rootpage FROM sqlite_schema WHERE name = 'documents'`).Scan(&root); err != nil {
		t.Fatal(err)
	}
	if err := db.conn.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &pages); err != nil || busy != 0 {
		t.Fatal(busy, err)
	}
	data := must(os.ReadFile(db.file))
	copy(data[(root-1)*4096+2000:], strings.Repeat("\xa5", 2000))
	crashed := t.TempDir()
	if err := os.WriteFile(filepath.Join(crashed, stateFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), crashed, Options{}); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), corruptAdvice) {
		t.Fatalf("got %v", err)
	}
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.conn.ExecContext(t.Context(), `PRAGMA user_version = 0`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
}

func TestSpoiledPayloadIsFound(t *testing.T) {
	payload := must(encodePayload(docOf("a", "text")))
	for i := range payload {
		spoiled := append([]byte{}, payload...)
		spoiled[i] ^= 0x40
		if _, err := decodePayload(spoiled); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := decodePayload(payload[:i]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
	db := open(t, t.TempDir())
	op := put("op", "a", "text")
	mustAppend(t, db, op)
	if _, err := db.conn.ExecContext(t.Context(), `UPDATE outbox SET payload = x'0100000000'`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Next(t.Context(), 0, 1, 1); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("next: %v", err)
	}
	if _, _, err := db.Newest(t.Context(), op.Key.ID); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("newest: %v", err)
	}
}

// The disk is full when the file may not grow: SQLite reports both alike.
func TestDiskFull(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, put("op-1", "a", "x"))
	before := db.Summary()
	if _, err := db.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 20`); err != nil {
		t.Fatal(err)
	}
	_, err := db.Append(t.Context(), []Operation{put("op-2", "b", strings.Repeat("x", 1<<20))})
	if !errors.Is(err, store.ErrDiskFull) || !strings.Contains(err.Error(), db.file) {
		t.Fatalf("got %v", err)
	}
	if db.Summary() != before {
		t.Fatalf("summary %+v, want %+v", db.Summary(), before)
	}
	if _, err := db.Lookup(t.Context(), idOf("a")); err != nil {
		t.Fatalf("reads: %v", err)
	}
	if _, err := db.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	if got := mustAppend(t, db, put("op-3", "c", "x"))[0].Seq; got != 2 {
		t.Fatalf("after space was made: %d", got)
	}
}

// sqliteError is an error of the driver, whose own cannot be made.
type sqliteError int

func (e sqliteError) Error() string { return "disk I/O error" }
func (e sqliteError) Code() int     { return int(e) }

func TestFailedSyncEndsWritingUntilReopened(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAppend(t, db, put("op-1", "a", "x"))
	commit := db.commit
	db.commit = func(context.Context) error { return sqliteError(codeIOFsync) }
	_, err := db.Append(t.Context(), []Operation{put("op-2", "b", "x")})
	if !errors.Is(err, store.ErrReadOnly) || !errors.Is(err, store.ErrAmbiguous) {
		t.Fatalf("got %v", err)
	}
	db.commit = commit // the kernel says that all is well again
	for name, write := range map[string]func() error{
		"append": func() error { _, err := db.Append(t.Context(), []Operation{put("op-3", "c", "x")}); return err },
		"meta":   func() error { return db.SetMeta(t.Context(), "k", "v") },
		"attach": func() error { return db.Attach(t.Context(), "git", 0) },
	} {
		if err := write(); !errors.Is(err, store.ErrReadOnly) || errors.Is(err, store.ErrAmbiguous) {
			t.Fatalf("%s: got %v", name, err)
		}
	}
	if _, err := db.Lookup(t.Context(), idOf("a")); err != nil {
		t.Fatalf("reads: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if s := db.Summary(); s.Documents != 1 || s.MaxSeq != 1 {
		t.Fatalf("summary %+v", s)
	}
	mustAppend(t, db, put("op-3", "c", "x"))
}

func TestErrorsAreNamed(t *testing.T) {
	for err, want := range map[error]error{
		sqliteError(13):      store.ErrDiskFull,
		sqliteError(8):       store.ErrReadOnly,
		sqliteError(8 | 256): store.ErrReadOnly,
		sqliteError(11):      store.ErrCorrupt,
		sqliteError(26):      store.ErrCorrupt,
		sqliteError(1034):    store.ErrReadOnly,
		sqliteError(1290):    store.ErrReadOnly,
		sqliteError(5):       store.ErrUnavailable,
		sqliteError(778):     store.ErrUnavailable,
		syscall.ENOSPC:       store.ErrDiskFull,
		syscall.EROFS:        store.ErrReadOnly,
		syscall.EACCES:       store.ErrReadOnly,
		io.EOF:               io.EOF,
	} {
		if got := wrap(err, "write", "file"); !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	if wrap(nil, "write", "file") != nil {
		t.Error("nil became an error")
	}
}

// The superuser may write anywhere, so that the folder is opened by a child
// that is nobody.
func TestReadOnlyFolder(t *testing.T) {
	for name, prepare := range map[string]func(dir string){
		"empty": func(string) {},
		"with a file": func(dir string) {
			if err := must(Open(t.Context(), dir, Options{})).Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, stateFile), 0o444); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			mkdir(t, dir)
			prepare(dir)
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			binary := filepath.Join(t.TempDir(), "child")
			copyFile(t, must(os.Executable()), binary)
			if err := os.Chmod(binary, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.Dir = filepath.Dir(binary)
			cmd.Env = append(os.Environ(), childMode+"=open", childDir+"="+dir)
			if os.Geteuid() == 0 {
				const nobody = 65534
				for _, path := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(filepath.Dir(binary))} {
					if err := os.Chmod(path, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "read only: true") {
				t.Fatalf("%s, %v", out, err)
			}
		})
	}
}
