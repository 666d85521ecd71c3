package govcd

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// TestABrokenAccessFileBesideAnOpenServiceIsTold: somebody wanted it to ask for
// credentials, it goes on without, and nothing said so.
func TestABrokenAccessFileBesideAnOpenServiceIsTold(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c, err := access.New(access.Options{Dir: dir, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	h := newService(t, Options{Access: c}).Handler()
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy","system"`)
	if err := os.WriteFile(filepath.Join(dir, access.FileName), []byte(`{"version":`), 0o600); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Hour)
	want(t, ask(t, h, "GET", "/health", ""), 200, `nobody is asked for a credential`)
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"degraded","system"`)
	if err := os.Remove(filepath.Join(dir, access.FileName)); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Hour)
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy","system"`)
}

// TestAReadOnlyFolderIsNotHealthy: every change was 503, and the health 200.
func TestAReadOnlyFolderIsNotHealthy(t *testing.T) {
	s, h := diskRepo(t)
	for _, dir := range []string{s.disk.data, s.disk.root(), s.disk.path("docs"), filepath.Join(s.disk.path("docs"), "objects")} {
		refused := error(syscall.EROFS)
		s.disk.mayWrite = func(at string) error {
			if at == dir {
				return refused
			}
			return mayWrite(at)
		}
		want(t, ask(t, h, "GET", "/health", ""), 503, "cannot be written to")
		want(t, ask(t, h, "GET", "/health/ready", ""), 503, "not_ready")
		refused = nil
		want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy","system"`)
	}
	if err := mayWrite(filepath.Join(t.TempDir(), "none")); err == nil || !os.IsNotExist(err) {
		t.Errorf("%v, want %v", err, fs.ErrNotExist)
	}
}

// TestAnAuditThatWasMovedAwayIsTold: changes went on, into a file that nobody
// looks for.
func TestAnAuditThatWasMovedAwayIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	log, err := audit.Open(dir, audit.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	h := newService(t, Options{Audit: log}).Handler()
	away := func(to string) {
		if err := os.Rename(dir, dir+to); err != nil {
			t.Fatal(err)
		}
	}
	// Whoever changes something is told, and nothing is changed.
	away(".1")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 503, `"code":"AUDIT_FAILED","details":{"changed":false}`)
	want(t, ask(t, h, "GET", "/health", ""), 503, "they cannot be recorded")
	at = at.Add(time.Minute)
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "")
	// So is whoever only looks.
	away(".2")
	want(t, ask(t, h, "GET", "/health", ""), 503, "they cannot be recorded")
	at = at.Add(time.Minute)
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy","system"`)
}
