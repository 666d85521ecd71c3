package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// patience is how long the tests wait for anything, step how often they look.
const (
	patience = 60 * time.Second
	step     = 20 * time.Millisecond
)

// poll looks until check is content, and fails with what it saw last.
func poll(t *testing.T, what string, check func() (done bool, seen string)) {
	t.Helper()
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		done, seen := check()
		if done {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain for %s; this was seen last:\n%s", patience, what, seen)
		}
	}
}

// home is the home folder of one operator, and the program in it.
type home struct {
	t       *testing.T
	dir     string
	program string
}

func newHome(t *testing.T) *home {
	t.Helper()
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return &home{t: t, dir: t.TempDir(), program: name}
}

// env is the whole environment: nothing of whoever runs the tests is in it.
func (h *home) env() []string {
	return []string{
		"HOME=" + h.dir, "PATH=" + filepath.Dir(h.program) + ":" + os.Getenv("PATH"),
		"TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC", "SHELL=/bin/sh",
		"ENV=" + filepath.Join(h.dir, "shellrc"), "TMUX_TMPDIR=" + scratch,
	}
}

// path names a file in the home folder.
func (h *home) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// state names a file in the state folder of the embedded service.
func (h *home) state(parts ...string) string {
	return h.path(append([]string{".local", "state", "caiatop", "embedded", "caia-documents"}, parts...)...)
}

func (h *home) write(content string, parts ...string) string {
	h.t.Helper()
	name := h.path(parts...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// result is how a command ended.
type result struct {
	out, err string
	code     int
}

// begin starts caiatop with arguments and without a terminal. The result waits
// for its end.
func (h *home) begin(args ...string) (end func() result) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	h.t.Cleanup(cancel)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.env(), h.dir, &out, &errs
	if err := cmd.Start(); err != nil {
		h.t.Fatalf("caiatop %q: %v", args, err)
	}
	return func() result {
		h.t.Helper()
		err := cmd.Wait()
		if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
			h.t.Fatalf("caiatop %q: %v", args, err)
		}
		return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}
}

// run runs caiatop to its end.
func (h *home) run(args ...string) result {
	h.t.Helper()
	return h.begin(args...)()
}

// must runs caiatop and wants exit code 0.
func (h *home) must(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.t.Fatalf("caiatop %q: exit code %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// status asks the running engine; ok is false if none runs.
func (h *home) status() (s httpapi.Status, ok bool) {
	h.t.Helper()
	r := h.run("status", "--json")
	switch r.code {
	case 0, 1:
	case 3:
		return s, false
	default:
		h.t.Fatalf("caiatop status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		h.t.Fatalf("caiatop status --json: %v\n%s", err, r.out)
	}
	return s, true
}

// inStep waits until the primary has all that was acknowledged, and git too.
func (h *home) inStep() httpapi.Status {
	h.t.Helper()
	var last httpapi.Status
	poll(h.t, "PRIMARY with an empty outbox and git in step", func() (bool, string) {
		s, ok := h.status()
		if !ok {
			return false, "no engine runs"
		}
		last = s
		behind := int64(0)
		for _, store := range s.Stores {
			behind += store.Lag
		}
		return s.State == "PRIMARY" && s.Outbox.Pending == 0 && behind == 0, fmt.Sprintf("%+v", s)
	})
	return last
}

// git runs git on the repository of the documents.
func (h *home) git(args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "git", append([]string{"-C", h.state("documents.git")}, args...)...)
	cmd.Env = append(h.env(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// fsck wants a repository without a fault, and returns the number of documents
// in it.
func (h *home) fsck() int {
	h.t.Helper()
	for line := range strings.Lines(h.git("fsck", "--strict", "--full")) {
		// What no ref names is no fault.
		if !strings.HasPrefix(line, "dangling ") && !strings.HasPrefix(line, "notice: ") {
			h.t.Errorf("git fsck: %s", line)
		}
	}
	documents := 0
	for name := range strings.SplitSeq(h.git("ls-tree", "-r", "-z", "--name-only", "main"), "\x00") {
		if strings.HasSuffix(name, "/metadata.json") {
			documents++
		}
	}
	return documents
}

// served reads a file from the service itself, with the key that the state
// folder holds.
func (h *home) served(service, repository, path string) []byte {
	h.t.Helper()
	info, err := os.Stat(h.state("embedded.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		h.t.Errorf("embedded.key has mode %o, want 600", mode)
	}
	key, err := os.ReadFile(h.state("embedded.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	address := service + "/api/v2/repos/" + repository + "/files?path=" + url.QueryEscape(path)
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	transport := &http.Transport{DisableKeepAlives: true}
	reply, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Body)
	if err := errors.Join(err, reply.Body.Close()); err != nil {
		h.t.Fatal(err)
	}
	if reply.StatusCode != http.StatusOK {
		h.t.Fatalf("GET %s: %s\n%s", address, reply.Status, body)
	}
	var file struct{ Content, Encoding string }
	if err := json.Unmarshal(body, &file); err != nil {
		h.t.Fatalf("GET %s: %v\n%s", address, err, body)
	}
	if file.Encoding != "utf-8" {
		h.t.Fatalf("GET %s: encoding %q, want utf-8", address, file.Encoding)
	}
	return []byte(file.Content)
}
