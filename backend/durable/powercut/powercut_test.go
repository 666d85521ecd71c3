package powercut_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// seeds is how many cuts are made where all of their outcomes must be seen.
const seeds = 300

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func write(t *testing.T, d *powercut.Disk, name, data string, sync bool) {
	t.Helper()
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte(data))
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// found says what a disk has: each file with its content.
func found(t *testing.T, d *powercut.Disk) string {
	t.Helper()
	var out []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := d.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() {
				out = append(out, path+"/")
				walk(path)
				continue
			}
			data, err := d.Volume().ReadFile(path)
			must(t, err)
			out = append(out, path+"="+string(data))
		}
	}
	walk("/")
	return strings.Join(out, " ")
}

// outcomes cuts a disk many times and returns what was found how often.
func outcomes(t *testing.T, d *powercut.Disk) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for seed := range uint64(seeds) {
		all[found(t, d.Cut(source(seed)))]++
	}
	return all
}

// exactly fails unless a cut leaves each of these states, and no other.
func exactly(t *testing.T, d *powercut.Disk, want ...string) {
	t.Helper()
	got := outcomes(t, d)
	for _, state := range want {
		if got[state] == 0 {
			t.Errorf("no cut left %q", state)
		}
		delete(got, state)
	}
	for state := range got {
		t.Errorf("a cut left %q", state)
	}
}

func TestWhatIsSyncedStays(t *testing.T) {
	d := powercut.New()
	must(t, d.Mkdir("/dir", 0o755))
	write(t, d, "/dir/a", "text", true)
	exactly(t, d, "", "/dir/", "/dir/ /dir/a=text") // neither name is durable
	must(t, d.SyncDir("/dir"))
	exactly(t, d, "", "/dir/ /dir/a=text")
	must(t, d.SyncDir("/"))
	exactly(t, d, "/dir/ /dir/a=text")
}

func TestAFileKeepsItsOldContentUntilItIsSynced(t *testing.T) {
	d := powercut.New()
	write(t, d, "/a", "old", true)
	must(t, d.SyncDir("/"))
	write(t, d, "/a", "new", false)
	exactly(t, d, "/a=old", "/a=new")
}

func TestARenamedFileThatWasNotSyncedMayBeEmpty(t *testing.T) {
	d := powercut.New()
	write(t, d, "/a", "old", true)
	must(t, d.SyncDir("/"))
	write(t, d, "/tmp", "new", false)
	must(t, d.Rename("/tmp", "/a"))
	got := make(map[string]int)
	for state, n := range outcomes(t, d) {
		for word := range strings.SplitSeq(state, " ") {
			name, data, _ := strings.Cut(word, "=")
			if data != "" && data != "old" && data != "new" {
				data = "stale bytes"
			}
			got[name+"="+data] += n
		}
	}
	for _, want := range []string{"/a=old", "/a=new", "/a=", "/a=stale bytes", "/tmp=new", "/tmp=", "/tmp=stale bytes"} {
		if got[want] == 0 {
			t.Errorf("no cut left %q", want)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("cuts left %v", got)
	}
}

func TestNamesAreLostInAnyOrder(t *testing.T) {
	d := powercut.New()
	write(t, d, "/a", "1", true)
	write(t, d, "/b", "2", true)
	must(t, d.SyncDir("/"))
	must(t, d.Rename("/a", "/c"))
	must(t, d.Remove("/b"))
	exactly(t, d, "/a=1 /b=2", "/a=1", "/c=1", "/a=1 /c=1", "/a=1 /b=2 /c=1", "/b=2 /c=1", "/b=2", "")
	must(t, d.SyncDir("/"))
	exactly(t, d, "/c=1")
}

func TestAFolderIsMovedWholeOrNot(t *testing.T) {
	d := powercut.New()
	must(t, d.Mkdir("/x", 0o755))
	must(t, d.Mkdir("/y", 0o755))
	must(t, d.Mkdir("/x/dir", 0o755))
	write(t, d, "/x/dir/a", "1", true)
	for _, dir := range []string{"/", "/x", "/x/dir"} {
		must(t, d.SyncDir(dir))
	}
	must(t, d.Rename("/x/dir", "/y/dir"))
	exactly(t, d, "/x/ /x/dir/ /x/dir/a=1 /y/", "/x/ /y/ /y/dir/ /y/dir/a=1")
	must(t, d.SyncDir("/y"))
	exactly(t, d, "/x/ /y/ /y/dir/ /y/dir/a=1")
}

// Long content is torn at sectors, and only there.
func TestContentIsTornAtSectors(t *testing.T) {
	d := powercut.New()
	old := strings.Repeat("o", 4*powercut.Sector)
	write(t, d, "/a", old, true)
	must(t, d.SyncDir("/"))
	write(t, d, "/a", strings.Repeat("n", 6*powercut.Sector), false)
	var torn, short, holes int
	for state := range outcomes(t, d) {
		data := strings.TrimPrefix(state, "/a=")
		if len(data)%powercut.Sector != 0 || len(data) < len(old) {
			t.Fatalf("%d bytes", len(data))
		}
		for at := 0; at < 4*powercut.Sector; at += powercut.Sector {
			sector := data[at : at+powercut.Sector]
			if strings.Trim(sector, "o") != "" && strings.Trim(sector, "n") != "" {
				t.Fatalf("half a sector was written: %.20q", sector)
			}
		}
		if strings.Contains(data, "on") && strings.Contains(data, "no") {
			torn++
		}
		if len(data) < 6*powercut.Sector && len(data) > len(old) {
			short++
		}
		if strings.ContainsRune(data, 0) {
			holes++
		}
	}
	if torn == 0 || short == 0 || holes == 0 {
		t.Errorf("%d torn, %d short, %d with holes", torn, short, holes)
	}
}

func TestOneSeedIsOneCut(t *testing.T) {
	d := powercut.New()
	for _, name := range []string{"/b", "/a", "/c", "/d"} {
		write(t, d, name, strings.Repeat(name, powercut.Sector), false)
	}
	must(t, d.Rename("/a", "/e"))
	for seed := range uint64(50) {
		first, second := found(t, d.Cut(source(seed))), found(t, d.Cut(source(seed)))
		if first != second {
			t.Fatalf("seed %d left %.40q, then %.40q", seed, first, second)
		}
	}
}

func TestADiskThatWasCutIsADiskOfItsOwn(t *testing.T) {
	d := powercut.New()
	write(t, d, "/a", "old", true)
	must(t, d.SyncDir("/"))
	left := d.Cut(source(1))
	write(t, left, "/a", "new", true)
	write(t, d, "/a", "!!!", false)
	if got := found(t, left); got != "/a=new" {
		t.Errorf("left: %s", got)
	}
	exactly(t, left, "/a=new")
	exactly(t, d, "/a=old", "/a=!!!")
}

// After a failed sync the next one lies: programs read the new content until
// the power fails. Only writing another file is right.
func TestAFailedSyncDropsWhatWasWritten(t *testing.T) {
	d := powercut.New()
	f, err := d.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, d.SyncDir("/"))
	_, err = f.Write([]byte(strings.Repeat("1", powercut.Sector)))
	must(t, err)
	d.Fail(powercut.Fault{Kind: powercut.Sync, N: 1, Err: syscall.EIO})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the sync that was to fail: %v", err)
	}
	_, err = f.Write([]byte("2"))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	if got := found(t, d); got != "/a="+strings.Repeat("1", powercut.Sector)+"2" {
		t.Errorf("programs see %q", got)
	}
	exactly(t, d, "/a="+strings.Repeat("\x00", powercut.Sector)+"2")
}

func TestAFileThatWasRemovedIsReadOn(t *testing.T) {
	d := powercut.New()
	write(t, d, "/a", "text", true)
	f, err := d.OpenFile("/a", os.O_RDONLY, 0)
	must(t, err)
	must(t, d.Remove("/a"))
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 0); n != 4 || err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b[:n], err)
	}
	must(t, f.Close())
}

func TestFaults(t *testing.T) {
	d := powercut.New()
	must(t, d.Mkdir("/dir", 0o755))
	write(t, d, "/a", "1", true)
	cases := []struct {
		kind powercut.Kind
		do   func() error
	}{
		{powercut.Create, func() error { _, err := d.OpenFile("/new", os.O_WRONLY|os.O_CREATE, 0o600); return err }},
		{powercut.Open, func() error { _, err := d.OpenFile("/a", os.O_RDONLY, 0); return err }},
		{powercut.Mkdir, func() error { return d.Mkdir("/new", 0o755) }},
		{powercut.Rename, func() error { return d.Rename("/a", "/new") }},
		{powercut.Remove, func() error { return d.Remove("/dir") }},
		{powercut.SyncDir, func() error { return d.SyncDir("/dir") }},
		{powercut.ReadDir, func() error { _, err := d.ReadDir("/dir"); return err }},
	}
	before := found(t, d)
	for _, c := range cases {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			d.Fail(powercut.Fault{Kind: c.kind, N: 1, Err: errno})
			count := d.Count(c.kind)
			if err := c.do(); !errors.Is(err, errno) {
				t.Errorf("%s: %v", c.kind, err)
			}
			if d.Count(c.kind) != count+1 || !d.Mend() || d.Mend() {
				t.Errorf("%s is not counted", c.kind)
			}
			if got := found(t, d); got != before {
				t.Fatalf("%s failed, yet did it: %s", c.kind, got)
			}
		}
	}
}

func TestAShortWrite(t *testing.T) {
	d := powercut.New()
	f, err := d.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	d.Fail(powercut.Fault{Kind: powercut.Write, N: 2, Err: syscall.ENOSPC, Short: 3, Lasting: true})
	for i, want := range []int{6, 3, 3} {
		n, err := f.Write([]byte("abcdef"))
		if n != want || (i > 0) != errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write %d: %d, %v", i, n, err)
		}
	}
	if !d.Mend() {
		t.Error("the fault is not reported")
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	must(t, f.Close())
	if got := found(t, d); got != "/a=abcdefabcabc" {
		t.Errorf("%s", got)
	}
}

func TestExport(t *testing.T) {
	d := powercut.New()
	must(t, d.Mkdir("/dir", 0o755))
	must(t, d.Mkdir("/dir/empty", 0o755))
	write(t, d, "/dir/a", "text", false)
	to := filepath.Join(t.TempDir(), "out")
	must(t, d.Export("/dir", to))
	data, err := os.ReadFile(filepath.Join(to, "a"))
	if err != nil || string(data) != "text" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Stat(filepath.Join(to, "empty")); err != nil || !info.IsDir() {
		t.Error(err)
	}
	if err := d.Export("/missing", to); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
