package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caiatech/caiatop/backend/audit"
)

// traceName is the file that remembers that the service of a folder asked for
// credentials, so that it never stops to only because something is missing.
const traceName = "access.before"

// Trace is what the service of a folder asked its callers for before.
type Trace string

// The traces. The file is the strongest: it is remembered until Forget.
const (
	TraceNone   Trace = ""
	TraceKey    Trace = "admin key"
	TraceSecret Trace = "JWT secret"
	TraceFile   Trace = "access file"
)

// LostError says that a service would begin to answer everybody because what it
// asked for before is not there. It is an ErrLost.
type LostError struct{ Before Trace }

// Error says what was there.
func (e *LostError) Error() string {
	return fmt.Sprintf("%v: it asked for them before (%s)", ErrLost, e.Before)
}

// Unwrap returns ErrLost.
func (*LostError) Unwrap() error { return ErrLost }

// Trace returns what the service of the folder asked for when it ran before, or
// what was set up while it did not. Without its own file it is told by those that
// access control leaves: the days on which keys were used, and the audit of
// changes to the access file.
func (r Register) Trace() (Trace, error) {
	data, err := r.Volume.ReadFile(filepath.Join(r.Dir, traceName))
	switch {
	case err == nil:
		for _, t := range []Trace{TraceKey, TraceSecret} {
			if string(data) == t.line() {
				return t, nil
			}
		}
		return TraceFile, nil // what is damaged does not open a service
	case !errors.Is(err, fs.ErrNotExist):
		return TraceNone, err
	}
	if _, err := r.Volume.Lstat(filepath.Join(r.Dir, usedName)); !errors.Is(err, fs.ErrNotExist) {
		return TraceFile, err
	}
	last := forgotten
	_, err = audit.Scan(r.Volume, filepath.Join(r.Dir, AuditDir), AuditName, func(e audit.Entry) error {
		if e.What != audit.Repaired {
			last = e.What
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return TraceNone, err
	}
	if last != forgotten {
		return TraceFile, nil
	}
	return TraceNone, nil
}

func (t Trace) line() string { return string(t) + "\n" }

// remember leaves a trace, unless a stronger one is there.
func (r Register) remember(t Trace) error {
	path := filepath.Join(r.Dir, traceName)
	data, err := r.Volume.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if found := string(data); found == TraceFile.line() || found == t.line() {
		return nil
	}
	if err := r.Volume.MkdirAll(r.Dir, 0o700); err != nil {
		return err
	}
	return r.Volume.WriteFile(path, []byte(t.line()), 0o600)
}

// forgotten is what Forget is called in the audit.
const forgotten = "access.forget"

// Forget lets the service of a folder begin anew without what it asked for
// before. It is for whoever means that, and fails with ErrExists while there is
// an access file, and with ErrNotFound where there is nothing to forget.
func (r Register) Forget(ctx context.Context) (before Trace, err error) {
	if _, err := r.Volume.Stat(r.Dir); err != nil {
		return TraceNone, err
	}
	lock, err := r.lock(ctx)
	if err != nil {
		return TraceNone, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if _, err := r.Volume.Lstat(r.path()); !errors.Is(err, fs.ErrNotExist) {
		return TraceNone, errors.Join(fmt.Errorf("the access file %s: %w", r.path(), ErrExists), err)
	}
	if before, err = r.Trace(); err != nil {
		return TraceNone, err
	}
	if before == TraceNone {
		return TraceNone, fmt.Errorf("a trace of credentials: %w", ErrNotFound)
	}
	log, err := r.record()
	if err != nil {
		return TraceNone, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	e := audit.Entry{What: forgotten, Ref: string(before), Who: r.By, Via: r.Via, From: r.From, Result: audit.OK}
	if err := log.Append(e); err != nil { // first: it is a trace itself
		return TraceNone, fmt.Errorf("nothing was changed, because it cannot be recorded: %w", err)
	}
	for _, name := range []string{usedName, traceName} {
		if err := r.Volume.Remove(filepath.Join(r.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return TraceNone, err
		}
	}
	return before, nil
}

// record opens the audit of changes to the access file.
func (r Register) record() (*audit.Log, error) {
	log, err := audit.Open(filepath.Join(r.Dir, AuditDir), audit.Options{Volume: r.Volume, Name: AuditName, Now: r.Now})
	if err != nil {
		return nil, fmt.Errorf("nothing was changed, because it cannot be recorded: %w", err)
	}
	return log, nil
}

// heed compares what is there with what was: an access file that is lost leaves
// the service closed to all but its other credentials, and nothing makes it open
// that was not.
func (c *Control) heed() error {
	first := c.current.Load() // nobody else has it yet
	if c.register.Dir == "" || first.present {
		return nil
	}
	before, err := c.register.Trace()
	switch {
	case err != nil:
		return fmt.Errorf("it cannot be told whether this service asked for credentials before: %w", err)
	case before != TraceNone && !c.managed && !c.adminKey:
		return &LostError{before}
	case before == TraceFile:
		first.present = true
		c.problem.Store(&errGone)
		c.log.Error(errGone.Error(), "file", c.AccessFile())
	}
	return nil
}

// Remember leaves a trace of what the service asks for, so that New is not open
// in its folder when that is lost. It makes the folder if it is missing.
func (c *Control) Remember() error {
	now := TraceFile
	switch {
	case c.register.Dir == "" || c.Mode() == ModeOpen:
		return nil
	case c.current.Load().present:
	case c.managed:
		now = TraceSecret
	default:
		now = TraceKey
	}
	if err := c.register.remember(now); err != nil {
		return fmt.Errorf("access: it cannot be remembered that this service asks for credentials: %w", err)
	}
	return nil
}
