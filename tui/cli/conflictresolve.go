package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/compare"
)

// settled is what resolve answers with --json.
type settled struct {
	Name   string `json:"name"`
	ID     string `json:"id,omitempty"`
	Choice string `json:"choice"`
	httpapi.Ack
}

// resolving is what resolve was asked for.
type resolving struct {
	choice, seen, as, file string
	yes                    bool
	what                   string // of a fault
}

func (a *app) conflictsResolve() *cobra.Command {
	var r resolving
	cmd := &cobra.Command{
		Use: "resolve NAME|ID ours|theirs|both|edit", Short: "settle a conflict", Args: args(2, 2), ValidArgsFunction: a.completeConflicts,
		Long: "ours and theirs give that version the document's place and remove the copy; both leaves the copy,\n" +
			"as a document like any other, under the id of --as if one is given; edit opens $VISUAL or\n" +
			"$EDITOR with both versions merged, or takes the text of --file. Where nobody knows which side is\n" +
			"ours, place and copy say it by where the versions are. It shows what would change and asks;\n" +
			"without a terminal it needs --yes. If one of the sides changes meanwhile nothing is done; --seen\n" +
			"names what show showed. All of it can be taken back with: caiatop conflicts reopen NAME.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.choice, r.what = args[1], fmt.Sprintf("the conflict %q was not settled", args[0])
			if err := r.check(); err != nil {
				return err
			}
			return a.resolve(cmd, args[0], r)
		},
	}
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do it without asking")
	cmd.Flags().StringVar(&r.seen, "seen", "", "only if both sides are as show showed them with this `VERSION`")
	cmd.Flags().StringVar(&r.as, "as", "", "with both: the `ID` that the copy gets")
	cmd.Flags().StringVar(&r.file, "file", "", "with edit: the `FILE` with the text, - for stdin")
	a.jsonFlag(cmd)
	return cmd
}

func (r resolving) check() error {
	switch {
	case !slices.Contains(choices, r.choice):
		return usage(fmt.Sprintf("%q is no choice", r.choice), "choose one of: "+strings.Join(choices, ", "))
	case r.as != "" && r.choice != httpapi.ChooseBoth:
		return usage("--as belongs to both", "leave it out, or choose both")
	case r.file != "" && r.choice != httpapi.ChooseEdit:
		return usage("--file belongs to edit", "leave it out, or choose edit")
	case r.as != "":
		return checkIDs(r.what, r.as)
	}
	return nil
}

func (a *app) resolve(cmd *cobra.Command, name string, r resolving) error {
	if r.choice == httpapi.ChooseEdit {
		return a.resolveEdit(cmd, name, r)
	}
	return a.withDispute(cmd, r.what, name, func(ctx context.Context, session Session, d httpapi.Dispute) error {
		if err := r.stillSeen(d); err != nil {
			return err
		}
		if !r.yes {
			if agreed, err := a.agree(ctx, d, r); err != nil || !agreed {
				return err
			}
		}
		return a.settle(ctx, session, d, r, nil)
	})
}

// stillSeen refuses a conflict of which somebody saw something else.
func (r resolving) stillSeen(d httpapi.Dispute) error {
	if r.seen != "" && r.seen != d.Seen {
		return conflictFault(r.what, coded{errors.New("one of the sides was changed since it was shown"), httpapi.ErrConflict})
	}
	return nil
}

// agree shows what would change and asks.
func (a *app) agree(ctx context.Context, d httpapi.Dispute, r resolving) (bool, error) {
	question := "keep both versions of " + d.ID + "?"
	if r.choice != httpapi.ChooseBoth {
		chosen := d.Place
		if r.choice == d.Kept || r.choice == httpapi.ChooseCopy {
			chosen = d.Other
		}
		lines, err := difference(d.Place, chosen)
		if err != nil {
			return false, err
		}
		if chosen == d.Place {
			lines = []string{"the document stays as it is"}
		}
		if !a.json {
			if err := emit(a.Stdout, "%s\n", strings.Join(lines, "\n")); err != nil {
				return false, err
			}
		}
		question = fmt.Sprintf("settle the conflict about %s with %s?", d.ID, r.choice)
	}
	agreed, err := a.ask(ctx, question)
	if err == nil && !agreed {
		a.note("%s", r.what)
		err = ExitCode(ExitInterrupted)
	}
	return agreed, err
}

func (a *app) settle(ctx context.Context, session Session, d httpapi.Dispute, r resolving, third *httpapi.Document) error {
	ack, err := session.Resolve(ctx, d.Name, httpapi.Resolution{Choice: r.choice, Seen: d.Seen, Document: third, As: r.as})
	if err != nil {
		return conflictFault(r.what, err)
	}
	if a.json {
		return a.printJSON(a.Stdout, settled{d.Name, d.ID, r.choice, ack})
	}
	return emit(a.Stdout, "settled %s with %s: %s\n", safe(d.Name), safe(r.choice), safe(ack.Durability))
}

// resolveEdit settles a conflict with a third version. The engine is not kept
// while somebody thinks.
func (a *app) resolveEdit(cmd *cobra.Command, name string, r resolving) error {
	var d httpapi.Dispute
	err := a.withDispute(cmd, r.what, name, func(_ context.Context, _ Session, found httpapi.Dispute) error {
		d = found
		return r.stillSeen(d)
	})
	if err != nil {
		return err
	}
	third, clashes, err := merged(d)
	if err != nil {
		return &Fault{What: r.what, Why: err, Fix: "choose one of the sides, or both"}
	}
	for _, key := range clashes {
		a.note("both sides changed the metadata %q: that of ours is taken", key)
	}
	if r.file != "" {
		text, err := a.readFile(r.file)
		if err != nil {
			return fault(r.what, err)
		}
		third.Text = string(text)
		return a.with(cmd, a.Open, func(ctx context.Context, session Session) error { return a.settle(ctx, session, d, r, &third) })
	}
	return a.resolveTyped(cmd, d, r, third)
}

// merged is what the merge of both sides begins with: that of theirs with what
// ours changed, between marks where both changed the same.
func merged(d httpapi.Dispute) (third httpapi.Document, clashes []string, err error) {
	ours, theirs, _, _ := sides(d)
	switch {
	case d.ID == "":
		return third, nil, fmt.Errorf("%w: nobody knows which document this copy belongs to", httpapi.ErrInvalid)
	case ours == nil && theirs == nil:
		return third, nil, fmt.Errorf("%w: both sides are deleted", httpapi.ErrInvalid)
	case ours == nil:
		return *theirs, nil, nil
	case theirs == nil:
		return *ours, nil, nil
	case len(ours.Raw) > 0 || len(theirs.Raw) > 0:
		return third, nil, fmt.Errorf("%w: it has raw bytes, which cannot be merged", httpapi.ErrInvalid)
	}
	var docs [3]document.Document // base, ours, theirs
	for i, doc := range []*httpapi.Document{d.BaseDocument, ours, theirs} {
		if doc == nil {
			continue
		}
		if docs[i], err = fromAPI(*doc); err != nil {
			return third, nil, err
		}
	}
	result := docs[2].Clone()
	result.Content.Text, _ = compare.Merge(docs[0].Content.Text, docs[1].Content.Text, docs[2].Content.Text)
	result.Content.Metadata, clashes = compare.MergeMetadata(docs[0].Content.Metadata, docs[1].Content.Metadata, docs[2].Content.Metadata)
	third, err = toAPI(result)
	return third, clashes, err
}

// resolveTyped lets the user edit the merge. What was typed is kept in its file
// until it is stored.
func (a *app) resolveTyped(cmd *cobra.Command, d httpapi.Dispute, r resolving, third httpapi.Document) (err error) {
	dir, err := os.MkdirTemp("", "caiatop-edit-")
	if err != nil {
		return fault(r.what, err)
	}
	file := filepath.Join(dir, editName(third))
	if err := os.WriteFile(file, []byte(third.Text), 0o600); err != nil {
		return errors.Join(fault(r.what, err), os.RemoveAll(dir))
	}
	editErr := a.Edit(cmd.Context(), file)
	text, err := readBack(file)
	switch {
	case editErr != nil && err == nil && text == third.Text:
		return errors.Join(&Fault{What: r.what, Why: coded{editErr, errEditor}, Fix: editFix(editErr)}, os.RemoveAll(dir))
	case errors.Is(err, fs.ErrNotExist):
		err = coded{errors.New("the editor removed the file"), errEditor}
	}
	kept := "your text is kept in " + file
	if err = errors.Join(editErr, err, cmd.Context().Err()); err != nil {
		return &Fault{What: r.what, Why: err, Fix: kept}
	}
	if compare.Marked(text) {
		return &Fault{
			What: r.what, Why: coded{errors.New("the text still holds the lines that mark what both sides changed"), httpapi.ErrInvalid},
			Fix: fmt.Sprintf("%s: settle the marked lines, then: caiatop conflicts resolve %s edit --file %s", kept, shellWord(d.Name), shellWord(file)),
		}
	}
	third.Text = text
	err = a.with(cmd, a.Open, func(ctx context.Context, session Session) error { return a.settle(ctx, session, d, r, &third) })
	if err != nil {
		a.note("%s", kept)
		return err
	}
	return os.RemoveAll(dir)
}
