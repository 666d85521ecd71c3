package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// choices are what resolve takes, as its usage and its errors name them.
var choices = []string{
	httpapi.ChooseOurs, httpapi.ChooseTheirs, httpapi.ChooseBoth, httpapi.ChooseEdit, httpapi.ChoosePlace, httpapi.ChooseCopy,
}

// conflictsAdvice is what to do about a conflict that is not there.
const conflictsAdvice = "list them with: caiatop conflicts list --all"

func (a *app) conflictsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "conflicts", Short: "list, show and settle what was changed on two sides", Args: args(0, 0),
		Long: "A document that was changed here and elsewhere, while neither side knew of the other, is kept in\n" +
			"both versions: one holds the place, the other is a copy, a document whose id ends in\n" +
			".conflict- and a mark, or was a delete. These commands show both and settle which one stays.",
	}
	list := a.conflictsList()
	cmd.RunE = list.RunE // without a word it lists
	cmd.Flags().AddFlagSet(list.Flags())
	cmd.AddCommand(list, a.conflictsShow(), a.conflictsResolve(), a.conflictsReopen())
	return cmd
}

func (a *app) conflictsList() *cobra.Command {
	all, offset, limit := false, 0, httpapi.DefaultConflicts
	cmd := &cobra.Command{
		Use: "list", Short: "list the conflicts that are open, the newest first", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			if offset < 0 {
				return usage(fmt.Sprintf("--offset %d is negative", offset), "give 0 or more")
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				list, err := session.Conflicts(ctx, all, offset, limit)
				if err != nil {
					return fault("the conflicts cannot be listed", err)
				}
				return a.printConflicts(list, all)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are settled")
	cmd.Flags().IntVar(&offset, "offset", 0, "leave out so many at the beginning")
	cmd.Flags().IntVar(&limit, "limit", limit, fmt.Sprintf("at most so many, 1 to %d", httpapi.MaxList))
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printConflicts(list httpapi.ConflictList, all bool) error {
	if a.json {
		return a.printJSON(a.Stdout, list)
	}
	if len(list.Conflicts) > 0 {
		head := []string{"DOCUMENT", "FOUND", "WHERE", "THE OTHER SIDE", "THEY ARE", "NAME"}
		if all {
			head = append(head, "SETTLED")
		}
		rows := [][]string{head}
		for _, c := range list.Conflicts {
			row := []string{orUnknown(c.ID), foundAt(c), orUnknown(c.Where), otherSide(c), orUnknown(c.Author), c.Name}
			if all {
				row = append(row, cmp.Or(c.How, "open"))
			}
			rows = append(rows, row)
		}
		if err := table(a.Stdout, rows); err != nil {
			return err
		}
	}
	if int64(len(list.Conflicts)) < list.Total {
		a.note("%s of %s; the rest with --offset and --limit", ui.Count(int64(len(list.Conflicts))), count(list.Total, "conflict"))
	} else {
		a.note("%s", count(len(list.Conflicts), "conflict"))
	}
	return nil
}

// foundAt says when a conflict was found.
func foundAt(c httpapi.Conflict) string {
	if c.At == nil {
		return ui.Unknown
	}
	return stamp(*c.At)
}

// otherSide says what became of the side that does not hold the place.
func otherSide(c httpapi.Conflict) string {
	switch {
	case c.Deleted != "":
		return c.Deleted + ": a delete"
	case c.Kept == "":
		return "a copy, whose is unknown"
	}
	return c.Kept + ": a copy"
}

func (a *app) conflictsShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME|ID", Short: "show what both sides made of a document", Args: args(1, 1), ValidArgsFunction: a.completeConflicts,
		Long: "Shows what both sides changed, from the version that they come from, if git has it. A conflict is\n" +
			"named by its name, or by the id of its document.",
		RunE: func(cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("the conflict %q cannot be shown", args[0])
			return a.withDispute(cmd, what, args[0], func(_ context.Context, _ Session, d httpapi.Dispute) error {
				if a.json {
					return a.printJSON(a.Stdout, d)
				}
				if err := table(a.Stdout, disputeRows(d)); err != nil {
					return err
				}
				return a.printSides(d)
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// withDispute runs work on a conflict as it is now.
func (a *app) withDispute(cmd *cobra.Command, what, name string, work func(context.Context, Session, httpapi.Dispute) error) error {
	if err := checkIDs(what, name); err != nil {
		return err
	}
	return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
		d, err := session.Conflict(ctx, name)
		if err != nil {
			return conflictFault(what, err)
		}
		return work(ctx, session, d)
	})
}

// conflictFault is fault with what to do about a conflict.
func conflictFault(what string, err error) error {
	fix := ""
	switch Code(err) {
	case ExitNoInput, ExitData:
		fix = conflictsAdvice
	case ExitTempFail:
		fix = "look at it again with: caiatop conflicts show"
	}
	return &Fault{What: what, Why: err, Fix: fix}
}

func disputeRows(d httpapi.Dispute) [][]string {
	rows := [][]string{{"conflict", d.Name}, {"document", orUnknown(d.ID)}, {"found", foundAt(d.Conflict)}, {"where", orUnknown(d.Where)}}
	ours, theirs := "holds the place", "holds the place"
	switch d.Kept {
	case "ours":
		ours = keptAs(d.Conflict)
	case "theirs":
		theirs = keptAs(d.Conflict)
	default:
		ours = "unknown: one side holds the place, the other is a copy"
		theirs = ours
	}
	if d.Moved {
		rows = append(rows, []string{"since then", "the version in its place was changed"})
	}
	if d.OpID != "" {
		ours += ", operation " + d.OpID
	}
	if d.Author != "" {
		theirs += ", by " + d.Author
	}
	if d.Commit != "" {
		theirs += ", commit " + abbreviated(d.Commit)
	}
	rows = append(rows, []string{"ours", ours}, []string{"theirs", theirs}, []string{"seen", d.Seen})
	if d.How != "" {
		settled := d.How
		if d.SettledAt != nil {
			settled += ", " + stamp(*d.SettledAt)
		}
		rows = append(rows, []string{"settled", settled})
	}
	return rows
}

func keptAs(c httpapi.Conflict) string {
	if c.Deleted != "" {
		return "a delete"
	}
	return "kept as " + c.Name
}

// sides returns both versions, nil for a delete, and what they are called.
func sides(d httpapi.Dispute) (ours, theirs *httpapi.Document, ourName, theirName string) {
	switch d.Kept {
	case "ours":
		return d.Other, d.Place, "ours", "theirs"
	case "theirs":
		return d.Place, d.Other, "ours", "theirs"
	}
	return d.Other, d.Place, "the copy", "the place"
}

// printSides shows what each side changed, or where the base is not known, what
// differs between them.
func (a *app) printSides(d httpapi.Dispute) error {
	ours, theirs, ourName, theirName := sides(d)
	type part struct {
		title   string
		was, is *httpapi.Document
	}
	parts := []part{{title: "from " + theirName + " to " + ourName, was: theirs, is: ours}}
	if d.BaseDocument != nil {
		parts = []part{{title: "what " + ourName + " changed", was: d.BaseDocument, is: ours}, {title: "what " + theirName + " changed", was: d.BaseDocument, is: theirs}}
	} else if err := emit(a.Stdout, "base      %s\n", safe(orUnknown(d.NoBase))); err != nil {
		return err
	}
	for _, p := range parts {
		lines, err := difference(p.was, p.is)
		if err != nil {
			return err
		}
		if p.is == nil {
			lines = append([]string{"it was deleted"}, lines...)
		}
		if err := emit(a.Stdout, "\n%s\n%s\n", safe(p.title), strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	if d.How == "" {
		a.note("choose with: caiatop conflicts resolve %s ours, or: theirs, both, edit", shellWord(d.Name))
	}
	return nil
}

// reopened is what reopen answers with --json.
type reopened struct {
	Name string `json:"name"`
	httpapi.Ack
}

func (a *app) conflictsReopen() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reopen NAME", Short: "take back how a conflict was settled", Args: args(1, 1), ValidArgsFunction: a.completeConflicts,
		Long: "Gives the document back what it was before the conflict was settled, and brings the copy back,\n" +
			"as new versions, unless the document was changed since.",
		RunE: func(cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("the conflict %q was not opened again", args[0])
			if err := checkIDs(what, args[0]); err != nil {
				return err
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				ack, err := session.Reopen(ctx, args[0])
				if err != nil {
					return conflictFault(what, err)
				}
				if a.json {
					return a.printJSON(a.Stdout, reopened{args[0], ack})
				}
				return emit(a.Stdout, "open again: %s: %s\n", safe(args[0]), safe(ack.Durability))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// completeConflicts offers the names of open conflicts, as the running engine
// knows them.
func (a *app) completeConflicts(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 1 && cmd.Name() == "resolve" {
		return choices, none
	}
	if len(args) > 0 {
		return nil, none
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completeTime)
	defer cancel()
	session, err := a.Running(ctx, flagsOf(cmd), a.caller(cmd))
	if err != nil {
		return nil, none
	}
	list, err := session.Conflicts(ctx, cmd.Name() == "reopen", 0, maxComplete)
	if closeErr := session.Close(ctx); err != nil || closeErr != nil {
		return nil, none
	}
	var names []string
	for _, c := range list.Conflicts {
		names = append(names, c.Name)
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, typed) }), none
}
