package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

// faultReport names the file that a process with failing system calls reports
// to, and faultErrno the error that it must see.
const (
	faultReport = "CAIATOP_TEST_FAULT_REPORT"
	faultErrno  = "CAIATOP_TEST_FAULT_ERRNO"
	// faultJournal, if set, has it use a journal.
	faultJournal = "CAIATOP_TEST_FAULT_JOURNAL"
)

// commitWithFaults makes a few commits and a consolidation, each again as long
// as it fails, and reports what was acknowledged and which errors it saw.
func commitWithFaults(dir string) error {
	// The counters of strace are those of a thread: one thread does it all.
	runtime.LockOSThread()
	want := map[string]syscall.Errno{"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO}[os.Getenv(faultErrno)]
	var report strings.Builder
	err := withFaults(dir, want, &report)
	if err != nil {
		fmt.Fprintln(&report, "failed", err)
	}
	// A system call that is not among those that fail.
	file, err := os.OpenFile(os.Getenv(faultReport), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(report.String()), 0)
	return errors.Join(err, file.Close())
}

func withFaults(dir string, want syscall.Errno, report *strings.Builder) error {
	const attempts = 40 // more than system calls of one kind in one step
	typed := func(err error) error {
		if !errors.Is(err, want) || errors.Is(err, durable.ErrDiskFull) != (want == syscall.ENOSPC) {
			return fmt.Errorf("not typed: %w", err)
		}
		return nil
	}
	var r *Repo
	o := Options{Journal: os.Getenv(faultJournal) != ""}
	err := errors.New("not opened")
	for n := 0; err != nil && n < attempts; n++ {
		if r, err = OpenDisk(dir, o); err != nil && typed(err) != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	for _, s := range childSteps() {
		if s.name == journalStep && !o.Journal {
			continue
		}
		refilled(r)
		h, err := s.do(r)
		for n := 0; err != nil && n < attempts; n++ {
			if err := typed(err); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Fprintln(report, "saw", strings.ReplaceAll(err.Error(), "\n", " "))
			if h, err = s.do(r); errors.Is(err, ErrNothing) {
				h, err = r.Tip(branchOf(s.name)) // its last sync failed
			}
		}
		if err != nil {
			return fmt.Errorf("%s still fails: %w", s.name, err)
		}
		if !h.IsZero() {
			fmt.Fprintln(report, "acknowledged", branchOf(s.name), h)
		}
	}
	if err = r.Close(); err == nil || !o.Journal || typed(err) != nil {
		return err
	}
	// What it could not publish is published by who opens it next.
	if r, err = OpenDisk(dir, o); err != nil {
		return err
	}
	return r.Close()
}

// journalStep is the one that goes by the journal.
const journalStep = "journal"

// childSteps are those of faultySteps, for a process without a test.
func childSteps() []faultStep {
	ctx := context.Background()
	change := func(name, branch string, n int, paths ...string) faultStep {
		var changes []Change
		for _, p := range paths {
			changes = append(changes, Change{Path: mustPath(p), Data: []byte(name)})
		}
		return faultStep{name, func(r *Repo) (Hash, error) {
			return r.Commit(ctx, CommitInput{Branch: branch, Changes: changes, Message: name, Author: ann, At: when.Add(secondsOf(n))})
		}}
	}
	return []faultStep{
		change("put", Main, 1, "d/1"),
		{"consolidate", func(r *Repo) (Hash, error) { _, err := consolidateOnce(r); return Hash{}, err }},
		change("batch", Main, 2, "d/2", "e/3"),
		change("side", sideBranch, 3, "s"),
		{journalStep, func(r *Repo) (h Hash, err error) {
			for _, name := range []string{"j/1", "j/2"} {
				if h, err = inChain(r, Main, Change{Path: mustPath(name), Data: []byte(name)}); err != nil {
					return h, err
				}
			}
			// By this thread, whose calls are counted, and not by another one.
			return h, r.journal.publish(context.Background(), true)
		}},
	}
}

// straced runs the process with the n-th of some system calls failing, of each
// thread, or none if n is 0, and returns its report and the calls.
func straced(t *testing.T, dir, call, errno string, n int) (report, calls string, ended error) {
	t.Helper()
	work := t.TempDir()
	log, out := filepath.Join(work, "strace"), filepath.Join(work, "report")
	write(t, out, "")
	args := []string{"-f", "--seccomp-bpf", "-y", "-o", log, "-e", "trace=" + call, "-e", "signal=none"}
	if n > 0 {
		args = append(args, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, errno, n))
	}
	cmd := exec.Command("strace", append(args, os.Args[0])...)
	cmd.Env = append(os.Environ(), crashVariable+"="+dir, crashRole+"="+roleFaulty, faultReport+"="+out, faultErrno+"="+errno, "GOGC=off")
	said, ended := cmd.CombinedOutput()
	if ended != nil {
		ended = fmt.Errorf("%w: %.2000s", ended, said)
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatalf("strace: %v: %v", err, ended)
	}
	said, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(said), string(data), ended
}

// concerns reports whether a call, as strace writes it, is in a repository and
// could fail in that way there.
func concerns(line, dir, call, errno string) bool {
	// Opening a file that is there needs no space.
	real := call != "openat" || errno != "ENOSPC" || strings.Contains(line, "O_CREAT")
	return real && strings.Contains(line, dir)
}

// callsWithin returns which calls of a thread are in the repository, in order,
// if none fails.
func callsWithin(t *testing.T, template, call, errno string) []int {
	t.Helper()
	dir := copyOf(t, template)
	_, calls, ended := straced(t, dir, call, errno, 0)
	if ended != nil {
		t.Fatal(ended)
	}
	var within []int
	count := map[string]int{} // of each thread
	for line := range strings.Lines(calls) {
		thread, did, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(strings.TrimSpace(did), call+"(") {
			continue // the rest of one that was interrupted
		}
		count[thread]++
		if concerns(line, dir, call, errno) {
			within = append(within, count[thread])
		}
	}
	slices.Sort(within)
	return slices.Compact(within)
}

// copyOf is a copy of a folder.
func copyOf(t *testing.T, template string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo.git")
	if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every system call of a real process that changes the disk fails in turn: the
// process sees a typed error and goes on, what it acknowledged is there, and
// git finds nothing to complain of.
func TestEveryFaultOfTheSystemIsSurvived(t *testing.T) {
	needGit(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: no system call can be made to fail")
	}
	template := filepath.Join(t.TempDir(), "template.git")
	r := opened(t, template)
	for i := range 3 {
		commit(t, r, put(t, fmt.Sprintf("d/0%d", i), "before"))
	}
	closeRepo(t, r)
	systemFaults(t, template, []systemCall{
		{"write", "ENOSPC", 0, 4},
		{"write", "EIO", 2, 9},
		{"fsync", "EIO", 1, 7},
		{"fsync", "ENOSPC", 4, 12},
		{"openat", "ENOSPC", 3, 15},
		{"openat", "EIO", 8, 37},
		{"renameat", "ENOSPC", 0, 5},
		{"renameat", "EIO", 2, 9},
		{"unlinkat", "EIO", 0, 7},
		{"mkdirat", "ENOSPC", 0, 2},
		{"linkat", "EIO", 1, 2},
		{"linkat", "ENOSPC", 0, 3},
	})
}

// The same with a journal: its writes and syncs are other calls.
func TestEveryFaultOfTheSystemIsSurvivedByTheJournal(t *testing.T) {
	needGit(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: no system call can be made to fail")
	}
	t.Setenv(faultJournal, "1")
	template := filepath.Join(t.TempDir(), "template.git")
	r := opened(t, template)
	commit(t, r, put(t, "d/00", "before"))
	closeRepo(t, r)
	systemFaults(t, template, []systemCall{
		{"pwrite64", "EIO", 0, 2},
		{"pwrite64", "ENOSPC", 1, 2},
		{"fdatasync", "EIO", 0, 2},
		{"fdatasync", "ENOSPC", 1, 3},
		{"renameat", "EIO", 1, 3},
		{"unlinkat", "EIO", 0, 3},
	})
}

// systemCall is a kind of calls that fail.
type systemCall struct {
	call, errno  string
	first, quick int // which of those in the repository is first, and how far apart they are, in a quick run
}

func systemFaults(t *testing.T, template string, calls []systemCall) {
	t.Helper()
	for i, c := range calls {
		if raced && soakRounds(t) == 0 && i%4 != 0 {
			continue // one of writes, opens and unlinks each: the others run without the detector
		}
		t.Run(c.call+" "+c.errno, func(t *testing.T) {
			within := callsWithin(t, template, c.call, c.errno)
			if len(within) == 0 {
				t.Fatal("no such call is in the repository")
			}
			fails := func(n int) (hit, more bool) { return systemFault(t, template, c.call, c.errno, n) }
			stride := c.quick
			switch {
			case soakRounds(t) > 0:
				everyFails(t, fails)
				return
			case raced:
				stride *= 6
			}
			someFail(t, within[min(c.first, len(within)-1):], stride, fails)
		})
	}
}

// everyFails lets all calls fail, those elsewhere, too.
func everyFails(t *testing.T, fails func(n int) (hit, more bool)) {
	t.Helper()
	hits, n := 0, 1
	for more := true; more; n++ {
		var hit bool
		if hit, more = fails(n); hit {
			hits++
		}
	}
	failedWithin(t, hits, n-1)
}

// someFail lets every so many of some calls fail, and one after the other if
// none of them was in the repository: not every run makes its calls in the same
// order.
func someFail(t *testing.T, some []int, stride int, fails func(n int) (hit, more bool)) {
	t.Helper()
	hits, tried := 0, 0
	try := func(n int) (more bool) {
		tried++
		hit, more := fails(n)
		if hit {
			hits++
		}
		return more
	}
	for i := 0; i < len(some); i += stride {
		try(some[i])
	}
	const rounds = 3
	for range rounds {
		for n, more := 1, true; hits == 0 && more; n++ {
			more = try(n)
		}
	}
	failedWithin(t, hits, tried)
}

func failedWithin(t *testing.T, hits, tried int) {
	t.Helper()
	t.Logf("%d of %d calls failed in the repository", hits, tried)
	if hits == 0 {
		t.Error("none of them was in the repository")
	}
}

// systemFault reports whether the n-th call was in the repository, and whether
// there was one at all.
func systemFault(t *testing.T, template, call, errno string, n int) (hit, more bool) {
	t.Helper()
	dir := copyOf(t, template)
	report, calls, ended := straced(t, dir, call, errno, n)
	var failed []string
	outside := false
	for line := range strings.Lines(calls) {
		if strings.Contains(line, "(INJECTED)") {
			failed = append(failed, strings.TrimSpace(line))
			outside = outside || !strings.Contains(line, dir)
			hit = hit || concerns(line, dir, call, errno)
		}
	}
	if outside && ended != nil && strings.Contains(ended.Error(), "fatal error: runtime:") {
		hit = false // Go's own file descriptors cannot be spared, and it dies of that
	}
	switch {
	case hit && (ended != nil || strings.Contains(report, "failed ")):
		t.Fatalf("%s %d: %v\n%s\n%s", call, n, ended, report, strings.Join(failed, "\n"))
	case len(failed) == 0 && ended != nil:
		t.Fatalf("%s %d: %v", call, n, ended)
	}
	history := map[string]string{}
	for line := range strings.Lines(report) {
		word := strings.Fields(line)
		if len(word) != 3 || word[0] != "acknowledged" {
			continue
		}
		if history[word[1]] == "" {
			history[word[1]] = git(t, dir, "rev-list", word[1])
		}
		if !strings.Contains(history[word[1]], word[2]) {
			t.Fatalf("%s %d: the acknowledged commit %s is lost\n%s", call, n, word[2], report)
		}
	}
	if hit && len(history) != 2 {
		t.Fatalf("%s %d: acknowledged is only\n%s", call, n, report)
	}
	fsck(t, dir)
	return hit, len(failed) > 0
}
