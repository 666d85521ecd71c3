package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/compare"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	defaultRevisions = 20
	// diffContext is how many lines are shown around a change.
	diffContext = 3
	// shortCommit is how many letters of a commit are shown, and leastCommit
	// how many must be given.
	shortCommit = 12
	leastCommit = 4
	fullCommit  = 40
)

// revision is one line of a history with --json.
type revision struct {
	httpapi.Revision
	Diff *string `json:"diff,omitempty"`
}

type revisions struct {
	ID        string     `json:"id"`
	Revisions []revision `json:"revisions"`
}

func (a *app) historyCommand() *cobra.Command {
	limit, diff := defaultRevisions, false
	cmd := &cobra.Command{
		Use:   "history ID",
		Short: "list the versions of a document in git, newest first",
		Long: "Lists the versions of a document, of one that was deleted as well. A version is read\n" +
			"with: caiatop get ID --at COMMIT, and brought back with: caiatop restore ID COMMIT.",
		Args: args(1, 1), ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("the history of %q cannot be read", args[0])
			if err := checkIDs(what, args[0]); err != nil {
				return err
			}
			if limit < 1 || limit > httpapi.MaxHistory {
				return usage(fmt.Sprintf("--limit %d is out of range", limit), "give 1 to "+ui.Count(httpapi.MaxHistory))
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				// One more, to compare the last one with.
				found, err := session.History(ctx, args[0], min(limit+1, httpapi.MaxHistory))
				if err != nil {
					return revisionFault(what, args[0], err)
				}
				return a.printHistory(ctx, session, args[0], found, limit, diff)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "at most so many, 1 to "+ui.Count(httpapi.MaxHistory))
	cmd.Flags().BoolVar(&diff, "diff", false, "show what each version changed")
	a.jsonFlag(cmd)
	return cmd
}

func revisionFault(what, id string, err error) error {
	if errors.Is(err, httpapi.ErrNotFound) {
		return absent(what, id, err)
	}
	return fault(what, err)
}

func (a *app) printHistory(ctx context.Context, session Session, id string, found []httpapi.Revision, limit int, diff bool) error {
	out := revisions{ID: id, Revisions: []revision{}}
	rows := [][]string{{"COMMIT", "AT", "AUTHOR", "WHAT"}}
	var after *httpapi.Document
	for i, r := range found[:min(limit, len(found))] {
		rows = append(rows, []string{r.Commit[:min(shortCommit, len(r.Commit))], stamp(r.At), r.Author, summary(r)})
		entry := revision{Revision: r}
		if diff {
			var err error
			if i == 0 {
				if after, err = version(ctx, session, id, found[0]); err != nil {
					return err
				}
			}
			var before *httpapi.Document
			if i+1 < len(found) {
				if before, err = version(ctx, session, id, found[i+1]); err != nil {
					return err
				}
			}
			lines, err := difference(before, after)
			if err != nil {
				return err
			}
			text := strings.Join(lines, "\n")
			entry.Diff, after = &text, before
		}
		out.Revisions = append(out.Revisions, entry)
	}
	switch {
	case a.json:
		return a.printJSON(a.Stdout, out)
	case !diff:
		if err := table(a.Stdout, rows); err != nil {
			return err
		}
	default:
		for i, r := range out.Revisions {
			if err := emit(a.Stdout, "%s\n%s\n\n", safe(strings.Join(rows[i+1], "  ")), *r.Diff); err != nil {
				return err
			}
		}
	}
	if len(found) > limit {
		a.note("the newest %s; more with --limit", count(limit, "version"))
	}
	return nil
}

func summary(r httpapi.Revision) string {
	first, _, _ := strings.Cut(r.Message, "\n")
	if r.Deleted {
		first = "deleted: " + first
	}
	return first
}

// version reads a document as a revision holds it, nil if it was deleted there.
func version(ctx context.Context, session Session, id string, r httpapi.Revision) (*httpapi.Document, error) {
	if r.Deleted {
		return nil, nil
	}
	doc, err := session.GetAt(ctx, id, r.Commit)
	if err != nil {
		return nil, fault(fmt.Sprintf("%q cannot be read as of %.*s", id, shortCommit, r.Commit), err)
	}
	return &doc, nil
}

// difference shows what changed, as safe lines; nil is an absent document.
func difference(before, after *httpapi.Document) ([]string, error) {
	was, err := fromPointer(before)
	if err != nil {
		return nil, err
	}
	is, err := fromPointer(after)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, line := range compare.Documents(was, is, diffContext) {
		lines = append(lines, line.Text.String())
	}
	if len(lines) == 0 {
		lines = []string{"nothing but the time"}
	}
	return lines, nil
}

func fromPointer(doc *httpapi.Document) (*document.Document, error) {
	if doc == nil {
		return nil, nil
	}
	converted, err := fromAPI(*doc)
	if err != nil {
		return nil, fault(fmt.Sprintf("%q cannot be compared", doc.ID), err)
	}
	return &converted, nil
}

// commitOf finds the commit of a document's history that begins with prefix.
func commitOf(ctx context.Context, session Session, what, id, prefix string) (string, error) {
	prefix = strings.ToLower(prefix)
	if len(prefix) < leastCommit || len(prefix) > fullCommit || strings.Trim(prefix, "0123456789abcdef") != "" {
		return "", usage(fmt.Sprintf("%q is no commit", prefix),
			fmt.Sprintf("give %d to %d letters of one that this lists: caiatop history %s", leastCommit, fullCommit, shellWord(id)))
	}
	if len(prefix) == fullCommit {
		return prefix, nil
	}
	found, err := session.History(ctx, id, httpapi.MaxHistory)
	if err != nil {
		return "", revisionFault(what, id, err)
	}
	match := ""
	for _, r := range found {
		switch {
		case !strings.HasPrefix(r.Commit, prefix):
		case match != "":
			return "", usage(fmt.Sprintf("%q begins more than one commit", prefix), "give more letters")
		default:
			match = r.Commit
		}
	}
	if match == "" {
		return "", &Fault{
			What: what, Why: coded{fmt.Errorf("no version of %q has a commit that begins with %s", id, prefix), httpapi.ErrNotFound},
			Fix: "list them with: caiatop history " + shellWord(id),
		}
	}
	return match, nil
}

// readAt reads a document as of the commit of its history that begins with
// prefix.
func readAt(ctx context.Context, session Session, what, id, prefix string) (doc httpapi.Document, commit string, err error) {
	if commit, err = commitOf(ctx, session, what, id, prefix); err != nil {
		return doc, "", err
	}
	doc, err = session.GetAt(ctx, id, commit)
	if errors.Is(err, httpapi.ErrNotFound) {
		return doc, commit, &Fault{
			What: what, Why: coded{fmt.Errorf("the commit %.*s does not hold %q", shortCommit, commit, id), err},
			Fix: "list its versions with: caiatop history " + shellWord(id),
		}
	}
	return doc, commit, fault(what, err)
}

func (a *app) restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore ID COMMIT",
		Short: "bring an earlier version of a document back, as its newest",
		Long: "Writes the version that COMMIT holds as a new version; nothing of the history is lost.\n" +
			"If somebody changes the document at the same moment nothing is written.",
		Args: args(2, 2), ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, what := args[0], fmt.Sprintf("%q was not restored", args[0])
			if err := checkIDs(what, id); err != nil {
				return err
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				base := ""
				now, err := session.Get(ctx, id)
				switch {
				case err == nil:
					base = now.Hash
				case !errors.Is(err, httpapi.ErrNotFound):
					return fault(what, err)
				}
				doc, commit, err := readAt(ctx, session, what, id, args[1])
				if err != nil {
					return err
				}
				ack, err := session.Restore(ctx, id, commit, base)
				if err != nil {
					return fault(what, err)
				}
				reply := stored{doc.ID, doc.Type, len(doc.Text) + len(doc.Raw), ack}
				return a.acknowledged(ack, reply, "restored %s as of %s: %s\n", safe(id), stamp(doc.UpdatedAt), safe(ack.Durability))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// undone is what undo answers with --json.
type undone struct {
	ID     string `json:"id"`
	Did    string `json:"did"` // "restored" or "deleted"
	Commit string `json:"of_commit,omitempty"`
	httpapi.Ack
}

func (a *app) undoCommand() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "undo ID",
		Short: "take back the newest change of a document",
		Long: "Shows what would change and asks; without a terminal it needs --yes. The document goes back\n" +
			"to the version before, as a new one; one that was new is deleted, one that was deleted comes\n" +
			"back. If somebody changes it meanwhile nothing is done.",
		Args: args(1, 1), ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			what := fmt.Sprintf("nothing was undone at %q", args[0])
			if err := checkIDs(what, args[0]); err != nil {
				return err
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				change, err := session.Undo(ctx, args[0])
				if err != nil {
					return revisionFault(what, args[0], err)
				}
				return a.undo(ctx, session, what, change, yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) undo(ctx context.Context, session Session, what string, change httpapi.Change, yes bool) error {
	if change.Now == nil && change.Before == nil {
		return &Fault{What: what, Why: coded{errors.New("there is no version before"), httpapi.ErrNotFound}, Fix: "list its versions with: caiatop history " + shellWord(change.ID)}
	}
	if !a.json {
		lines, err := difference(change.Now, change.Before)
		if err != nil {
			return err
		}
		if err := emit(a.Stdout, "%s\n", strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	if !yes {
		agreed, err := a.ask(ctx, fmt.Sprintf("undo the change of %s from %s?", change.ID, stamp(change.At)))
		if err != nil {
			return err
		}
		if !agreed {
			a.note("%s", what)
			return ExitCode(ExitInterrupted)
		}
	}
	reply := undone{ID: change.ID, Did: "restored", Commit: change.Commit}
	var err error
	if change.Before == nil {
		reply.Did = "deleted"
		reply.Ack, err = session.Remove(ctx, change.ID, change.Base)
	} else {
		reply.Ack, err = session.Restore(ctx, change.ID, change.Commit, change.Base)
	}
	if err != nil {
		return fault(what, err)
	}
	return a.acknowledged(reply.Ack, reply, "undone: %s is %s: %s\n", safe(reply.ID), reply.Did, safe(reply.Durability))
}

// ask asks a person, who must be there, and takes only a clear yes for one.
func (a *app) ask(ctx context.Context, question string) (bool, error) {
	in, isFile := a.Stdin.(io.Writer)
	if !isFile || !a.IsTerminal(in) || !a.IsTerminal(a.Stderr) {
		return false, usage("without a terminal nobody can be asked", "say --yes if it is to be done")
	}
	fmt.Fprintf(a.Stderr, "%s [y/N] ", safe(question)) //nolint:errcheck // there is no other place to ask
	answer := make(chan string, 1)
	// A terminal that is being read cannot be let go of: where the question is
	// interrupted this ends with the process, which is about to.
	go func() {
		line, err := bufio.NewReader(a.Stdin).ReadString('\n')
		if err != nil && line == "" {
			line = "no"
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
