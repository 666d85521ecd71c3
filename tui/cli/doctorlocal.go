package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// configuration reports whether there is one to go on with.
func (d *doctor) configuration() bool {
	cfg, mistakes := d.Settings(d.flags)
	if len(mistakes) > 0 {
		first := configFault(mistakes[0])
		text := first.Error()
		if more := len(mistakes) - 1; more > 0 {
			text += fmt.Sprintf(" (and %s)", count(more, "more mistake"))
		}
		d.say(checkConfig, resultFail, join(advice(first), "see all mistakes with: caiatop config check"), "%s", text)
		return false
	}
	d.cfg = cfg
	from := "environment, flags and defaults"
	if cfg.File != "" {
		from = cfg.File
	}
	d.ok(checkConfig, "valid: %s", from)
	return true
}

// engineTime is how long the running engine may take to answer.
const engineTime = 5 * time.Second

// others is what others than the owner may do.
const others = 0o077

// folder looks at the state folder as it is. It is made by the first start.
func (d *doctor) folder() {
	dir := d.cfg.StatePath()
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := existing(dir)
		if !writable(parent) {
			d.say(checkFolder, resultFail, fmt.Sprintf("make %s writable, or choose another folder with --state-dir", parent), "%s cannot be made: %s is not writable", dir, parent)
			return
		}
		d.ok(checkFolder, "%s is made by the first start", dir)
	case errors.Is(err, fs.ErrPermission):
		d.say(checkFolder, resultFail, "run it as the owner of the folder, or choose another with --state-dir", "%s cannot be looked at: permission denied", dir)
	case err != nil:
		d.say(checkFolder, resultFail, "choose another folder with --state-dir", "%s cannot be looked at: %v", dir, err)
	case !info.IsDir():
		d.say(checkFolder, resultFail, "move it elsewhere, or choose another folder with --state-dir", "%s is no folder", dir)
	case !writable(dir):
		d.say(checkFolder, resultFail, fmt.Sprintf("make %s writable, or choose another folder with --state-dir", dir), "%s is not writable", dir)
	default:
		d.permissions(dir, info)
	}
}

// permissions looks whether others may read what is ours alone.
func (d *doctor) permissions(dir string, info fs.FileInfo) {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		d.say(checkFolder, resultFail, "run it as that user, or choose another folder with --state-dir", "%s belongs to user %d", dir, owner.Uid)
		return
	}
	if mode := info.Mode().Perm(); mode&others != 0 {
		d.say(checkFolder, resultWarn, "chmod 700 "+dir, "other users may look into %s (mode %04o)", dir, mode)
		return
	}
	for _, name := range []string{engine.KeyFile, engine.LogFile, "state.db"} {
		file, err := os.Stat(filepath.Join(dir, name))
		if err == nil && file.Mode().Perm()&others != 0 {
			d.say(checkFolder, resultWarn, "chmod 600 "+filepath.Join(dir, name), "other users may read %s in %s (mode %04o)", name, dir, file.Mode().Perm())
			return
		}
	}
	if _, err := os.Stat(filepath.Join(dir, engine.RebuildFile)); err == nil && !d.isHeld(dir) {
		d.say(checkFolder, resultFail, "finish it with: caiatop rebuild", "a rebuild of the state file in %s was begun and not finished: nothing else starts there", dir)
		return
	}
	d.ok(checkFolder, "%s is there, and for its owner only", dir)
}

// isHeld reports whether somebody uses the folder now, as a rebuild does that
// is under way.
func (d *doctor) isHeld(dir string) bool {
	held, _, err := durable.Held(filepath.Join(dir, engine.LockFile))
	return held || err != nil
}

// existing is the nearest folder above a path that is there.
func existing(path string) string {
	for path != filepath.Dir(path) {
		path = filepath.Dir(path)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return path
}

func writable(dir string) bool {
	const writeAndEnter = 3
	return syscall.Access(dir, writeAndEnter) == nil
}

// running finds out who holds the state folder, and connects to the engine that
// answers there, if any.
func (d *doctor) running(ctx context.Context) Session {
	session, err := d.Running(ctx, d.flags, d.caller)
	held, pid, lockErr := durable.Held(filepath.Join(d.cfg.StatePath(), engine.LockFile))
	d.held = held || lockErr != nil
	switch {
	case err == nil:
		d.held = true
		return session
	case lockErr != nil:
		d.say(checkLock, resultFail, "run it as the owner of the folder", "the lock cannot be looked at: %v", lockErr)
	case held && errors.Is(err, ErrNoneRuns):
		d.say(checkLock, resultWarn, fmt.Sprintf("wait if it is starting or ending; look at it with: ps -p %d", pid), "process %d holds the state folder and does not answer at its socket", pid)
	case held:
		d.say(checkLock, resultWarn, "run it as the user whose engine that is", "process %d holds the state folder, and its socket cannot be used: %s", pid, ui.Gist(err.Error()))
	case errors.Is(err, ErrNoneRuns):
		d.ok(checkLock, "nobody holds the state folder")
	default:
		d.say(checkLock, resultFail, advice(err), "the control socket cannot be used: %s", ui.Gist(err.Error()))
	}
	if held {
		d.unknown(checkEngine, "it does not answer")
	} else {
		d.ok(checkEngine, "none runs; the rest is found out without one")
	}
	return nil
}

// askEngine takes over what the running engine knows.
func (d *doctor) askEngine(ctx context.Context, session Session) {
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	status, err := session.Control().Status(ctx)
	if err != nil {
		d.say(checkEngine, resultFail, advice(err), "it runs, and does not say how it is: %s", ui.Gist(err.Error()))
		d.ok(checkLock, "an engine holds the state folder")
		return
	}
	d.status = &status
	d.ok(checkLock, "held by %s, process %d, which answers", holderName(status.Holder), status.PID)
	if facts, err := session.Service(ctx); err == nil {
		d.facts = &facts
	}
	d.judgeEngine(status)
}

func (d *doctor) judgeEngine(s httpapi.Status) {
	if strings.HasPrefix(s.Next, "It ") {
		s.Next = "i" + s.Next[1:]
	}
	why := s.State + ": " + ui.Gist(s.Reason)
	switch {
	case s.State == string(engine.StateLocked):
		d.say(checkEngine, resultFail, s.Next, "%s", why)
	case !s.Ready:
		d.say(checkEngine, resultFail, s.Next, "it cannot take a write now: %s", s.Unready)
	case s.Healthy && warned(s) != "":
		d.say(checkEngine, resultWarn, "nothing now: no document and no version is concerned; to be rid of it, mend or put back the named file", "%s, but %s", s.State, warned(s))
	case s.Healthy:
		d.ok(checkEngine, "%s, %s documents, all parts work", s.State, ui.Count(s.Documents))
	case s.State == string(engine.StatePrimary):
		d.say(checkEngine, resultWarn, "see: caiatop status, and: caiatop events", "%s, but a part of it does not work", s.State)
	default:
		d.say(checkEngine, resultWarn, s.Next, "%s", why)
	}
}

// warned says what of the stores is damaged and touches nothing, "" if nothing is.
func warned(s httpapi.Status) string {
	for _, one := range s.Stores {
		if one.Warning != "" {
			return one.Name + " is damaged where nothing needs it: " + one.Warning
		}
	}
	return ""
}

// service finds out where the service is, and reports whether it can be looked
// at.
func (d *doctor) service() bool {
	d.local = d.cfg.IsEmbedded()
	phase := string(d.cfg.Phase)
	if d.status != nil && d.status.Phase != "" { // an operator may have set another one since
		phase = d.status.Phase
	}
	switch {
	case phase == string(config.PhaseGitOnly):
		for _, check := range allChecks {
			d.ok(check, "not needed: the phase git-only has no service")
		}
		return false
	case !d.local:
		d.url = d.cfg.Govc.URL
	case d.status != nil && d.status.Service.URL != "":
		d.url = d.status.Service.URL
	default:
		d.why = "not looked at: the embedded service runs only while the console or serve does"
		return false
	}
	return true
}
