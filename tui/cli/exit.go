package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// The exit codes. Those from 64 on are those of sysexits.h. A caller treats a
// code that it does not know as a failure.
const (
	ExitOK          = 0   // done; status: healthy
	ExitDegraded    = 1   // status, healthcheck: the engine runs and is not healthy; doctor: a check fails
	ExitNoneRuns    = 3   // status, healthcheck: no engine runs
	ExitUsage       = 64  // the command line is wrong
	ExitData        = 65  // what was given cannot be stored, or some of it failed
	ExitNoInput     = 66  // a file or a document is not there
	ExitUnavailable = 69  // no engine, or it cannot do this now
	ExitInternal    = 70  // a fault of caiatop
	ExitCantCreate  = 73  // the state folder or a file in it cannot be made
	ExitIO          = 74  // reading or writing failed, the disk is full
	ExitTempFail    = 75  // try again later
	ExitPermission  = 77  // not allowed
	ExitConfig      = 78  // the configuration is wrong
	ExitInterrupted = 130 // ended by a signal
)

const exitHelp = `Exit codes:
  0 done; 1 not healthy and 3 no engine runs (status, healthcheck), 1 a check fails (doctor);
  64 usage; 65 bad data;
  66 not found; 69 unavailable; 70 internal fault; 73 cannot create; 74 I/O;
  75 try again later, or a conflict; 77 not allowed; 78 configuration; 130 interrupted`

// Sentinels of what only the program's wiring can know.
var (
	// ErrNoneRuns: no engine runs on the state folder.
	ErrNoneRuns = httpapi.ErrNotRunning
	// ErrConfig: the configuration cannot be used.
	ErrConfig = errors.New("configuration")
	// ErrCantCreate: the state folder or a file in it cannot be made.
	ErrCantCreate = errors.New("cannot create")
	// ErrNoEditor: no editor is set.
	ErrNoEditor = errors.New("neither VISUAL nor EDITOR is set")
	errUsage    = errors.New("usage")
	// errEditor: the editor did not do its work.
	errEditor = errors.New("editor")
	// errOutput: what a command writes could not be written.
	errOutput = errors.New("output")
)

// ExitCode ends a command with that code and no message of its own: the
// command has said what there was to say.
type ExitCode int

// Error names the code.
func (c ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Fault is an error as a person is told it: what failed, why, what to do.
type Fault struct {
	What string // "report-42 was not stored"
	Why  error
	Fix  string // "" takes the advice that Why brings, if any
}

// Error joins what and why.
func (f *Fault) Error() string {
	if why := f.reason(); why != "" {
		return f.What + ": " + why
	}
	return f.What
}

// reason is why in words, "" if what says it all.
func (f *Fault) reason() string {
	if f.Why == nil || errors.Is(f.Why, errUsage) {
		return ""
	}
	if errors.Is(f.Why, context.Canceled) {
		return "interrupted"
	}
	return f.Why.Error()
}

// Unwrap returns why.
func (f *Fault) Unwrap() error { return f.Why }

// fault describes err, nil stays nil.
func fault(what string, err error) error {
	if err == nil {
		return nil
	}
	return &Fault{What: what, Why: err}
}

// known is an error whose words are told already, or add nothing.
type known struct{ err error }

// Error returns nothing.
func (known) Error() string { return "" }

// Unwrap returns the error.
func (k known) Unwrap() error { return k.err }

// absent is a fault about a document that is not there.
func absent(what, id string, err error) error {
	return &Fault{What: what, Why: coded{fmt.Errorf("there is no document %q", id), err}}
}

// usage is a fault of the command line.
func usage(what, fix string) error {
	return &Fault{What: what, Why: errUsage, Fix: fix}
}

// codes are looked through in this order.
var codes = []struct {
	err  error
	code int
}{
	{errUsage, ExitUsage},
	{ErrConfig, ExitConfig},
	{ErrCantCreate, ExitCantCreate},
	{errHeld, ExitTempFail},
	{errOutput, ExitIO},
	{errTarget, ExitIO},
	{errEditor, ExitUnavailable},
	{httpapi.ErrUnauthorized, ExitPermission},
	{httpapi.ErrInvalid, ExitData},
	{httpapi.ErrTooLarge, ExitData},
	{httpapi.ErrNotFound, ExitNoInput},
	{httpapi.ErrConflict, ExitTempFail},
	{httpapi.ErrDiskFull, ExitIO},
	{httpapi.ErrAmbiguous, ExitTempFail},
	{httpapi.ErrCorrupt, ExitIO},
	{httpapi.ErrIdentity, ExitUnavailable},
	{httpapi.ErrReadOnly, ExitUnavailable},
	{httpapi.ErrUnavailable, ExitUnavailable},
	{httpapi.ErrInternal, ExitInternal},
	{context.DeadlineExceeded, ExitTempFail},
	{fs.ErrNotExist, ExitNoInput},
	{fs.ErrPermission, ExitPermission},
}

// Code returns the exit code for err.
func Code(err error) int {
	if err == nil {
		return ExitOK
	}
	if code, ok := errors.AsType[ExitCode](err); ok {
		return int(code)
	}
	if errors.Is(err, context.Canceled) {
		return ExitInterrupted
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return ExitIO
	}
	return ExitInternal
}

// interrupted says of an error that the end of ctx led to that it did: an engine
// tells it as one of many reasons for which something is not available.
func interrupted(ctx context.Context, err error) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	switch Code(err) {
	case ExitUnavailable, ExitInternal, ExitTempFail, ExitIO:
		what := err.Error()
		if f, ok := errors.AsType[*Fault](err); ok {
			what = f.What
		}
		return &Fault{What: what, Why: coded{err, context.Canceled}, Fix: "run the command again"}
	}
	return err
}

// readerLeft reports that whoever read the output has closed it.
func readerLeft(err error) bool {
	return errors.Is(err, errOutput) && errors.Is(err, syscall.EPIPE)
}

// advice returns what to do about err, "" if nobody knows.
func advice(err error) string {
	if f, ok := errors.AsType[*Fault](err); ok && f.Fix != "" {
		return f.Fix
	}
	if e, ok := errors.AsType[*httpapi.Error](err); ok && e.Fix != "" {
		return e.Fix
	}
	switch {
	case errors.Is(err, ErrNoneRuns):
		return "start it with: caiatop"
	case errors.Is(err, context.Canceled):
		return "run the command again"
	case errors.Is(err, httpapi.ErrGone):
		return "look what is there, then run the command again"
	case errors.Is(err, syscall.EISDIR):
		return "name a file; a whole folder is stored with: caiatop import DIR"
	case errors.Is(err, fs.ErrNotExist):
		return "check the name"
	case errors.Is(err, fs.ErrPermission):
		return "check owner and mode"
	}
	var e *httpapi.Error
	if errors.As(httpapi.NewError(err, ""), &e) && e.Code != "internal" {
		return e.Fix
	}
	return ""
}
