package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// goSource returns the sources of net in this Go: files that everybody who
// builds caiatop has, and how many.
func goSource(t *testing.T) (dir string, files int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(strings.TrimSpace(string(out)), "src", "net")
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, files
}

// imported is the report of an import.
type imported struct {
	Imported, Failed int
	Synced           bool
}

func (h *home) importTree(dir string) imported {
	h.t.Helper()
	var report imported
	if err := json.Unmarshal([]byte(h.must("import", "--json", dir)), &report); err != nil {
		h.t.Fatal(err)
	}
	return report
}

// phrase stands in net/http/server.go, in one document of all.
const phrase = "ListenAndServeTLS acts identically to ListenAndServe"

// TestMainJob imports a source tree beside the running console, finds and reads
// it, passes an outage and a restart, and compares what the service has.
func TestMainJob(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(120, 36)
	c.console("● PRIMARY")
	dir, files := goSource(t)
	if got := h.importTree(dir); got != (imported{files, 0, true}) {
		t.Fatalf("imported %+v, want %d files", got, files)
	}
	c.see(fmt.Sprintf("documents %d ", files), "● PRIMARY")
	h.inStep() // the text index follows by itself; what it lacks is not found
	browse(c, files)

	c.keys("d")
	c.see("connections are refused")
	c.keys("Right", "Enter")
	c.see("▲ FALLBACK", "down by drill")
	text := "Kept while the service was away.\n"
	h.must("put", "--id", "note-7", h.write(text, "note.txt"))
	c.see("outbox 1")
	c.keys("d")
	c.see("is up again")
	c.keys("r")
	c.see("● PRIMARY", "outbox 0")
	c.keys("q")
	c.ended(0)

	c.console("● PRIMARY")
	status := h.inStep()
	if want := int64(files + 1); status.Documents != want {
		t.Errorf("%d documents after the restart, want %d", status.Documents, want)
	}
	source, err := os.ReadFile(filepath.Join(dir, "http", "server.go"))
	if err != nil {
		t.Fatal(err)
	}
	compare(h, status, "http~server.go", source)
	compare(h, status, "note-7", []byte(text))
	c.keys("q")
	c.ended(0)
	judge(h, files+1)
}

// browse walks through what was imported.
func browse(c *terminal, files int) {
	c.t.Helper()
	c.keys("2")
	c.see(fmt.Sprintf("Documents  %d", files), "addrselect.go")
	c.keys("G")
	c.see("writev_test.go")
	c.keys("g", "/")
	c.types("type:go http~server")
	c.see("Documents  2", "http~server.go", "http~server_test.go")
	c.keys("Enter", "Enter")
	c.fits(c.see("served by  govc", "http/server.go", "// Copyright 2009 The Go Authors"))
	c.keys("Escape")
	c.miss("served by")
	c.keys("F")
	c.types(`"` + phrase + `"`)
	c.keys("Enter")
	c.fits(c.see("Found  1", "http~server.go"))
	c.keys("Enter")
	c.see("served by  govc")
	c.keys("G")
	c.see("more lines") // a preview has its limit
	c.keys("Escape")
	c.miss("more lines")
	c.keys("Escape")
	c.see("filter type:go http~server")
	c.keys("Escape")
	c.see("all documents")
	c.keys("1")
	c.see("Storage mode")
}

// compare wants the bytes of a document at the service itself.
func compare(h *home, status httpapi.Status, id string, want []byte) {
	h.t.Helper()
	var page httpapi.Page
	if err := json.Unmarshal([]byte(h.must("ls", "--json", "--contains", id)), &page); err != nil {
		h.t.Fatal(err)
	}
	folder := ""
	for _, row := range page.Rows {
		if row.ID == id {
			folder = row.Folder
		}
	}
	if folder == "" {
		h.t.Fatalf("%q is not listed: %+v", id, page)
	}
	if got := h.served(status.Service.URL, status.Repository, folder+"/content.txt"); !bytes.Equal(got, want) {
		h.t.Errorf("%q has %d bytes at the service and %d in its file, or they differ", id, len(got), len(want))
	}
}

// judge lets git look at the repository of a home in which nothing runs.
func judge(h *home, documents int) {
	h.t.Helper()
	if n := h.fsck(); n != documents {
		h.t.Errorf("git holds %d documents, want %d", n, documents)
	}
	log := h.git("log", "--format=%an: %B")
	for _, want := range []string{"caiatop: Update ", "Put document addrselect.go", "Outbox-Seq: ", "Op-Id: "} {
		if !strings.Contains(log, want) {
			h.t.Errorf("the history does not hold %q:\n%.2000s", want, log)
		}
	}
}

// TestImportBefore imports without a console, which then shows everything.
func TestImportBefore(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir, files := goSource(t)
	if got := h.importTree(dir); got != (imported{files, 0, true}) {
		t.Fatalf("imported %+v, want %d files", got, files)
	}
	if got := h.importTree(dir); got != (imported{0, 0, true}) { // twice writes nothing
		t.Fatalf("imported %+v again", got)
	}
	judge(h, files)
	c := h.open(120, 36)
	c.console("● PRIMARY")
	c.see(fmt.Sprintf("documents %d ", files))
	status := h.inStep()
	source, err := os.ReadFile(filepath.Join(dir, "url", "url.go"))
	if err != nil {
		t.Fatal(err)
	}
	compare(h, status, "url~url.go", source)
	c.keys("2", "F")
	c.types(phrase)
	c.keys("Enter")
	c.see("http~server.go")
	c.keys("q")
	c.ended(0)
	judge(h, files)
}

// TestKilled ends the console by SIGKILL in the middle of an import: what it had
// acknowledged is not lost, and the import goes on with an engine of its own.
func TestKilled(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(100, 30)
	files := 6000
	if testing.Short() {
		files = 3000
	}
	for i := range files {
		h.write(fmt.Sprintf("%d\n%s\n", i, strings.Repeat("words that fill a file ", 40)), "tree", fmt.Sprintf("%04d.txt", i))
	}
	c.console("● PRIMARY")
	pid := c.pid()
	end := h.begin("import", "--json", h.path("tree"))
	var middle httpapi.Status
	poll(t, "the middle of an import", func() (bool, string) {
		var ok bool
		middle, ok = h.status()
		return ok && middle.Documents >= 512, fmt.Sprintf("%+v", middle)
	})
	if middle.Documents >= int64(files) {
		t.Fatalf("%d of %d were acknowledged: that is not the middle", middle.Documents, files)
	}
	signal(t, pid, syscall.SIGKILL)
	r := end()
	if r.code != 0 {
		t.Fatalf("the import ended with %d:\n%s%s", r.code, r.out, r.err)
	}
	var report imported
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v\n%s%s", err, r.out, r.err)
	}
	if report.Imported != files {
		t.Fatalf("%d of %d were imported", report.Imported, files)
	}
	gone(t, pid)
	c.clean()
	c.clear()
	h.fsck()

	c.console("● PRIMARY")
	status := h.inStep()
	if status.Documents != int64(files) {
		t.Errorf("%d documents after the kill, %d were acknowledged", status.Documents, files)
	}
	for _, i := range []int{0, report.Imported / 2, report.Imported - 1} {
		id := fmt.Sprintf("%04d.txt", i)
		want, err := os.ReadFile(h.path("tree", id))
		if err != nil {
			t.Fatal(err)
		}
		compare(h, status, id, want)
	}
	c.keys("q")
	c.ended(0)
	if n := h.fsck(); int64(n) != status.Documents {
		t.Errorf("git holds %d documents, the state file %d", n, status.Documents)
	}
}
