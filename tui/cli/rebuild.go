package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

func (a *app) rebuildCommand() *cobra.Command {
	var o engine.RebuildOptions
	cmd := &cobra.Command{
		Use: "rebuild", Short: "make a lost or damaged state file anew from git and the service", Args: args(0, 0),
		Long: "Makes state.db anew: the index from git, what is newer there from the service, and what only the\n" +
			"old outbox knew from what of it can still be read. The old file is never deleted: it is kept in the\n" +
			"state folder as state.db.aside-TIME. It says what nobody can know any more. Interrupted, it is\n" +
			"finished by running it again; nothing else starts in the folder before.\n\n" +
			"It needs the folder for itself: end the console or serve first. A state file that is whole is left\n" +
			"alone. A service that nothing names as ours is taken over with --adopt only.\n\n" +
			"Exit code 1: the state file was made, and the service could not be compared yet.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := a.Rebuild(cmd.Context(), flagsOf(cmd), o)
			if errors.Is(err, engine.ErrNothingToRebuild) {
				a.note("the state file is whole: nothing was done; to rebuild it all the same: caiatop rebuild --force")
				return nil
			}
			if err != nil {
				return err
			}
			return a.reportRebuild(report)
		},
	}
	cmd.Flags().BoolVar(&o.Force, "force", false, "also if the state file is whole")
	cmd.Flags().BoolVar(&o.Adopt, "adopt", false, "take the service's documents over also if nothing says that it is ours")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) reportRebuild(r engine.Rebuilt) error {
	var err error
	if a.json {
		err = a.printJSON(a.Stdout, r)
	} else {
		err = a.writeRebuild(r)
	}
	if err == nil && r.State != engine.StatePrimary && r.State != engine.StateNone {
		err = ExitCode(ExitDegraded)
	}
	return err
}

func (a *app) writeRebuild(r engine.Rebuilt) error {
	aside := r.Aside
	if aside == "" {
		aside = "there was none"
	}
	outbox := ui.Count(int64(r.Read)) + " read"
	if r.Again > 0 {
		outbox += ", " + ui.Count(int64(r.Again)) + " written again"
	}
	if r.Conflicts > 0 {
		outbox += ", " + count(r.Conflicts, "conflict")
	}
	rows := [][]string{
		{"why", r.Why},
		{"old file", aside},
		{"old outbox", outbox},
		{"documents", ui.Count(r.Documents)},
		{"service", string(r.State) + ": " + ui.Gist(r.Reason)},
	}
	for _, what := range r.Unknown {
		rows = append(rows, []string{"not known", what})
	}
	return table(a.Stdout, rows)
}

// rebuild makes the state file anew while nobody else uses the folder.
func (w wiring) rebuild(ctx context.Context, flags Flags, o engine.RebuildOptions) (engine.Rebuilt, error) {
	cfg, err := w.load(flags)
	if err != nil {
		return engine.Rebuilt{}, err
	}
	setup, err := w.setup(cfg, false)
	if err != nil {
		return engine.Rebuilt{}, err
	}
	host, report, err := engine.Rebuild(ctx, setup, o)
	switch held, isHeld := errors.AsType[*durable.LockedError](err); {
	case ctx.Err() != nil && err != nil:
		return report, &Fault{What: "the rebuild was interrupted", Why: ctx.Err(), Fix: "finish it with: caiatop rebuild"}
	case isHeld:
		return report, &Fault{What: "the state file was not rebuilt", Why: coded{held, errHeld}, Fix: "end the engine that uses the folder, then run: caiatop rebuild"}
	case errors.Is(err, engine.ErrNothingToRebuild):
		return report, err
	case errors.Is(err, engine.ErrAsideFull):
		return report, &Fault{What: "the state file was not rebuilt", Why: coded{err, httpapi.ErrUnavailable}, Fix: "move the folders state.db.aside-* elsewhere"}
	case err != nil:
		return report, startFault(setup.Dir, err)
	}
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return report, fault("the engine did not end well", host.Close(drained))
}
