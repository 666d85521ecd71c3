package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// phaseWait is how long a change of the phase is waited for if nothing else is
// said.
const phaseWait = time.Minute

func (a *app) phaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "phase", Short: "say which stores are in use, or change that", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with the phase", "use it as: caiatop phase show, or: set PHASE")
		},
	}
	cmd.AddCommand(a.phaseShowCommand(), a.phaseSetCommand())
	return cmd
}

func (a *app) phaseShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "say which stores are in use, and which change is under way", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				phase, err := session.Phase(ctx)
				if err != nil {
					return fault("the phase cannot be read", err)
				}
				if a.json {
					return a.printJSON(a.Stdout, phase)
				}
				return table(a.Stdout, phaseRows(phase, a.Now()))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) phaseSetCommand() *cobra.Command {
	yes, wait := false, phaseWait
	cmd := &cobra.Command{
		Use: "set PHASE", Short: "change which stores are in use", Args: args(1, 1),
		Long: "Changes the phase: dual, primary, govc-only or git-only. Reads and writes go on. What is attached\n" +
			"is filled and compared before the change takes effect; one that would lose the only durable copy of a\n" +
			"document is refused. A change that is not through when the wait ends goes on, also after a start:\n" +
			"caiatop phase show says how far it is, and setting the phase in effect takes it back.\n\n" +
			"Without --yes it asks first. Exit code 75: refused, or not through yet.",
		ValidArgs: phaseNames(),
		RunE: func(cmd *cobra.Command, words []string) error {
			to, err := engine.ParsePhase(words[0])
			if err != nil {
				return usage(err.Error(), "use it as: caiatop phase set "+strings.Join(phaseNames(), "|"))
			}
			return a.with(cmd, a.Start, func(ctx context.Context, session Session) error {
				return a.setPhase(ctx, session, to, yes, wait)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().DurationVar(&wait, "wait", phaseWait, "how long to wait until the change is through")
	a.jsonFlag(cmd)
	return cmd
}

func phaseNames() []string {
	var names []string
	for _, p := range engine.Phases() {
		names = append(names, string(p))
	}
	return names
}

// setPhase asks, changes the phase, waits and says what came of it.
func (a *app) setPhase(ctx context.Context, session Session, to engine.Phase, yes bool, wait time.Duration) error {
	before, err := session.Phase(ctx)
	if err != nil {
		return fault("the phase cannot be read", err)
	}
	if !yes && before.Phase != string(to) {
		if err := a.askPhase(before, to); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := session.SetPhase(limited, string(to)); err != nil {
		return a.unchanged(ctx, limited, session, to, err)
	}
	after, err := session.Phase(ctx)
	if err != nil {
		return fault("the phase was changed, but cannot be read", err)
	}
	if a.json {
		return a.printJSON(a.Stdout, after)
	}
	return emit(a.Stdout, "%s: %s\n", safe(after.Phase), safe(after.About))
}

// unchanged says why a phase is not in effect.
func (a *app) unchanged(ctx, limited context.Context, session Session, to engine.Phase, err error) error {
	if limited.Err() == nil || ctx.Err() != nil {
		return fault("the phase was not changed", err)
	}
	why := errors.New("it is under way")
	if now, look := session.Phase(ctx); look == nil && now.Change != nil {
		why = errors.New(now.Change.Detail)
		if now.Phase == string(to) {
			return nil
		}
	}
	return &Fault{
		What: "the phase is not " + string(to) + " yet", Why: coded{why, context.DeadlineExceeded},
		Fix: "it goes on, in the console or after the next start: caiatop phase show; take it back with the phase that is in effect",
	}
}

// askPhase says what a change does, and asks for a yes.
func (a *app) askPhase(before httpapi.Phase, to engine.Phase) error {
	i := slices.IndexFunc(before.Others, func(p httpapi.PhasePlan) bool { return p.Phase == string(to) })
	if i < 0 {
		return nil
	}
	if !a.IsTerminal(a.Stderr) {
		return usage("phase set: it changes which stores are in use, and nobody can be asked here", "add --yes")
	}
	for _, line := range append([]string{fmt.Sprintf("The phase changes from %s to %s: %s.", before.Phase, to, before.Others[i].About)}, before.Others[i].Plan...) {
		if err := emit(a.Stderr, "%s\n", safe(line)); err != nil {
			return err
		}
	}
	if err := emit(a.Stderr, "Change it? [y/N] "); err != nil {
		return err
	}
	answer, err := bufio.NewReader(a.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fault("the answer cannot be read", err)
	}
	if said := strings.ToLower(strings.TrimSpace(answer)); said != "y" && said != "yes" {
		return &Fault{What: "the phase was not changed", Why: coded{errors.New("the answer was no"), context.Canceled}, Fix: "answer y, or add --yes"}
	}
	return nil
}

func phaseRows(p httpapi.Phase, now time.Time) [][]string {
	rows := [][]string{{"phase", p.Phase + ": " + p.About}, {"since", ago(p.Since, now) + " ago"}}
	if c := p.Change; c != nil {
		rows = append(rows,
			[]string{"changing to", fmt.Sprintf("%s, asked for by the %s %s ago", c.Wanted, c.Asked, ago(c.Begun, now))},
			[]string{"step", strings.TrimRight(c.Step+": "+c.Detail, ": ")})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Detached)) {
		rows = append(rows, []string{name, "detached at " + ui.Count(p.Detached[name])})
	}
	if p.Kept != nil {
		rows = append(rows, []string{"kept copies", keptLine(*p.Kept)})
	}
	return rows
}

// keptLine is the copies that are kept, in one line.
func keptLine(k httpapi.Kept) string {
	of := "of what the service does not deliver"
	if k.All {
		of = "of every document"
	}
	line := fmt.Sprintf("%s, %s of %s, %s", ui.Count(k.Documents), size(k.Bytes), size(k.Limit), of)
	if k.Error != "" {
		line += ": " + cause(k.Error)
	}
	return line
}

// changeLine is a change of the phase in one line, "" if there is none.
func changeLine(c *httpapi.PhaseChange) string {
	if c == nil {
		return ""
	}
	return ", being changed to " + c.Wanted + ": " + strings.TrimRight(c.Step+", "+c.Detail, ", ")
}

// Phase implements httpapi.Phases.
func (l Local) Phase(context.Context) (httpapi.Phase, error) {
	s := l.engine.Stats()
	out := httpapi.Phase{
		Phase: string(s.Phase), About: s.Phase.About(), Since: s.Change.Since, Change: toPhaseChange(s.Change), Kept: toKept(s.Kept),
	}
	for _, r := range s.Stores {
		if r.Detached && r.Cursor > 0 {
			if out.Detached == nil {
				out.Detached = map[string]int64{}
			}
			out.Detached[string(r.Name)] = r.Cursor
		}
	}
	for _, p := range engine.Phases() {
		if p != s.Phase {
			out.Others = append(out.Others, httpapi.PhasePlan{Phase: string(p), About: p.About(), Plan: s.Phase.Plan(p)})
		}
	}
	return out, nil
}

// SetPhase implements httpapi.Phases.
func (l Local) SetPhase(ctx context.Context, phase string) error {
	err := l.engine.SetPhase(ctx, engine.Phase(phase))
	if refused, ok := errors.AsType[*engine.PhaseError](err); ok {
		return httpapi.NewError(coded{err, httpapi.ErrConflict}, withoutKeys(refused.Next))
	}
	if errors.Is(err, engine.ErrPhaseBusy) {
		return httpapi.NewError(coded{err, httpapi.ErrConflict}, "look how far it is with: caiatop phase show")
	}
	return apiError(err)
}

func toPhaseChange(c engine.PhaseChange) *httpapi.PhaseChange {
	if c.Wanted == "" {
		return nil
	}
	return &httpapi.PhaseChange{Wanted: string(c.Wanted), Step: c.Step, Detail: c.Detail, Begun: c.Begun, Asked: c.Asked}
}

func toKept(k engine.KeptStats) *httpapi.Kept {
	if !k.Attached {
		return nil
	}
	return &httpapi.Kept{All: k.All, Documents: k.Documents, Bytes: k.Bytes, Limit: k.Limit, Error: k.Err}
}
