package process_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/tui/cli"
)

// TestParallelPuts: each may serve the others, and takes its engine with it
// when it ends.
func TestParallelPuts(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file := h.write("one", "text")
	const rounds, puts = 2, 8
	for round := range rounds {
		var all []*process
		for i := range puts {
			all = append(all, h.begin("put", "--id", fmt.Sprintf("doc-%d-%d", round, i), file))
		}
		for i, p := range all {
			if code := p.code(); code != cli.ExitOK {
				t.Errorf("round %d, put %d: exit code %d\n%s", round, i, code, p.said())
			}
		}
	}
	if out := h.must("ls"); strings.Count(out, "doc-") != rounds*puts {
		t.Errorf("%d documents, want %d:\n%s", strings.Count(out, "doc-"), rounds*puts, out)
	}
}

// TestTheConsoleWaitsForAnImport: it ended after two seconds with code 75.
func TestTheConsoleWaitsForAnImport(t *testing.T) {
	t.Parallel()
	const files = 4000
	h := newHome(t)
	dir := h.tree("tree", files)
	work := h.begin("import", dir)
	poll(t, "the import holds the state folder", func() bool {
		_, out, _ := h.run("status")
		return strings.Contains(out, "import: ")
	}, work.said)
	console := h.beginOnTerminal()
	lines := h.begin("serve", "--http-addr", "127.0.0.1:0")
	console.await(fmt.Sprintf("process %d runs import", work.cmd.Process.Pid))
	console.await("of 4,000")
	lines.await("waiting for it, ctrl+c leaves")
	lines.signal(os.Interrupt)
	if code := lines.code(); code != cli.ExitInterrupted {
		t.Errorf("a wait that is left: exit code %d\n%s", code, lines.said())
	}
	if strings.ContainsAny(lines.said(), "\r\x1b") {
		t.Errorf("lines are written over without a terminal: %q", lines.said())
	}
	if code := work.code(); code != cli.ExitOK || !strings.Contains(work.said(), "imported 4,000 documents") {
		t.Errorf("the import: exit code %d\n%s", code, work.said())
	}
	console.await("the console runs")
	if out := console.said(); !strings.Contains(out, "\r\x1b[K") || strings.Count(out, "\n") > 2 {
		t.Errorf("the wait was not one line: %q", out)
	}
	// Healthy or not: the embedded service is being filled again.
	if _, out, _ := h.run("status"); !strings.Contains(out, ", console\n") || !strings.Contains(out, "4,000") {
		t.Errorf("status: %s", out)
	}
	console.signal(syscall.SIGTERM)
	if code := console.code(); code != cli.ExitOK {
		t.Errorf("the console: exit code %d\n%s", code, console.said())
	}
}

// TestTwoThatStay: one console or service a state folder, and the second is told
// at once who is there.
func TestTwoThatStay(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	service := h.begin("serve", "--http-addr", "127.0.0.1:0")
	service.await("caiatop serves")
	pid := strconv.Itoa(service.cmd.Process.Pid)
	console := h.beginOnTerminal()
	if code := console.code(); code != cli.ExitTempFail || !strings.Contains(console.said(), "process "+pid+" serves it") {
		t.Errorf("a console beside a service: exit code %d\n%s", code, console.said())
	}
	// Commands go on through it, and say so in its status only.
	h.must("put", "--id", "a", h.write("one", "text"))
	service.signal(syscall.SIGTERM)
	if code := service.code(); code != cli.ExitOK {
		t.Errorf("the service: exit code %d\n%s", code, service.said())
	}

	first := h.beginOnTerminal()
	first.await("the console runs")
	pid = strconv.Itoa(first.cmd.Process.Pid)
	for name, p := range map[string]*process{"console": h.beginOnTerminal(), "service": h.begin("serve", "--http-addr", "127.0.0.1:0")} {
		if code := p.code(); code != cli.ExitTempFail || !strings.Contains(p.said(), "process "+pid+" is a console on it") {
			t.Errorf("a %s beside a console: exit code %d\n%s", name, code, p.said())
		}
	}
	if out := h.must("get", "a"); out != "text" {
		t.Errorf("%q", out)
	}
}

// TestAStaleSocket: a process that was killed leaves its socket, which is in
// nobody's way, and loses nothing that was acknowledged.
func TestAStaleSocket(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	service := h.begin("serve", "--http-addr", "127.0.0.1:0")
	service.await("caiatop serves")
	h.must("put", "--id", "a", h.write("one", "text"))
	service.signal(syscall.SIGKILL)
	service.code()
	socket := filepath.Join(h.dir, ".local/state/caiatop/embedded/caia-documents/control.sock")
	if _, err := os.Lstat(socket); err != nil {
		t.Fatalf("the test needs a stale socket: %v", err)
	}
	if code, _, stderr := h.run("status"); code != cli.ExitNoneRuns {
		t.Errorf("status: exit code %d: %s", code, stderr)
	}
	if out := h.must("get", "a"); out != "text" {
		t.Errorf("%q", out)
	}
	again := h.begin("serve", "--http-addr", "127.0.0.1:0")
	again.await("caiatop serves")
	again.signal(os.Interrupt)
	if code := again.code(); code != cli.ExitOK {
		t.Errorf("exit code %d\n%s", code, again.said())
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("a clean end left its socket: %v", err)
	}
}

// TestReadinessInSeveralLines: who waits for one line read the first of five.
func TestReadinessInSeveralLines(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	service := h.begin("serve", "--http-addr", "127.0.0.1:0", "--json")
	service.await("\n")
	var ready cli.Ready
	if err := json.Unmarshal([]byte(service.said()), &ready); err != nil || ready.PID != service.cmd.Process.Pid || ready.Address == "" {
		t.Errorf("%q: %v", service.said(), err)
	}
	if strings.Count(service.said(), "\n") != 1 {
		t.Errorf("it is not one line: %q", service.said())
	}
}

// TestASecondSignalEndsAtOnce: the first one lets a request under way finish,
// the second one does not wait for it. Neither loses what was acknowledged.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	service := h.begin("serve", "--http-addr", "127.0.0.1:0")
	service.await("caiatop serves")
	_, address, found := strings.Cut(service.said(), "http://")
	address, _, _ = strings.Cut(address, ",")
	h.must("put", "--id", "a", h.write("one", "text"))
	conn, err := net.Dial("tcp", address)
	if err != nil || !found {
		t.Fatalf("%q: %v", service.said(), err)
	}
	// A body that does not come: it is waited for.
	head := "PUT /api/v1/documents/b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the body is not asked for: %q, %v", line, err)
	}
	service.signal(syscall.SIGTERM)
	poll(t, "the first signal is obeyed", func() bool {
		other, err := net.Dial("tcp", address)
		return err != nil || other.Close() != nil
	}, service.said)
	select {
	case err := <-service.done:
		t.Fatalf("it did not wait for the request: %v\n%s", err, service.said())
	default:
	}
	// The next one is free to act a moment after the first was taken.
	poll(t, "the next signal ends it", func() bool {
		if err := service.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		select {
		case err := <-service.done:
			service.done <- err
			return true
		default:
			return false
		}
	}, service.said)
	service.code()
	if s, ok := service.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by itself: %v\n%s", service.cmd.ProcessState, service.said())
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if out := h.must("get", "a"); out != "text" {
		t.Errorf("%q", out)
	}
}

// TestAnImportThatIsToldToEnd says how far it came, and keeps that.
func TestAnImportThatIsToldToEnd(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	work := h.begin("import", h.tree("tree", 10_000))
	poll(t, "the import has begun", func() bool {
		_, out, _ := h.run("status")
		return strings.Contains(out, "import: ")
	}, work.said)
	work.signal(syscall.SIGTERM)
	if code := work.code(); code != cli.ExitInterrupted || !strings.Contains(work.said(), "the import ended early") {
		t.Errorf("exit code %d\n%s", code, work.said())
	}
	h.must("ls")
}

// TestWatching: a report goes on through engines that come and go.
func TestWatching(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	watch, events := h.begin("status", "--watch"), (*process)(nil)
	watch.await("no engine runs")
	for round := range 2 {
		service := h.begin("serve", "--http-addr", "127.0.0.1:0")
		service.await("caiatop serves")
		watch.await(fmt.Sprintf("process %d", service.cmd.Process.Pid))
		if events == nil {
			events = h.begin("events", "--follow")
		}
		poll(t, "events begin anew", func() bool { return strings.Count(events.said(), "     1  ") == round+1 }, events.said)
		service.signal(syscall.SIGTERM)
		if code := service.code(); code != cli.ExitOK {
			t.Errorf("exit code %d\n%s", code, service.said())
		}
		events.await("waiting for the next")
		poll(t, "status says that none runs", func() bool { return strings.Count(watch.said(), "no engine runs") == round+2 }, watch.said)
	}
	for name, p := range map[string]*process{"status": watch, "events": events} {
		p.signal(os.Interrupt)
		if code := p.code(); code != cli.ExitOK {
			t.Errorf("%s: exit code %d\n%s", name, code, p.said())
		}
	}
}
