package powercut_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
	"pgregory.net/rapid"
)

// machine is the file system of this machine, below a folder.
type machine struct{}

func (machine) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}
func (machine) Stat(name string) (os.FileInfo, error)      { return os.Stat(name) }
func (machine) Lstat(name string) (os.FileInfo, error)     { return os.Lstat(name) }
func (machine) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(name) }
func (machine) Mkdir(name string, perm os.FileMode) error  { return os.Mkdir(name, perm) }
func (machine) Rename(from, to string) error               { return os.Rename(from, to) }
func (machine) Remove(name string) error                   { return os.Remove(name) }

func (machine) SyncDir(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// side is one of the two file systems and the files open on it.
type side struct {
	fs    durable.FS
	root  string
	files []durable.Handle
}

func (s *side) path(name string) string {
	if name == "" {
		return ""
	}
	return s.root + "/" + name
}

// said describes a result without the root, so that both sides can be
// compared word by word.
func (s *side) said(err error, results ...any) string {
	text := fmt.Sprint(results...)
	if err == nil {
		return text
	}
	var kind string
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, io.EOF):
		kind = "EOF"
	case errors.As(err, &link):
		kind = fmt.Sprintf("link %s %s %s", link.Op, link.Old, link.New)
	case errors.As(err, &path):
		kind = fmt.Sprintf("path %s %s", path.Op, path.Path)
	}
	var errno syscall.Errno
	cause := fmt.Sprint(errors.As(err, &errno), int(errno), errors.Is(err, os.ErrClosed), errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist))
	return strings.ReplaceAll(text+" "+kind+" "+cause, s.root, "")
}

// call is one operation, the same on either side.
type call struct {
	what     string
	from, to string
	flag     int
	file     int
	data     []byte
	at       int64
}

func (s *side) do(c call) string {
	switch c.what {
	case "open":
		f, err := s.fs.OpenFile(s.path(c.from), c.flag, 0o644)
		if err == nil {
			s.files = append(s.files, f)
		}
		return s.said(err)
	case "stat", "lstat":
		look := s.fs.Stat
		if c.what == "lstat" {
			look = s.fs.Lstat
		}
		i, err := look(s.path(c.from))
		return s.said(err, infoOf(i, err))
	case "readdir":
		entries, err := s.fs.ReadDir(s.path(c.from))
		var names []string
		for _, e := range entries {
			names = append(names, fmt.Sprint(e.Name(), e.IsDir(), e.Type()))
		}
		return s.said(err, names)
	case "mkdir":
		return s.said(s.fs.Mkdir(s.path(c.from), 0o755))
	case "rename":
		return s.said(s.fs.Rename(s.path(c.from), s.path(c.to)))
	case "remove":
		return s.said(s.fs.Remove(s.path(c.from)))
	case "syncdir":
		return s.said(s.fs.SyncDir(s.path(c.from)))
	}
	if len(s.files) == 0 {
		return "no file"
	}
	return s.use(s.files[c.file%len(s.files)], c)
}

func (s *side) use(f durable.Handle, c call) string {
	buffer := make([]byte, len(c.data))
	switch c.what {
	case "read":
		n, err := f.Read(buffer)
		return s.said(err, n, buffer)
	case "readat":
		n, err := f.ReadAt(buffer, c.at)
		return s.said(err, n, buffer)
	case "write":
		n, err := f.Write(c.data)
		return s.said(err, n)
	case "fstat":
		i, err := f.Stat()
		return s.said(err, infoOf(i, err))
	case "sync":
		return s.said(f.Sync())
	}
	return s.said(f.Close())
}

func infoOf(i os.FileInfo, err error) string {
	if err != nil {
		return ""
	}
	if i.IsDir() {
		return fmt.Sprint(i.Name(), i.Mode())
	}
	return fmt.Sprint(i.Name(), i.Mode(), i.Size())
}

var (
	paths = []string{
		"a", "a", "b", "b", "a/b", "a/b", "a/c", "a/b/c", "b/a", "c", "c/d", "missing/x", "",
		strings.Repeat("n", 255), strings.Repeat("n", 256),
	}
	flags = []int{
		os.O_RDONLY, os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREATE | os.O_EXCL, os.O_RDWR | os.O_CREATE,
		os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC,
		os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREATE | os.O_APPEND,
	}
	whats = []string{
		"open", "open", "open", "stat", "lstat", "readdir", "mkdir", "mkdir", "rename", "rename", "remove", "syncdir",
		"read", "readat", "write", "write", "write", "fstat", "sync", "close",
	}
)

func drawCall(rt *rapid.T) call {
	c := call{what: rapid.SampledFrom(whats).Draw(rt, "what")}
	switch c.what {
	case "open":
		c.flag = rapid.SampledFrom(flags).Draw(rt, "flag")
		c.from = rapid.SampledFrom(paths).Draw(rt, "path")
	case "rename":
		c.from, c.to = rapid.SampledFrom(paths).Draw(rt, "from"), rapid.SampledFrom(paths).Draw(rt, "to")
	case "stat", "lstat", "readdir", "mkdir", "remove", "syncdir":
		c.from = rapid.SampledFrom(paths).Draw(rt, "path")
	default:
		c.file = rapid.IntRange(0, 7).Draw(rt, "file")
		c.data = []byte(strings.Repeat(rapid.SampledFrom([]string{"x", "yz"}).Draw(rt, "data"), rapid.IntRange(0, 700).Draw(rt, "size")))
		c.at = rapid.Int64Range(-1, 1500).Draw(rt, "at")
	}
	return c
}

// Whatever programs do, the disk answers as the machine does.
func TestTheDiskBehavesAsTheMachine(t *testing.T) {
	base, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		real := &side{fs: machine{}, root: filepath.Join(base, strconv.Itoa(run))}
		if err := os.Mkdir(real.root, 0o755); err != nil {
			rt.Fatal(err)
		}
		disk := powercut.New()
		memory := &side{fs: disk, root: "/root"}
		if err := disk.Mkdir(memory.root, 0o755); err != nil {
			rt.Fatal(err)
		}
		defer func() {
			for _, f := range real.files {
				_ = f.Close() // some are closed already
			}
		}()
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			c := drawCall(rt)
			want, got := real.do(c), memory.do(c)
			if got != want {
				rt.Fatalf("%+v:\nthe machine: %s\nthe disk:    %s", c, want, got)
			}
		}
		if want, got := contents(rt, real), contents(rt, memory); want != got {
			rt.Fatalf("in the end the machine has\n%s\nthe disk\n%s", want, got)
		}
	})
}

// contents lists all files of a side and what is in them.
func contents(t *rapid.T, s *side) string {
	var out strings.Builder
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := s.fs.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if e.IsDir() {
				walk(path)
				continue
			}
			data, err := durable.Volume{FS: s.fs}.ReadFile(path)
			fmt.Fprintln(&out, strings.TrimPrefix(path, s.root), string(data), err)
		}
	}
	walk(s.root)
	return out.String()
}

func TestMovesThatMakeNoSense(t *testing.T) {
	d := powercut.New()
	for _, dir := range []string{"/a", "/a/b"} {
		if err := d.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		from, to string
		want     error
	}{{"/a", "/a/b/c", syscall.EINVAL}, {"/", "/x", syscall.EBUSY}, {"/missing", "/x", fs.ErrNotExist}, {"/a/b", "/a", fs.ErrExist}} {
		if err := d.Rename(c.from, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
	if err := d.Remove("/"); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("remove the root: %v", err)
	}
}
