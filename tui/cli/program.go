package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// Times of the wiring.
const (
	// lockPatience is how long a command waits for the engine that holds the
	// state folder to answer at its socket.
	lockPatience = 10 * time.Second
	lockRetry    = 100 * time.Millisecond
	// settleTime is how long a report without a terminal waits for the service.
	settleTime = 15 * time.Second
	// drainTime bounds the end of an engine; what git does not hold by then is
	// carried on from the outbox by the next start.
	drainTime = 20 * time.Second
)

// Author is named in the commits that the engine makes.
var Author = store.Author{Name: "caiatop", Email: "caiatop@localhost"}

// Program wires the commands to the real engine, the process's terminal and
// its environment. A reader of its output who leaves makes writing fail, and no
// longer ends the process without a word to those who use its engine.
func Program(version string, console func(ctx context.Context, host *engine.Host, cfg config.Config) error) Deps {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	w := wiring{version: version, console: console, env: os.LookupEnv}
	return Deps{
		Open: w.open, Running: w.running, Start: w.start, Console: w.runConsole, Serve: w.runServe, Rebuild: w.rebuild,
		Settings: w.settings, Edit: w.edit, Version: version,
		Bench: func(ctx context.Context, progress func(bench.Progress)) (bench.Report, error) {
			return bench.Run(ctx, bench.Options{}, progress)
		},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, IsTerminal: isTerminal,
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

type wiring struct {
	version string
	console func(context.Context, *engine.Host, config.Config) error
	env     config.Env
}

func (w wiring) load(flags Flags) (config.Config, error) {
	cfg, err := config.Load(config.Input{Flags: flags, Env: w.env})
	if err != nil {
		return config.Config{}, configFault(err)
	}
	return cfg, nil
}

// settings loads the configuration and returns all that is wrong with it.
func (w wiring) settings(flags Flags) (config.Config, []*config.Error) {
	in := config.Input{Flags: flags, Env: w.env}
	if mistakes := config.Check(in); len(mistakes) > 0 {
		return config.Config{}, mistakes
	}
	cfg, err := config.Load(in)
	if err == nil {
		_, err = w.backupTarget(cfg)
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		return config.Config{}, []*config.Error{e}
	}
	return cfg, nil
}

// configFault tells what is wrong with the configuration in one line: where it
// was set, which setting, what is wrong and what to do.
func configFault(err error) error {
	f := &Fault{What: err.Error(), Why: known{coded{err, ErrConfig}}}
	var e *config.Error
	if !errors.As(err, &e) {
		return f
	}
	where := e.Origin
	if e.Key != "" {
		where += ": " + e.Key
	}
	f.What, f.Fix = where+": "+e.Problem, e.Fix
	return f
}

// setup turns the configuration into what the engine is built from. Detached
// engines leave the embedded service away.
func (w wiring) setup(cfg config.Config, detached bool) (engine.Setup, error) {
	layout, err := document.ParseLayout(string(cfg.Layout))
	if err != nil {
		return engine.Setup{}, err
	}
	to, err := w.backupTarget(cfg)
	if err != nil {
		return engine.Setup{}, configFault(err)
	}
	client := clientOptions(cfg)
	s := engine.Setup{
		Backup: to, BackupInterval: cfg.Backup.Interval,
		Dir: cfg.StatePath(), URL: cfg.Govc.URL, Repository: cfg.Govc.Repo,
		Token: string(client.Token), APIKey: string(client.APIKey), Login: client.Login, TLS: client.TLS,
		KeptBytes: cfg.Engine.KeptBytes, Layout: layout, Detached: detached,
		Port: cfg.Embedded.Port, Memory: cfg.Embedded.Memory, Version: w.version, Author: Author, LogLevel: cfg.Log.Level,
		GitCache: cfg.Gitrepo.Cache,
	}
	if cfg.PhaseSet { // a default does not win over what was set since
		s.Phase = engine.Phase(cfg.Phase)
	}
	if cfg.Govc.TimeoutSet {
		s.Budget = cfg.Govc.Timeout
	}
	return s, nil
}

// running connects to the engine that runs on the state folder.
func (w wiring) running(ctx context.Context, flags Flags, _ Caller) (Session, error) {
	cfg, err := w.load(flags)
	if err != nil {
		return nil, err
	}
	open := func(ctx context.Context) (Session, error) { return reach(ctx, cfg.StatePath()) }
	session, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &following{current: session, open: open, patience: lockPatience}, nil
}

// reach connects to the engine that serves the state folder dir.
func reach(ctx context.Context, dir string) (Session, error) {
	client, err := httpapi.New(ctx, dir)
	if errors.Is(err, ErrNoneRuns) {
		return nil, &Fault{What: "no engine runs on " + dir, Why: known{err}}
	}
	if err != nil {
		return nil, err
	}
	return remote{client}, nil
}

// open connects to the running engine, or opens one that stops at state file
// and git where the service is the embedded one.
func (w wiring) open(ctx context.Context, flags Flags, caller Caller) (Session, error) {
	return w.session(ctx, flags, caller, true)
}

// start is open with the embedded service, once it is known how the service
// is.
func (w wiring) start(ctx context.Context, flags Flags, caller Caller) (Session, error) {
	return w.session(ctx, flags, caller, false)
}

// session is an engine to work with: the running one, and when that goes away
// the next one, or one opened here.
func (w wiring) session(ctx context.Context, flags Flags, caller Caller, detached bool) (Session, error) {
	open := func(ctx context.Context) (Session, error) { return w.acquire(ctx, flags, caller, detached) }
	session, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &following{current: session, open: open, patience: lockPatience}, nil
}

// acquire takes the lock and opens an engine, or connects to that of whoever
// holds it.
func (w wiring) acquire(ctx context.Context, flags Flags, caller Caller, detached bool) (Session, error) {
	cfg, err := w.load(flags)
	if err != nil {
		return nil, err
	}
	setup, err := w.setup(cfg, detached)
	if err != nil {
		return nil, err
	}
	var host *engine.Host
	var client *httpapi.Client
	err = patiently(ctx, lockPatience, func() (err error) {
		host, err = engine.Start(ctx, setup)
		if _, held := errors.AsType[*durable.LockedError](err); !held {
			return err
		}
		var clientErr error
		if client, clientErr = httpapi.New(ctx, setup.Dir); clientErr == nil {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, unstarted(ctx, setup.Dir, err)
	case client != nil:
		return remote{client}, nil
	}
	own, err := serve(host, setup.Dir, httpapi.HolderCommand, caller)
	if err != nil {
		return nil, err
	}
	if !detached || host.Stats().Phase == engine.PhaseGovcOnly { // which has the service in any case
		own.settle(ctx)
	}
	return own, nil
}

// patiently tries until the lock is not what stands in the way, for at most
// patience, and returns what the last try did.
func patiently(ctx context.Context, patience time.Duration, try func() error) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		err := try()
		if _, held := errors.AsType[*durable.LockedError](err); !held {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-deadline.C:
			return err
		case <-time.After(lockRetry):
		}
	}
}

// unstarted says why there is no engine.
func unstarted(ctx context.Context, dir string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if held, isHeld := errors.AsType[*durable.LockedError](err); isHeld {
		return heldFault(dir, httpapi.Holder{PID: held.PID}, held)
	}
	return startFault(dir, err)
}
