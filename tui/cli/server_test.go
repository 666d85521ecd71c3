package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// server is a running `caiatop server`.
type server struct {
	t      *testing.T
	ready  string // the line on stdout
	cancel context.CancelFunc
	ended  chan error
	rest   chan string // of stdout
	stderr *bytes.Buffer
}

// clean is an environment without settings of ours.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"GOVC_API_KEY", "GOVC_JWT_SECRET", "GOVC_MEMORY_MODE", "GOVC_SERVICE_URL", "GOVC_AUTH_TOKEN", "GOVC_REPO_NAME", "GOVC_TIMEOUT", "CAIATOP_LOG_LEVEL", "CAIATOP_CONFIG"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
}

// serverRun runs the command until ctx ends.
func serverRun(ctx context.Context, stdout, stderr io.Writer, given ...string) error {
	a := &app{Deps: Deps{Version: "1.2.3", Stdout: stdout, Stderr: stderr}}
	cmd := a.serverCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(given)
	return cmd.ExecuteContext(ctx)
}

func startServer(t *testing.T, given ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	s := &server{t: t, cancel: cancel, ended: make(chan error, 1), rest: make(chan string, 1), stderr: &bytes.Buffer{}}
	go func() {
		err := serverRun(ctx, in, s.stderr, given...)
		_ = in.Close() // never fails
		s.ended <- err
	}()
	line := make([]byte, 0, 256)
	one := make([]byte, 1)
	for len(line) == 0 || line[len(line)-1] != '\n' {
		if _, err := out.Read(one); err != nil {
			cancel()
			t.Fatalf("no line on stdout (%v): %v", err, <-s.ended)
		}
		line = append(line, one[0])
	}
	s.ready = string(line)
	go func() {
		rest, _ := io.ReadAll(out) // a pipe of this process ends without an error
		s.rest <- string(rest)
	}()
	t.Cleanup(cancel)
	return s
}

// stop tells the command to end as a signal does.
func (s *server) stop() {
	s.t.Helper()
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Errorf("the command ended with %v", err)
	}
	if rest := <-s.rest; rest != "" {
		s.t.Errorf("more than one line on stdout: %q", rest)
	}
	for line := range strings.Lines(s.stderr.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] == nil {
			s.t.Errorf("a line of the log is %q", line)
		}
	}
}

func request(t *testing.T, method, url, key, body string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("X-API-Key", key)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	return answer.StatusCode
}

func TestServerWithoutAKeyAnswersThisMachine(t *testing.T) {
	clean(t)
	s := startServer(t, "--port", "0", "--memory-mode", "--json")
	var ready serverReady
	if err := json.Unmarshal([]byte(s.ready), &ready); err != nil || ready.Mode != "memory" || ready.Auth != "open" || ready.PID == 0 {
		t.Fatalf("ready line %q (%v)", s.ready, err)
	}
	if !strings.HasPrefix(ready.URL, "http://localhost:") {
		t.Errorf("URL %q", ready.URL)
	}
	if got := request(t, "POST", ready.URL+"/api/v2/repos", "", `{"id":"docs"}`); got != 201 {
		t.Errorf("create answers %d", got)
	}
	numeric := strings.Replace(ready.URL, "localhost", "127.0.0.1", 1)
	if got := request(t, "GET", numeric+"/api/v2/repos/docs", "", ""); got != 200 {
		t.Errorf("read by address answers %d", got)
	}
	s.stop()
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(numeric, "http://")); err == nil {
		t.Error("it still listens")
	}
}

func TestServerWithAKey(t *testing.T) {
	clean(t)
	t.Setenv("GOVC_API_KEY", "a-key-that-is-long-enough")
	s := startServer(t, "--port", "0", "--host", "0.0.0.0")
	if strings.Contains(s.ready, "a-key") || !strings.Contains(s.ready, "http://localhost:") || !strings.Contains(s.ready, "memory mode") || !strings.Contains(s.ready, "asks for the key") {
		t.Errorf("ready line %q", s.ready)
	}
	_, after, _ := strings.Cut(s.ready, "http://")
	address, _, _ := strings.Cut(after, ",")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("ready line %q: %v", s.ready, err)
	}
	url := "http://127.0.0.1:" + port + "/api/v2/repos"
	if got := request(t, "GET", url, "", ""); got != 401 {
		t.Errorf("without the key: %d", got)
	}
	if got := request(t, "GET", url, "a-key-that-is-long-enough", ""); got != 200 {
		t.Errorf("with the key: %d", got)
	}
	s.stop()
	if strings.Contains(s.stderr.String(), "long-enough") || !strings.Contains(s.stderr.String(), "plain HTTP") {
		t.Errorf("log %s", s.stderr)
	}
}

func TestServerRefuses(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nothing was sent
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, c := range []struct {
		args, key string
		code      int
		what, fix string
	}{
		{"--memory-mode=false", "", ExitUsage, "there is no folder for them", "--data"},
		{"--port 65536", "", ExitUsage, "out of range", "65535"},
		{"--port -1", "", ExitUsage, "out of range", "65535"},
		{"--max-bytes 1048575", "", ExitUsage, "out of range", "1048576"},
		{"--host 0.0.0.0", "", ExitPermission, "asks for no credential", "GOVC_API_KEY"},
		{"--host example.org", "", ExitPermission, "asks for no credential", "GOVC_API_KEY"},
		{"--host 0.0.0.0", "fifteen-bytes-k", ExitPermission, "has 15 bytes, it needs 16", "16 bytes"},
		{"--port " + port, "", ExitUnavailable, "cannot listen on port " + port + " of localhost: another program", "--port"},
		{"--port " + port + " --host 127.0.0.1", "", ExitUnavailable, "another program", "--port"},
		{"--port 0 --host 192.0.2.1", "a-key-that-is-long-enough", ExitUnavailable, "cannot listen on port 0 of 192.0.2.1", "--host"},
		{"--data=", "", ExitUsage, "--data is given nothing", "variable"},
		{"--host=", "a-key-that-is-long-enough", ExitUsage, "--host is given nothing", "variable"},
		{"--host-name=", "", ExitUsage, "--host-name is given nothing", "variable"},
		{"--jwt-secret=", "", ExitUsage, "--jwt-secret is given nothing", "variable"},
		{"--jwt-secret-file=", "", ExitUsage, "--jwt-secret-file is given nothing", "variable"},
		{"--tls-cert= --tls-key=", "", ExitUsage, "--tls-cert is given nothing", "variable"},
		{"--jwt-secret x --jwt-secret-file y", "", ExitUsage, "are both given", "one of them"},
		{"extra", "", ExitUsage, "there is no command", "caiatop server"},
	} {
		t.Run(c.args, func(t *testing.T) {
			clean(t)
			t.Setenv("GOVC_API_KEY", c.key)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			err := serverRun(ctx, &stdout, &stderr, strings.Fields(c.args)...)
			if err == nil {
				t.Fatal("it was taken")
			}
			if Code(err) != c.code || !strings.Contains(err.Error(), c.what) || !strings.Contains(advice(err)+" caiatop server", c.fix) {
				t.Errorf("exit code %d: %v; try: %s", Code(err), err, advice(err))
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout %q", &stdout)
			}
		})
	}
}

// TestServerFinishesWhatIsUnderWay: a request that came before the signal is
// answered.
func TestServerFinishesWhatIsUnderWay(t *testing.T) {
	clean(t)
	s := startServer(t, "--port", "0", "--host", "127.0.0.1", "--json")
	var ready serverReady
	if err := json.Unmarshal([]byte(s.ready), &ready); err != nil {
		t.Fatal(err)
	}
	body, feed := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", ready.URL+"/api/v2/repos", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: 20 * time.Second}
	defer transport.CloseIdleConnections()
	status := make(chan int, 1)
	go func() {
		answer, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		_ = answer.Body.Close() // its status is what counts
		status <- answer.StatusCode
	}()
	// The body is asked for only when the handler reads it.
	if _, err := io.WriteString(feed, `{"id":`); err != nil {
		t.Fatal(err)
	}
	s.cancel()
	select {
	case err := <-s.ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := io.WriteString(feed, `"docs"}`); err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != 201 {
		t.Errorf("the request was answered %d", got)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestServerKeepsItsRepositories with --data, in a second run of the command,
// and not in memory mode, whoever asks for that.
func TestServerKeepsItsRepositories(t *testing.T) {
	clean(t)
	data := t.TempDir()
	run := func(mode string, created int, given ...string) {
		t.Helper()
		s := startServer(t, append(given, "--port", "0", "--json", "--data", data)...)
		ready := readyOf(t, s)
		if ready.Mode != mode {
			t.Errorf("mode %q, want %q", ready.Mode, mode)
		}
		if got := request(t, "POST", ready.URL+"/api/v2/repos", "", `{"id":"docs"}`); got != created {
			t.Errorf("create in %s mode answers %d, want %d", mode, got, created)
		}
		s.stop()
	}
	run("durable", 201)
	run("durable", 409, "--memory-mode=false")
	run("memory", 201, "--memory-mode")
	t.Setenv("GOVC_MEMORY_MODE", "true")
	run("memory", 201)
	run("durable", 409, "--memory-mode=false")
	t.Setenv("GOVC_MEMORY_MODE", "false")
	run("durable", 409)
}
