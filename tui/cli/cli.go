package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	Control() httpapi.Control
	Close(ctx context.Context) error
}

// Deps is what commands are given. All fields but Now are required.
type Deps struct {
	// Open returns the running engine, or takes the lock and opens one here.
	Open func(ctx context.Context, flags Flags) (Session, error)
	// Running returns the running engine only, else ErrNoneRuns.
	Running func(ctx context.Context, flags Flags) (Session, error)
	// Start is Open with the whole engine, the embedded service included, once
	// it knows how its service is.
	Start func(ctx context.Context, flags Flags) (Session, error)
	// Console runs the console until it ends. It is called with a terminal on
	// Stdout; without one a status report from Start takes its place.
	Console func(ctx context.Context, flags Flags) error
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
	{"phase", "the stores in use: dual, primary or git-only"},
	{"layout", "where new documents are placed: fanout or library"},
	{"state-dir", "the `folder` for the state"},
	{"embedded-port", "the loopback `port` of the embedded service; 0 takes a free one"},
}

// app is what the commands of one invocation share.
type app struct {
	Deps
	json bool
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
	if _, silent := errors.AsType[ExitCode](err); !silent {
		a.tell(err, Code(err))
	}
	return Code(err)
}

func newRoot(a *app) *cobra.Command {
	if a.Now == nil {
		a.Now = time.Now
	}
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
			return a.Console(cmd.Context(), flagsOf(cmd))
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
		a.statusCommand(), a.putCommand(), a.getCommand(), a.listCommand(), a.searchCommand(), a.removeCommand(),
		a.importCommand(), a.recoverCommand(), a.fallbackCommand(), a.versionCommand(),
	)
	return root
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
		what := "an argument is missing"
		if len(args) >= least {
			what = fmt.Sprintf("%q is one argument too many", args[most])
		}
		return usage(cmd.Name()+": "+what, "use it as: "+cmd.UseLine())
	}
}

// with runs work on a session and closes it.
func (a *app) with(cmd *cobra.Command, open func(context.Context, Flags) (Session, error), work func(context.Context, Session) error) (err error) {
	ctx := cmd.Context()
	session, err := open(ctx, flagsOf(cmd))
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
