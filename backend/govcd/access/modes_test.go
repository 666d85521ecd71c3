package access

import (
	"os"
	"testing"
	"time"

	"github.com/caiatech/caiatop/config"
)

func TestModes(t *testing.T) {
	dir := t.TempDir()
	made := t.TempDir()
	makeKey(t, Register{Dir: made}, "ci", "", time.Time{})
	for name, c := range map[string]struct {
		o    Options
		mode Mode
	}{
		"nothing":         {Options{}, ModeOpen},
		"a folder":        {Options{Dir: dir}, ModeOpen},
		"admin key":       {Options{Dir: dir, AdminKey: config.NewSecret(adminKey)}, ModeKey},
		"JWT secret":      {Options{Keyring: keyring(t, goodSecret)}, ModeManaged},
		"access file":     {Options{Dir: made}, ModeManaged},
		"file, admin key": {Options{Dir: made, AdminKey: config.NewSecret(adminKey)}, ModeManaged},
	} {
		got := control(t, c.o)
		if got.Mode() != c.mode {
			t.Errorf("%s: %s, want %s", name, got.Mode(), c.mode)
		}
		who, err := got.Authenticate(request())
		if open := err == nil && got.Allow(who, "docs", Admin) == nil; open != (c.mode == ModeOpen) {
			t.Errorf("%s: open to all: %v", name, open)
		}
	}
}

// TestAnOpenServiceCloses with the first key, also for who was let in before, and
// does not open again when the file is deleted.
func TestAnOpenServiceCloses(t *testing.T) {
	at := newClock()
	c := control(t, Options{Dir: t.TempDir(), Now: at.now})
	who, err := c.Authenticate(request())
	must(t, err)
	must(t, c.Allow(who, Service, Admin))
	_, key := makeKey(t, c.Register(), "ci", "*:admin", time.Time{})
	at.pass(checkEvery)
	wantDenied(t, "let in before", c.Allow(who, "docs", Read), ErrUnauthenticated, NoCredential)
	if _, err := c.Authenticate(request("X-API-Key", key)); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(c.AccessFile()))
	at.pass(checkEvery)
	_, err = c.Authenticate(request())
	wantDenied(t, "file deleted", err, ErrUnauthenticated, NoCredential)
	_, err = c.Authenticate(request("X-API-Key", key))
	wantDenied(t, "key of a deleted file", err, ErrUnauthenticated, UnknownKey)
	if c.Mode() != ModeManaged {
		t.Error(c.Mode())
	}
}
