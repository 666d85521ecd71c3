package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// progressEvery bounds how often an import redraws its line.
const progressEvery = 100 * time.Millisecond

func (a *app) importCommand() *cobra.Command {
	kind, plain := "", false
	var history gitImport
	cmd := &cobra.Command{
		Use:   "import DIR | --git DIR",
		Short: "store every file of a folder as a document",
		Long: "Stores every regular file below DIR as a document. The id is the path below DIR\n" +
			"with every slash written as ~. Symbolic links, special files and .git are left out. A\n" +
			"file that cannot be stored is told and the rest goes on; the exit code is then 65.\n" +
			"Importing again stores what has changed since, as a new version of the same document; a\n" +
			"file whose content, type and source are stored already is left alone, whatever its times.\n" +
			"A folder that caiatop export made brings its documents back instead, with ids, types and\n" +
			"metadata; --plain takes it as files all the same.\n" +
			"With --git, DIR is a git repository that holds documents, and each of its commits comes\n" +
			"with them, so that history and restore reach back to the beginning. It may be interrupted\n" +
			"and run again, also after DIR has grown. A document that exists here with other content\n" +
			"keeps it.",
		Args: func(cmd *cobra.Command, given []string) error {
			if history.dir != "" {
				return args(0, 0)(cmd, given)
			}
			return args(1, 1)(cmd, given)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case history.dir != "" && (kind != "" || plain):
				return usage("--type and --plain are for files, not for --git", "leave them away")
			case history.dir != "":
				return history.run(cmd, a)
			case history.branch != "" || history.dryRun:
				return usage("--branch and --dry-run are for --git", "name a repository with --git DIR")
			}
			return a.importFolder(cmd, args[0], kind, plain)
		},
	}
	cmd.Flags().StringVar(&kind, "type", "", "the `TYPE` of every document (default: the file's extension, else text or binary)")
	cmd.Flags().BoolVar(&plain, "plain", false, "take an export as files like any others")
	cmd.Flags().StringVar(&history.dir, "git", "", "import the documents of the git repository `DIR` with their history")
	cmd.Flags().StringVar(&history.branch, "branch", "", "the branch `NAME` of that repository (default: the one that it has checked out)")
	cmd.Flags().BoolVar(&history.dryRun, "dry-run", false, "only say what --git would do")
	cmd.Flags().Lookup("git").Annotations = map[string][]string{cobra.BashCompSubdirsInDir: {}}
	a.jsonFlag(cmd)
	return cmd
}

// importFolder imports the files of a folder, or an export.
func (a *app) importFolder(cmd *cobra.Command, dir, kind string, plain bool) error {
	if kind != "" {
		if _, err := document.ParseType(kind); err != nil {
			return usage(fmt.Sprintf("--type %q cannot be used: %v", kind, err), "give a short word like text")
		}
	}
	root, err := os.OpenRoot(dir)
	if info, statErr := os.Stat(dir); err != nil && statErr == nil && !info.IsDir() {
		return &Fault{
			What: fmt.Sprintf("the folder %q cannot be read", dir), Why: err,
			Fix: "name a folder; one file is stored with: caiatop put --id ID FILE",
		}
	}
	if err != nil {
		return fault(fmt.Sprintf("the folder %q cannot be read", dir), err)
	}
	err = a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
		return a.importTree(ctx, session, root, kind, plain)
	})
	return errors.Join(err, root.Close())
}

func (a *app) importTree(ctx context.Context, session Session, root *os.Root, kind string, plain bool) error {
	job := fmt.Sprintf("The import of %q", absolute(root.Name()))
	a.begins(ctx, session, job)
	r, err := a.importAll(ctx, session, root, kind, plain)
	a.ended(ctx, session, job, imported(r), err, "Import again: what is stored already is left alone")
	return err
}

func (a *app) importAll(ctx context.Context, session Session, root *os.Root, kind string, plain bool) (report, error) {
	start := a.Now()
	total := int64(0)
	show := func(done int) {
		a.job.Store(&httpapi.Progress{What: "import", Done: int64(done), Total: total, Started: start})
	}
	show(0)
	line := &progressLine{app: a, on: a.IsTerminal(a.Stderr), start: start, last: start}
	i := &importer{
		docs: session, tree: folder{root}, kind: kind, progress: func(r report) { show(r.Imported + r.Unchanged + r.Failed); line.show(r, total) },
		failed: func(name string, err error) {
			line.clear()
			a.note("not imported: %s: %v", name, err)
		},
	}
	run, n, err := i.prepare(ctx, root, plain)
	if total = n; err == nil {
		show(0)
		err = run(ctx)
	}
	if err == nil {
		err = fault("the documents are stored, but git has not all of them yet", session.Control().Sync(ctx))
		i.report.Synced = err == nil
	} else {
		err = fault(fmt.Sprintf("the import ended early, after %s", count(i.report.Imported, "document")), err)
	}
	line.clear()
	i.report.Seconds = a.Now().Sub(start).Seconds()
	if i.report.Seconds > 0 {
		i.report.Rate = float64(i.report.Imported) / i.report.Seconds
	}
	if printErr := a.printReport(i.report); printErr != nil {
		return i.report, errors.Join(err, printErr)
	}
	if err == nil && i.report.Failed > 0 {
		err = &Fault{
			What: count(i.report.Failed, "file") + " could not be imported", Why: known{httpapi.ErrInvalid},
			Fix: "mend what is named above and import again: what is stored already is left alone",
		}
	}
	if err == nil {
		err = met(httpapi.Ack{Conflicts: i.report.Conflicts})
	}
	return i.report, err
}

func (a *app) printReport(r report) error {
	if a.json {
		return a.printJSON(a.Stdout, r)
	}
	return emit(a.Stdout, "imported %s, %s a second\n", imported(r), perSecond(r.Rate))
}

// imported says what an import did.
func imported(r report) string {
	tail := ""
	if r.Unchanged > 0 {
		tail += ", " + ui.Count(int64(r.Unchanged)) + " stored already and unchanged"
	}
	if r.Failed > 0 {
		tail += ", " + ui.Count(int64(r.Failed)) + " failed"
	}
	if r.Skipped > 0 {
		tail += ", " + ui.Count(int64(r.Skipped)) + " left out (links, special files, .git)"
	}
	return fmt.Sprintf("%s (%s) in %.1f s%s", count(r.Imported, "document"), size(r.Bytes), r.Seconds, tail)
}

// perSecond shows a rate in whole documents.
func perSecond(rate float64) string { return ui.Count(int64(rate + 0.5)) }

// progressLine is one line on a terminal that is written over.
type progressLine struct {
	*app
	on          bool
	shown       bool
	start, last time.Time
}

func (p *progressLine) show(r report, total int64) {
	p.often(func(rate float64) string {
		return fmt.Sprintf("importing: %s of %s, %s, %s a second", ui.Count(int64(r.Imported+r.Unchanged)), ui.Count(total), size(r.Bytes), perSecond(rate))
	}, int64(r.Imported+r.Unchanged))
}

// often shows a text about the documents done so far, not more often than
// anybody can read.
func (p *progressLine) often(text func(rate float64) string, done int64) {
	now := p.Now()
	if !p.on || now.Sub(p.last) < progressEvery {
		return
	}
	p.last = now
	p.tell(text(float64(done) / now.Sub(p.start).Seconds()))
}

func (p *progressLine) clear() {
	if p.shown {
		p.shown = false
		p.draw("")
	}
}

// tell shows any text, at once.
func (p *progressLine) tell(s string) {
	if p.on {
		p.shown = true
		p.draw(safe(s))
	}
}

// draw replaces the line. Like a note, it has nowhere to report an error to.
func (p *progressLine) draw(s string) {
	fmt.Fprintf(p.Stderr, "\r\x1b[K%s", s) //nolint:errcheck // see above
}
