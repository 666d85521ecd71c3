package access

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/config"
)

// TestALostAccessFileOpensNothing: a folder without its access file was taken for
// a new one, and its service answered everybody after a restart.
func TestALostAccessFileOpensNothing(t *testing.T) {
	for name, spare := range map[string]string{"the mark is left": traceName, "only the audit is left": AuditDir, "only the uses are left": usedName} {
		dir := t.TempDir()
		r := Register{Dir: dir}
		_, key := makeKey(t, r, "ci", "*:admin", time.Time{})
		c := control(t, Options{Dir: dir})
		if _, err := c.Authenticate(request(bearer(key)...)); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if e.Name() != spare {
				must(t, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
		_, err = New(Options{Dir: dir})
		lost, ok := errors.AsType[*LostError](err)
		if !errors.Is(err, ErrLost) || !ok || lost.Before != TraceFile {
			t.Errorf("%s: %v", name, err)
		}
		// With another credential it is closed to all but that one, and says so.
		c = control(t, Options{Dir: dir, AdminKey: config.NewSecret(adminKey)})
		if _, err := c.Authenticate(request(bearer(key)...)); c.Mode() != ModeManaged || c.Problem() == nil {
			t.Errorf("%s: %s, %v, %v", name, c.Mode(), c.Problem(), err)
		}
		if _, err := c.Authenticate(request(bearer(adminKey)...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// New keys are a new beginning, and no trouble is left.
		makeKey(t, r, "new", "docs:read", time.Time{})
		must(t, c.Reload())
		if c.Problem() != nil || control(t, Options{Dir: dir}).Mode() != ModeManaged {
			t.Errorf("%s: %v", name, c.Problem())
		}
	}
}

// TestWhatWasAskedForIsRemembered: a service that asked for a key or a token is
// not opened by a variable that is missing.
func TestWhatWasAskedForIsRemembered(t *testing.T) {
	for want, o := range map[Trace]Options{
		TraceKey:    {AdminKey: config.NewSecret(adminKey)},
		TraceSecret: {AdminKey: config.NewSecret(adminKey), Keyring: keyring(t, goodSecret)},
	} {
		o.Dir = filepath.Join(t.TempDir(), "new")
		c := control(t, o)
		if _, err := os.Stat(o.Dir); err == nil {
			t.Errorf("%s: New made the folder", want)
		}
		must(t, c.Remember())
		must(t, c.Remember())
		_, err := New(Options{Dir: o.Dir})
		if lost, ok := errors.AsType[*LostError](err); !ok || lost.Before != want {
			t.Errorf("%s: %v", want, err)
		}
		if control(t, o).Problem() != nil {
			t.Errorf("%s: nothing is lost, and it says so", want)
		}
	}
	open := control(t, Options{Dir: t.TempDir()})
	must(t, open.Remember())
	if found, err := open.Register().Trace(); found != TraceNone || err != nil {
		t.Errorf("an open service leaves %q, %v", found, err)
	}
}

// TestATraceThatIsDamagedOpensNothing: nor one that cannot be read.
func TestATraceThatIsDamagedOpensNothing(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, traceName), nil, 0o600))
	if _, err := New(Options{Dir: dir}); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	must(t, os.Remove(filepath.Join(dir, traceName)))
	must(t, os.Mkdir(filepath.Join(dir, traceName), 0o700))
	if _, err := New(Options{Dir: dir}); err == nil {
		t.Error("open beside a trace that cannot be read")
	}
}

// TestAnAccessFileThatAppearsIsRemembered, also one that was put there by hand
// while the service ran.
func TestAnAccessFileThatAppearsIsRemembered(t *testing.T) {
	at := newClock()
	dir := t.TempDir()
	c := control(t, Options{Dir: dir, Now: at.now})
	must(t, os.WriteFile(filepath.Join(dir, FileName), []byte(`{"version":1,"keys":[],"grants":[]}`), 0o600))
	at.pass(checkEvery)
	if c.Problem() != nil || c.Mode() != ModeManaged {
		t.Fatal(c.Mode())
	}
	must(t, os.Remove(filepath.Join(dir, FileName)))
	if _, err := New(Options{Dir: dir}); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

func TestForgettingIsDeliberate(t *testing.T) {
	dir := t.TempDir()
	r := Register{Dir: dir, By: "ann", Via: "shell"}
	ctx := context.Background()
	if _, err := r.Forget(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	makeKey(t, r, "ci", "*:admin", time.Time{})
	if _, err := r.Forget(ctx); !errors.Is(err, ErrExists) {
		t.Errorf("beside the file: %v", err)
	}
	must(t, os.Remove(r.path()))
	must(t, os.WriteFile(filepath.Join(dir, usedName), []byte("{}"), 0o600))
	before, err := r.Forget(ctx)
	if err != nil || before != TraceFile {
		t.Errorf("%q, %v", before, err)
	}
	if c := control(t, Options{Dir: dir}); c.Mode() != ModeOpen || c.Problem() != nil {
		t.Errorf("%s, %v", c.Mode(), c.Problem())
	}
	var last audit.Entry
	_, err = audit.Scan(durable.Volume{}, filepath.Join(dir, AuditDir), AuditName, func(e audit.Entry) error {
		last = e
		return nil
	})
	if err != nil || last.What != forgotten || last.Who != "ann" || last.Ref != string(TraceFile) {
		t.Errorf("%+v, %v", last, err)
	}
	// What is set up after that is remembered again.
	makeKey(t, r, "ci", "*:admin", time.Time{})
	must(t, os.Remove(r.path()))
	if _, err := New(Options{Dir: dir}); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

// TestAGrantIsTakenAwayAsItWasGiven: "remove ann docs:read" found nothing.
func TestAGrantIsTakenAwayAsItWasGiven(t *testing.T) {
	r := Register{Dir: t.TempDir()}
	ctx := context.Background()
	must(t, r.Grant(ctx, "ann", scopes(t, "docs:read team-*:write *:admin")...))
	for _, wrong := range [][]string{{"docs:write"}, {"docs:read", "other:read"}, {"docs:"}, {"doc"}, {""}} {
		if taken, err := r.Withdraw(ctx, "ann", wrong...); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, %v", wrong, taken, err)
		}
	}
	taken, err := r.Withdraw(ctx, "ann", "docs:read", "team-*", "team-*:write")
	if err != nil || len(taken) != 2 {
		t.Errorf("%v, %v", taken, err)
	}
	if left, err := r.Grants(); err != nil || len(left) != 1 || left[0].Scope.String() != "*:admin" {
		t.Errorf("%v, %v", left, err)
	}
}

// TestALinkThatLeadsNowhereIsNoMissingFile: with the access file or the secret on
// a disk that was not mounted a service began as an open one.
func TestALinkThatLeadsNowhereIsNoMissingFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{FileName, SecretName} {
		must(t, os.Symlink(filepath.Join(dir, "not", "mounted"), filepath.Join(dir, name)))
	}
	if _, err := New(Options{Dir: dir}); !errors.Is(err, ErrInvalid) {
		t.Errorf("the access file: %v", err)
	}
	if _, err := ReadSecrets(durable.Volume{}, filepath.Join(dir, SecretName)); !errors.Is(err, ErrInvalid) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the secret: %v", err)
	}
}
