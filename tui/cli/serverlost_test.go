package cli

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/govcd/access"
)

// refusedServer is a start that has to fail.
func refusedServer(t *testing.T, given ...string) (code int, text string) {
	t.Helper()
	var out, log bytes.Buffer
	err := serverRun(t.Context(), &out, &log, given...)
	if err == nil || out.Len() > 0 {
		t.Errorf("%q: it started: %s", given, &out)
		return 0, ""
	}
	return Code(err), err.Error() + "; try: " + advice(err)
}

// TestAServerThatLostItsAccessFileDoesNotOpen: it answered everybody after a
// restart, without a word.
func TestAServerThatLostItsAccessFileDoesNotOpen(t *testing.T) {
	clean(t)
	dir := filepath.Join(t.TempDir(), "data")
	if code, _, stderr := shell(t, "server apikey create --name ci --repo *:admin --data "+dir); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := shell(t, "server forget-access --data "+dir); code != ExitData || !strings.Contains(stderr, "move") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	file := filepath.Join(dir, access.FileName)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	code, text := refusedServer(t, "--port", "0", "--data", dir)
	if code != ExitPermission || !strings.Contains(text, file) || !strings.Contains(text, "forget-access --data "+dir) {
		t.Errorf("exit code %d: %s", code, text)
	}
	code, stdout, stderr := shell(t, "server forget-access --data "+dir)
	if code != 0 || !strings.Contains(stdout, "access file") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	s := startServer(t, "--port", "0", "--data", dir)
	if !strings.Contains(s.ready, "open") {
		t.Error(s.ready)
	}
	s.stop()
	if code, _, _ := shell(t, "server forget-access --data "+dir); code != ExitNoInput {
		t.Errorf("nothing was there to forget: exit code %d", code)
	}
}

// TestAServerThatAskedForTheKeyDoesNotOpen because a variable is not set.
func TestAServerThatAskedForTheKeyDoesNotOpen(t *testing.T) {
	clean(t)
	dir := filepath.Join(t.TempDir(), "data")
	t.Setenv("GOVC_API_KEY", "a-key-that-is-long-enough")
	startServer(t, "--port", "0", "--data", dir).stop()
	startServer(t, "--port", "0", "--data", dir).stop()
	t.Setenv("GOVC_API_KEY", "")
	if code, text := refusedServer(t, "--port", "0", "--data", dir); code != ExitPermission || !strings.Contains(text, "GOVC_API_KEY") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

// TestAStartThatFailsLeavesNoFolder: one at a busy port did, and one whose
// address needed a credential.
func TestAStartThatFailsLeavesNoFolder(t *testing.T) {
	clean(t)
	t.Setenv("GOVC_API_KEY", "a-key-that-is-long-enough") // the trace of it is a file, too
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }() // a listener of this test
	_, port, err := net.SplitHostPort(busy.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	if code, text := refusedServer(t, "--port", port, "--data", dir); code != ExitUnavailable || !strings.Contains(text, "another program") {
		t.Errorf("exit code %d: %s", code, text)
	}
	t.Setenv("GOVC_API_KEY", "")
	if code, text := refusedServer(t, "--port", "0", "--host", "0.0.0.0", "--data", dir); code != ExitPermission {
		t.Errorf("exit code %d: %s", code, text)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}

// TestAFolderThatIsAFileCannotBeMade: it was told as a fault of caiatop (70).
func TestAFolderThatIsAFileCannotBeMade(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{file, filepath.Join(file, "below")} {
		if code, text := refusedServer(t, "--port", "0", "--data", data); code != ExitCantCreate || !strings.Contains(text, "--data") {
			t.Errorf("exit code %d: %s", code, text)
		}
		for _, line := range []string{"apikey create --name ci", "apikey list", "grant add ann docs:read", "grant list", "grant remove ann"} {
			if code, _, stderr := shell(t, "server "+line+" --data "+data); code != ExitCantCreate || !strings.Contains(stderr, "--data") {
				t.Errorf("%s: exit code %d: %s", line, code, stderr)
			}
		}
	}
}

// TestASlipInTheFolderMakesNone: a revocation made the folder that it was
// pointed at by mistake, and a list of it was empty.
func TestASlipInTheFolderMakesNone(t *testing.T) {
	clean(t)
	dir := filepath.Join(t.TempDir(), "slip")
	for _, line := range []string{"apikey list", "apikey revoke ci", "grant list", "grant remove ann", "forget-access"} {
		if code, stdout, stderr := shell(t, "server "+line+" --data "+dir); code != ExitNoInput || stdout != "" {
			t.Errorf("%s: exit code %d: %s%s", line, code, stdout, stderr)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}

// TestAGrantIsRemovedInTheFormOfAdd.
func TestAGrantIsRemovedInTheFormOfAdd(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	if code, _, stderr := shell(t, "server grant add ann docs:read team-*:write --data "+dir); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := shell(t, "server grant remove ann docs:write --data "+dir); code != ExitNoInput || !strings.Contains(stderr, "docs:read") {
		t.Errorf("another right: exit code %d: %s", code, stderr)
	}
	if code, stdout, stderr := shell(t, "__complete server grant remove ann --data "+dir+" d"); code != 0 || !strings.Contains(stdout, "docs:read") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := shell(t, "server grant remove ann docs:read team-* --data "+dir); code != 0 || stdout != "took from ann: docs:read team-*:write\n" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestABlankSecretIsNone: it counted as one that is not set, and the service was
// open.
func TestABlankSecretIsNone(t *testing.T) {
	clean(t)
	t.Setenv(secretEnv, "  ")
	if code, text := refusedServer(t, "--port", "0"); code != ExitConfig || !strings.Contains(text, secretEnv) {
		t.Errorf("exit code %d: %s", code, text)
	}
}
