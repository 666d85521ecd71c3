package process_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// repository makes one of n commits on a few documents.
func (h home) repository(name string, n int) string {
	h.t.Helper()
	dir := filepath.Join(h.dir, name)
	var stream strings.Builder
	for i := range n {
		id := fmt.Sprint("d", i%50)
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter T <t@example.org> %d +0000\ndata 4\nstep\n", 1_700_000_000+i)
		for file, data := range map[string]string{
			"metadata.json": fmt.Sprintf(`{"id":%q,"source":{"type":"text"},"created_at":"2026-03-01T00:00:00Z"}`, id), "content.txt": fmt.Sprint("step ", i),
		} {
			fmt.Fprintf(&stream, "M 100644 inline documents/text/2026/03/%s/%s\ndata %d\n%s\n", id, file, len(data), data)
		}
	}
	h.git("", "", "init", "-q", "--bare", "-b", "main", dir)
	h.git(dir, stream.String(), "-c", "core.fsync=none", "fast-import", "--quiet")
	return dir
}

func (h home) git(dir, stdin string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// What was imported when the process was killed is not imported again.
func TestAnImportOfAHistoryIsKilled(t *testing.T) {
	const commits = 700
	h := newHome(t)
	source := h.repository("source", commits)
	p := h.begin("import", "--git", source)
	refs := func() []string {
		found, err := filepath.Glob(filepath.Join(h.dir, ".local/state/caiatop/embedded/*/documents.git/refs/caiatop/import/*"))
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(found, func(name string) bool { return strings.HasSuffix(name, ".lock") })
	}
	poll(t, "a part is imported", func() bool { return len(refs()) > 0 }, p.said)
	p.signal(syscall.SIGKILL)
	p.code()
	out := h.must("import", "--git", source)
	if !strings.Contains(out, "which holds 50 documents") || !strings.Contains(out, "had been looked at before") {
		t.Errorf("said: %s", out)
	}
	git := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(refs()[0]))))
	froms := strings.Fields(h.git(git, "", "log", "--format=%(trailers:key=Imported-From,valueonly)", "main"))
	all := len(froms)
	slices.Sort(froms)
	if once := len(slices.Compact(froms)); all != commits || once != commits {
		t.Errorf("%d commits of %d of the source, which has %d", all, once, commits)
	}
	h.git(git, "", "fsck", "--strict", "--full")
	if got := h.must("get", "d49"); got != fmt.Sprint("step ", commits-1) {
		t.Errorf("d49 reads %q", got)
	}
	if got := h.must("history", "d49", "--limit", "100"); strings.Count(got, "\n") != 1+commits/50 {
		t.Errorf("its history:\n%s", got)
	}
}
