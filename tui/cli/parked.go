package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

func (a *app) parkedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "parked", Short: "list, retry and drop what a store did not take", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with what is set aside", "use it as: caiatop parked list, or: retry [ID...], drop ID")
		},
	}
	cmd.AddCommand(a.parkedListCommand(), a.parkedRetryCommand(), a.parkedDropCommand())
	return cmd
}

func (a *app) parkedListCommand() *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use: "list", Short: "what is set aside, why, and where it is", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > httpapi.MaxParked {
				return usage(fmt.Sprintf("--limit %d is out of range", limit), fmt.Sprintf("give a number from 1 to %d", httpapi.MaxParked))
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				list, err := session.Parked(ctx, limit)
				if err != nil {
					return fault("what is set aside cannot be listed", err)
				}
				if a.json {
					return a.printJSON(a.Stdout, list)
				}
				return a.writeParked(list)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "show at most this `number`")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) writeParked(list httpapi.ParkedList) error {
	if len(list.Parked) == 0 {
		return emit(a.Stdout, "nothing is set aside\n")
	}
	rows := [][]string{{"ID", "STORE", "REASON", "SINCE", "SAFE IN", "DETAIL"}}
	for _, p := range list.Parked {
		places := strings.Join(p.Elsewhere, "+")
		switch {
		case p.Delete:
			places = "(a delete)"
		case places == "":
			places = "NOWHERE"
		}
		rows = append(rows, []string{p.ID, p.Store, p.Reason, ago(p.At, a.Now()), places, ui.Gist(p.Detail)})
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	if more := list.Total - int64(len(list.Parked)); more > 0 {
		a.note("%s more; see them with --limit", ui.Count(more))
	}
	return nil
}

func (a *app) parkedRetryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry [ID...]", Short: "try again now, also what was dropped; all without ID", Args: args(0, -1),
		Long: "Writes documents again to the store that did not take them, and says how many it took. What was\n" +
			"dropped is tried again if it is named. Exit code 1: a store still does not take one of them.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if len(ids) > httpapi.MaxBatch {
				return usage(fmt.Sprintf("%d ids are too many", len(ids)), fmt.Sprintf("give at most %d, or none for all", httpapi.MaxBatch))
			}
			return a.with(cmd, a.Start, func(ctx context.Context, session Session) error {
				result, err := session.RetryParked(ctx, ids)
				if err != nil {
					return fault("it was not tried again", err)
				}
				if a.json {
					err = a.printJSON(a.Stdout, result)
				} else {
					err = emit(a.Stdout, "%s set aside no more, %s left\n", count(int64(result.Done), "document"), ui.Count(result.Left))
				}
				if err != nil || (result.Left == 0 || (len(ids) > 0 && result.Done >= len(ids))) {
					return err
				}
				return ExitCode(ExitDegraded)
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// droppedReply is what drop answers with --json.
type droppedReply struct {
	Dropped string `json:"dropped"`
	Lost    bool   `json:"lost"`
}

func (a *app) parkedDropCommand() *cobra.Command {
	yes, lose := false, false
	cmd := &cobra.Command{
		Use: "drop ID", Short: "give up what a store did not take", Args: args(1, 1), ValidArgsFunction: a.completeIDs,
		Long: "The store stays without the document, which is counted as set aside no more; nothing is deleted\n" +
			"elsewhere, and retry takes it back. Without a terminal it needs --yes. What no durable place holds\n" +
			"is given up only with --lose: the document is then deleted, because nobody can deliver it.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if lose && !yes {
				return usage("--lose gives up the last trace of a document", "say --yes as well if it is to be done")
			}
			what := fmt.Sprintf("%q was not given up", ids[0])
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				if !yes {
					agreed, err := a.ask(ctx, fmt.Sprintf("give up %s at the store that did not take it?", ids[0]))
					if err != nil {
						return err
					}
					if !agreed {
						a.note("%s", what)
						return ExitCode(ExitInterrupted)
					}
				}
				if err := session.DropParked(ctx, ids[0], lose); err != nil {
					return fault(what, err)
				}
				if a.json {
					return a.printJSON(a.Stdout, droppedReply{Dropped: ids[0], Lost: lose})
				}
				return emit(a.Stdout, "given up: %s\n", safe(ids[0]))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	cmd.Flags().BoolVar(&lose, "lose", false, "also if no durable place holds it")
	a.jsonFlag(cmd)
	return cmd
}
