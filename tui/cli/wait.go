package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// askTime bounds one question to the holder of the lock, and waitEvery is
	// the time between two.
	askTime   = 2 * time.Second
	waitEvery = 200 * time.Millisecond
	// silentPatience is how long a holder may not answer: it is about to open
	// its socket, or has closed it and drains.
	silentPatience = drainTime + 5*time.Second
	// plainEvery is the time between two lines about the same wait where lines
	// cannot be written over.
	plainEvery = 10 * time.Second
)

// takeOver starts an engine for a console or a service. A command that holds the
// lock is waited for as long as it answers. Another console or service is not:
// it may never end.
func takeOver(ctx context.Context, dir string, caller Caller, start func() (*engine.Host, error)) (*engine.Host, error) {
	heard := time.Now()
	for {
		host, err := start()
		held, isHeld := errors.AsType[*durable.LockedError](err)
		if !isHeld {
			return host, err
		}
		holder, job, err := ask(ctx, dir)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && holder.Kind != httpapi.HolderCommand:
			return nil, heldFault(dir, holder, held)
		case err == nil:
			heard = time.Now()
		case time.Since(heard) > silentPatience:
			return nil, heldFault(dir, httpapi.Holder{PID: held.PID}, held)
		default:
			holder = httpapi.Holder{PID: held.PID}
		}
		if caller.Waiting != nil {
			caller.Waiting(holder, job)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(waitEvery):
		}
	}
}

// ask asks the engine that serves dir who it is and what it does.
func ask(ctx context.Context, dir string) (httpapi.Holder, *httpapi.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	client, err := httpapi.New(ctx, dir)
	if err != nil {
		return httpapi.Holder{}, nil, err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	return status.Holder, status.Job, err
}

// waitLine tells whose end is waited for: one line that is written over on a
// terminal, else a line now and then. The zero value but for app is ready.
type waitLine struct {
	app    *app
	line   progressLine
	holder httpapi.Holder
	told   time.Time
}

func (w *waitLine) show(holder httpapi.Holder, job *httpapi.Progress) {
	now := w.app.Now()
	text := waitText(holder, job, now)
	if w.app.IsTerminal(w.app.Stderr) {
		w.line.app, w.line.shown = w.app, true
		w.line.draw(safe(text))
		return
	}
	if holder != w.holder || now.Sub(w.told) >= plainEvery {
		w.holder, w.told = holder, now
		w.app.note("%s", text)
	}
}

// end removes the line.
func (w *waitLine) end() { w.line.clear() }

func waitText(holder httpapi.Holder, job *httpapi.Progress, now time.Time) string {
	const tail = "; waiting for it, ctrl+c leaves"
	if holder.Kind == "" {
		return processName(holder.PID) + " holds the state folder and does not answer yet" + tail
	}
	text := fmt.Sprintf("%s runs %s", processName(holder.PID), holder.Command)
	if job != nil {
		text += ": " + ui.Count(job.Done) + " of " + ui.Count(job.Total)
		if past := now.Sub(job.Started).Seconds(); past > 0 && job.Done > 0 {
			text += ", " + perSecond(float64(job.Done)/past) + " a second"
		}
	}
	return text + tail
}

// processName names a process whose id may be unknown.
func processName(pid int) string {
	if pid == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d", pid)
}

// heldFault says who stands in the way.
func heldFault(dir string, holder httpapi.Holder, held error) error {
	f := &Fault{What: fmt.Sprintf("the state folder %s is in use", dir), Why: coded{held, errHeld}}
	who := processName(holder.PID)
	switch holder.Kind {
	case httpapi.HolderConsole:
		f.Why = coded{fmt.Errorf("%s is a console on it", who), errHeld}
		f.Fix = fmt.Sprintf("use that console, or end %s", who)
	case httpapi.HolderServe:
		f.Why = coded{fmt.Errorf("%s serves it", who), errHeld}
		f.Fix = fmt.Sprintf("use the commands, which go through it, or end %s", who)
	default:
		f.Fix = fmt.Sprintf("wait until %s has ended, or end it", who)
	}
	return f
}

// errHeld makes the exit code 75.
var errHeld = errors.New("held by another process")

// startFault says what a person can do about an engine that does not start.
func startFault(dir string, err error) error {
	f := &Fault{What: "the engine cannot start", Why: err}
	git := filepath.Join(dir, engine.GitDir)
	other, isOther := errors.AsType[*engine.OtherBranchError](err)
	setting, isSetting := errors.AsType[*govc.OptionError](err)
	switch {
	case isSetting:
		f.What = setting.Key + ": " + setting.Problem
		if setting.Err != nil {
			f.What += ": " + setting.Err.Error()
		}
		f.Why, f.Fix = known{coded{err, ErrConfig}}, setting.Fix
	case isOther:
		f.Why = coded{err, httpapi.ErrIdentity}
		f.Fix = fmt.Sprintf("name its branch as ours, with: git -C %s branch -m %q main; or move it elsewhere, start, and take its documents over with: caiatop import --git", git, other.Branch)
	case errors.Is(err, gitrepo.ErrReadOnly): // by how it is made, not by its permissions
		f.Why = coded{err, ErrCantCreate}
		f.Fix = fmt.Sprintf("move %s elsewhere and put a bare clone in its place (git clone --bare); or start without it, and take its documents over with: caiatop import --git", git)
	case errors.Is(err, engine.ErrRebuilding):
		f.Why, f.Fix = coded{err, httpapi.ErrUnavailable}, "finish it with: caiatop rebuild"
	case errors.Is(err, store.ErrCorrupt):
		f.Why, f.Fix = coded{err, httpapi.ErrCorrupt}, "put a good copy of state.db back, or make it anew with: caiatop rebuild"
	case errors.Is(err, state.ErrNewerSchema):
		f.Why, f.Fix = coded{err, httpapi.ErrUnavailable}, "use the newer caiatop that made this folder, or another --state-dir"
	case errors.Is(err, errHTTP):
		f.Why, f.Fix = coded{err, httpapi.ErrUnavailable}, "end what uses the address, or choose another with --http-addr; port 0 takes a free one"
	case errors.Is(err, syscall.EADDRINUSE):
		f.Why, f.Fix = coded{err, httpapi.ErrUnavailable}, "end what uses the port, or choose another with --embedded-port; 0 takes a free one"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, os.ErrNotExist):
		f.Why, f.Fix = coded{err, ErrCantCreate}, "choose another folder with --state-dir: this one cannot be made"
	case errors.Is(err, durable.ErrReadOnly), errors.Is(err, store.ErrReadOnly), errors.Is(err, os.ErrPermission):
		f.Why, f.Fix = coded{err, ErrCantCreate}, fmt.Sprintf("make %s writable, or choose another folder with --state-dir", dir)
	case errors.Is(err, durable.ErrDiskFull), errors.Is(err, store.ErrDiskFull):
		f.Why, f.Fix = coded{err, httpapi.ErrDiskFull}, "free space on the disk of "+dir
	}
	return f
}
