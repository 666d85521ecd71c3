package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// closeGrace bounds how long a command waits for its session to end.
const closeGrace = 30 * time.Second

// Flags are the settings that the user gave on the command line, by name
// without dashes. A setting that was not given is absent.
type Flags map[string]string

// Session is an engine to work with. Closing it leaves a running engine
// running, and ends one that was opened here.
type Session interface {
	httpapi.Documents
	httpapi.Versions
	httpapi.Conditional
	httpapi.Facts
	httpapi.Services
	httpapi.Backups
	httpapi.Phases
	httpapi.Conflicts
	httpapi.Drills
	httpapi.Verifications
	httpapi.Parkings
	Control() httpapi.Control
	Close(ctx context.Context) error
}

// Caller is who asks for an engine, as others are told it who meet it at the
// control socket.
type Caller struct {
	Command string // its name
	// Job says how far its work is, nil for work that is short.
	Job func() *httpapi.Progress
	// Waiting is told, a few times a second, whose end a console or a service
	// waits for, and what that is busy with; nil is told nothing.
	Waiting func(httpapi.Holder, *httpapi.Progress)
}

// Opener returns an engine to work with.
type Opener func(ctx context.Context, flags Flags, caller Caller) (Session, error)

// Ready describes a service that answers.
type Ready struct {
	PID      int    `json:"pid"`
	Address  string `json:"address,omitempty"` // of HTTP, "" if that is off
	StateDir string `json:"state_dir"`
}

// Deps is what commands are given. All fields but Now are required.
type Deps struct {
	// Open returns the running engine, or takes the lock and opens one here.
	Open Opener
	// Running returns the running engine only, else ErrNoneRuns.
	Running Opener
	// Start is Open with the whole engine, the embedded service included, once
	// it knows how its service is.
	Start Opener
	// Console runs the console until it ends. It is called with a terminal on
	// Stdout; without one a status report from Start takes its place.
	Console func(ctx context.Context, flags Flags, caller Caller) error
	// Serve runs the engine without a screen until ctx ends, and calls ready
	// once it answers.
	Serve func(ctx context.Context, flags Flags, caller Caller, ready func(Ready) error) error
	// Rebuild makes the state file anew. The error wraps
	// engine.ErrNothingToRebuild if it is whole.
	Rebuild func(ctx context.Context, flags Flags, o engine.RebuildOptions) (engine.Rebuilt, error)
	// Settings returns what the configuration comes to, or all that is wrong
	// with it.
	Settings func(flags Flags) (config.Config, []*config.Error)
	// Bench measures the stores.
	Bench func(ctx context.Context, progress func(bench.Progress)) (bench.Report, error)
	// Edit lets the user change a file and returns when he is done. The error
	// is ErrNoEditor if there is nothing to do it with.
	Edit    func(ctx context.Context, file string) error
	Version string

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	IsTerminal     func(io.Writer) bool
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// setting is a flag that every command takes and that the configuration knows.
type setting struct{ name, help string }

var settings = []setting{
	{"config", "the configuration `file`"},
	{"govc-url", "the `URL` of the govc service; none starts the embedded one"},
	{"repo", "the `name` of the repository at the service"},
	{"timeout", "the time one request to the service may take, a `duration` like 30s"},
	{"phase", "the stores in use: dual, primary, govc-only or git-only"},
	{"layout", "where new documents are placed: fanout or library"},
	{"state-dir", "the `folder` for the state"},
	{"embedded-port", "the loopback `port` of the embedded service; 0 takes a free one"},
	{"gitrepo-cache", "the `size` of the git repository's cache in memory, like 64MiB"},
	{"http-addr", "where the console and serve answer over HTTP, `host:port`; port 0 takes a free one"},
	{"log-level", "the least that is logged, a `level`: debug, info, warn or error"},
}

// app is what the commands of one invocation share.
type app struct {
	Deps
	json bool
	// job is what the command is busy with, for those who meet it.
	job  atomic.Pointer[httpapi.Progress]
	wait waitLine
}

// New returns the command tree.
func New(deps Deps) *cobra.Command { return newRoot(&app{Deps: deps}) }

// Run runs the command line args, tells its error on stderr and returns the
// exit code. It returns when the command has ended, soon after ctx does.
func Run(ctx context.Context, deps Deps, args []string) int {
	a := &app{Deps: deps}
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	err = interrupted(ctx, err)
	// Nobody reads any more: there is nothing to tell him.
	if _, silent := errors.AsType[ExitCode](err); !silent && !readerLeft(err) {
		a.tell(err, Code(err))
	}
	return Code(err)
}

func newRoot(a *app) *cobra.Command {
	if a.Now == nil {
		a.Now = time.Now
	}
	a.wait.app = a
	root := &cobra.Command{
		Use: "caiatop",
		// The same words as those of the command.
		Version: a.build(),
		Short:   "the operations console of a document store",
		Long: "caiatop runs the storage engine of a document store and shows it live. Without a\n" +
			"command it opens the console; without a terminal it writes one status report.\n\n" + exitHelp,
		SilenceErrors: true, SilenceUsage: true, SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			fix := "list the commands with: caiatop --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				fix = "did you mean: caiatop " + strings.Join(near, ", caiatop ")
			}
			return usage(fmt.Sprintf("there is no command %q", args[0]), fix)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.IsTerminal(a.Stdout) {
				return a.with(cmd, a.Start, a.status)
			}
			defer a.wait.end()
			return a.Console(cmd.Context(), flagsOf(cmd), a.caller(cmd))
		},
	}
	root.SetVersionTemplate("caiatop {{.Version}}\n")
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), "see: "+cmd.CommandPath()+" --help")
	})
	for _, s := range settings {
		root.PersistentFlags().String(s.name, "", s.help)
	}
	root.AddCommand(
		a.serveCommand(), a.serverCommand(), a.statusCommand(), a.healthCommand(), a.doctorCommand(),
		a.putCommand(), a.getCommand(), a.editCommand(), a.listCommand(), a.searchCommand(), a.removeCommand(),
		a.historyCommand(), a.restoreCommand(), a.undoCommand(), a.conflictsCommand(),
		a.importCommand(), a.exportCommand(),
		a.phaseCommand(), a.backupCommand(), a.verifyCommand(), a.rebuildCommand(), a.parkedCommand(), a.recoverCommand(), a.fallbackCommand(), a.drillCommand(), a.eventsCommand(), a.metricsCommand(), a.benchCommand(),
		a.configCommand(), a.versionCommand(),
	)
	strict(root)
	return root
}

// strict makes the commands that the library brings refuse what they do not
// know, as all others do.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			show := cmd.Run
			cmd.Run = nil
			cmd.RunE = func(cmd *cobra.Command, words []string) error {
				if found, rest, err := root.Find(words); err != nil || found == nil || len(rest) > 0 {
					return usage(fmt.Sprintf("there is no command %q", strings.Join(words, " ")), "list the commands with: caiatop --help")
				}
				show(cmd, words)
				return nil
			}
		case "completion":
			cmd.Args = args(0, 0)
			cmd.RunE = func(*cobra.Command, []string) error {
				return usage("say for which shell", "use it as: caiatop completion bash, or: fish, powershell, zsh")
			}
			for _, shell := range cmd.Commands() {
				shell.Args = args(0, 0)
			}
		}
	}
}

// caller describes cmd to those who meet it.
func (a *app) caller(cmd *cobra.Command) Caller {
	return Caller{Command: cmd.Name(), Job: a.job.Load, Waiting: a.wait.show}
}

// flagsOf collects the settings that were given.
func flagsOf(cmd *cobra.Command) Flags {
	flags := Flags{}
	for _, s := range settings {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == s.name && f.Changed {
				flags[f.Name] = f.Value.String()
			}
		})
	}
	return flags
}

// jsonFlag gives cmd the flag --json.
func (a *app) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "write JSON for programs; a reader ignores fields it does not know")
}

// args makes the wrong number of arguments a fault of usage.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		what, fix := "an argument is missing", "use it as: "+cmd.UseLine()
		if len(args) >= least {
			what = fmt.Sprintf("%q is one argument too many", args[most])
		}
		if cmd.HasAvailableSubCommands() && len(args) > 0 {
			what, fix = fmt.Sprintf("there is no command %q", args[0]), "see: "+cmd.CommandPath()+" --help"
		}
		return usage(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")+": "+what, fix)
	}
}

// with runs work on a session and closes it.
func (a *app) with(cmd *cobra.Command, open Opener, work func(context.Context, Session) error) (err error) {
	ctx := cmd.Context()
	session, err := open(ctx, flagsOf(cmd), a.caller(cmd))
	if _, told := errors.AsType[*Fault](err); told {
		return err
	}
	if err != nil {
		return fault("the engine cannot be used", err)
	}
	defer func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		if closeErr := session.Close(grace); closeErr != nil {
			err = errors.Join(err, fault("the engine did not end well", closeErr))
		}
	}()
	return work(ctx, session)
}
