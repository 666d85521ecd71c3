package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func held7() (*engine.Host, error) { return nil, &durable.LockedError{PID: 7} }

// holderAt serves an engine with that status at a socket until the test ends.
func holderAt(t *testing.T, status httpapi.Status) (dir string, served *httpapitest.Engine) {
	t.Helper()
	dir, served = t.TempDir(), &httpapitest.Engine{}
	status.State = "PRIMARY"
	served.SetStatus(status)
	listener, err := httpapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- httpapi.NewServer(served, nil).Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return dir, served
}

func TestTakingOver(t *testing.T) {
	for kind, want := range map[string]string{httpapi.HolderConsole: "process 7 is a console on it", httpapi.HolderServe: "process 7 serves it"} {
		dir, _ := holderAt(t, httpapi.Status{Holder: httpapi.Holder{Kind: kind, PID: 7}})
		waited := false
		_, err := takeOver(t.Context(), dir, Caller{Waiting: func(httpapi.Holder, *httpapi.Progress) { waited = true }}, held7)
		if Code(err) != ExitTempFail || waited || !strings.Contains(err.Error(), want) || !strings.Contains(advice(err), "process 7") {
			t.Errorf("%s: %v, %q; waited %t", kind, err, advice(err), waited)
		}
	}
	dir, served := holderAt(t, httpapi.Status{Holder: httpapi.Holder{Kind: httpapi.HolderCommand, Command: "import", PID: 7}, Job: &httpapi.Progress{Done: 1, Total: 9}})
	failed, tries := errors.New("disk"), 0
	var seen httpapi.Progress
	_, err := takeOver(t.Context(), dir, Caller{Waiting: func(h httpapi.Holder, p *httpapi.Progress) { seen = *p }}, func() (*engine.Host, error) {
		if tries++; tries == 3 {
			return nil, failed
		}
		return held7()
	})
	if !errors.Is(err, failed) || seen.Done != 1 || seen.Total != 9 || len(served.Calls()) != 2 {
		t.Errorf("%v, %+v, %q", err, seen, served.Calls())
	}
	ctx, leave := context.WithCancel(t.Context())
	_, err = takeOver(ctx, dir, Caller{Waiting: func(httpapi.Holder, *httpapi.Progress) { leave() }}, held7)
	if Code(err) != ExitInterrupted {
		t.Errorf("left: %v", err)
	}
}

// TestASilentHolder has a limit, which is longer than an engine takes to drain.
func TestASilentHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := takeOver(t.Context(), "/nonexistent", Caller{}, held7)
		if took := time.Since(start); Code(err) != ExitTempFail || took < drainTime || took > silentPatience+time.Second || !strings.Contains(advice(err), "process 7") {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestTheLineAboutAWait(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 10, 0, time.UTC)
	var out bytes.Buffer
	terminal := false
	a := &app{Deps: Deps{Stderr: &out, Now: func() time.Time { return now }, IsTerminal: func(io.Writer) bool { return terminal }}}
	a.wait.app = a
	holder := httpapi.Holder{Kind: httpapi.HolderCommand, Command: "imp\x1bort", PID: 123}
	job := &httpapi.Progress{Done: 3122, Total: 10_000, Started: now.Add(-10 * time.Second)}
	for range 3 { // told once, then not before ten seconds
		a.wait.show(holder, job)
	}
	if want := "process 123 runs imp^[ort: 3,122 of 10,000, 312 a second; waiting for it, ctrl+c leaves\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	now = now.Add(plainEvery)
	a.wait.show(holder, nil)
	a.wait.show(httpapi.Holder{PID: 5}, nil)
	a.wait.end()
	if !strings.Contains(out.String(), "process 5 holds the state folder and does not answer yet") || strings.Count(out.String(), "\n") != 3 || strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	terminal = true
	a.wait.show(holder, job)
	a.wait.show(holder, job)
	a.wait.end()
	a.wait.end()
	if got := out.String(); strings.Count(got, "\r\x1b[K") != 3 || strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
}

func TestInterruptedIsNotUnavailable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := fault("the import ended early", httpapi.NewError(httpapi.ErrUnavailable, ""))
	if Code(interrupted(ctx, err)) != ExitUnavailable {
		t.Error("nobody interrupted it")
	}
	cancel()
	if got := interrupted(ctx, err); Code(got) != ExitInterrupted || !strings.Contains(got.Error(), "the import ended early: interrupted") {
		t.Errorf("%d: %v", Code(got), got)
	}
	if got := Code(interrupted(ctx, usage("x", "y"))); got != ExitUsage {
		t.Errorf("a mistake became %d", got)
	}
}

// What is in the place of our repository says what a person can do about it.
func TestARepositoryThatIsNotOursIsSaidToBeUnwritable(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		wanted []string
		code   int
	}{
		"another branch": {&engine.OtherBranchError{Dir: "/s/documents.git", Branch: "master"}, []string{`git -C /s/documents.git branch -m "master" main`, "caiatop import --git"}, ExitUnavailable},
		"a worktree":     {fmt.Errorf("git repository: %w", gitrepo.ErrReadOnly), []string{"git clone --bare", "/s/documents.git", "caiatop import --git"}, ExitCantCreate},
		"a file of certificates that is not there": {fmt.Errorf("govc client: %w", &govc.OptionError{Key: "govc.ca", Problem: "the file cannot be read", Fix: "name a readable file", Err: os.ErrNotExist}), []string{"name a readable file"}, ExitConfig},
	} {
		err := startFault("/s", c.err)
		fault, ok := errors.AsType[*Fault](err)
		if !ok || Code(err) != c.code {
			t.Errorf("%s: exit code %d, %v", name, Code(err), err)
			continue
		}
		for _, want := range c.wanted {
			if !strings.Contains(fault.Fix, want) || strings.Contains(fault.Fix, "writable") {
				t.Errorf("%s: the advice is %q, without %q", name, fault.Fix, want)
			}
		}
	}
}
