package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

func (a *app) exportCommand() *cobra.Command {
	query, force := httpapi.ListQuery{}, false
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "write every document into a folder, for import",
		Long: "Writes the newest version of every document below DIR: its content under " + filesFolder + "/, at the\n" +
			"path that its id was made of, and everything else into " + indexName + ". Importing DIR\n" +
			"brings the same documents back. DIR must be new or empty; with --force files of the same\n" +
			"names are replaced and others left. Where it ends early, what was written is whole and DIR\n" +
			"is an export of that much.",
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			root, err := openTarget(args[0], force)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, root.Close()) }()
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				return a.export(ctx, session, root, query, force)
			})
		},
	}
	cmd.Flags().StringVar(&query.Type, "type", "", "only documents of this `TYPE`")
	cmd.Flags().StringVar(&query.Contains, "contains", "", "only documents whose id contains this `TEXT`")
	cmd.Flags().BoolVar(&force, "force", false, "write also into a folder that is not empty, and replace files there")
	a.jsonFlag(cmd)
	return cmd
}

// openTarget opens the folder of an export, made if it is missing.
func openTarget(dir string, force bool) (*os.Root, error) {
	what := fmt.Sprintf("the folder %q cannot be written to", dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &Fault{What: what, Why: coded{err, ErrCantCreate}, Fix: "name a folder that can be made"}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault(what, err)
	}
	if len(entries) > 0 && !force {
		return nil, &Fault{
			What: fmt.Sprintf("the folder %q is not empty", dir), Why: known{ErrCantCreate},
			Fix: "name a new folder, or say --force to replace files of the same names",
		}
	}
	root, err := os.OpenRoot(dir)
	return root, fault(what, err)
}

func (a *app) export(ctx context.Context, session Session, root *os.Root, query httpapi.ListQuery, force bool) error {
	start := a.Now()
	line := &progressLine{app: a, on: a.IsTerminal(a.Stderr), start: start, last: start}
	a.job.Store(&httpapi.Progress{What: "export", Started: start})
	e := &exporter{docs: session, root: root, force: force}
	e.progress = func(done, total int64) {
		a.job.Store(&httpapi.Progress{What: "export", Done: done, Total: total, Started: start})
		line.often(func(rate float64) string {
			return fmt.Sprintf("exporting: %s of %s, %s, %s a second", ui.Count(done), ui.Count(total), size(e.report.Bytes), perSecond(rate))
		}, done)
	}
	job := fmt.Sprintf("The export into %q", absolute(root.Name()))
	a.begins(ctx, session, job)
	err := e.run(ctx, query, start)
	line.clear()
	e.report.Seconds, e.report.Folder, e.report.Complete = a.Now().Sub(start).Seconds(), absolute(root.Name()), err == nil
	err = exportFault(err, e.report.Exported)
	a.ended(ctx, session, job, writtenOut(e.report), err, "What was written is whole; export again with --force for the rest")
	return errors.Join(err, a.printExport(e.report))
}

// absolute is a folder as others can find it who are elsewhere.
func absolute(folder string) string {
	if full, err := filepath.Abs(folder); err == nil {
		return full
	}
	return folder
}

func (a *app) printExport(r exported) error {
	if a.json {
		return a.printJSON(a.Stdout, r)
	}
	return emit(a.Stdout, "exported %s into %s\n", writtenOut(r), safe(r.Folder))
}

// writtenOut says what an export did.
func writtenOut(r exported) string {
	tail := ""
	if r.Gone > 0 {
		tail = fmt.Sprintf(", %s deleted meanwhile", count(r.Gone, "document"))
	}
	return fmt.Sprintf("%s (%s) in %.1f s%s", count(r.Exported, "document"), size(r.Bytes), r.Seconds, tail)
}

// exportFault says what stopped an export and what to do about it.
func exportFault(err error, done int) error {
	if err == nil {
		return nil
	}
	f := &Fault{What: fmt.Sprintf("the export ended early, after %s", count(done, "document")), Why: err}
	switch {
	case !errors.Is(err, errTarget):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		f.Fix = "free space there or choose another folder, then export again with --force"
	case errors.Is(err, fs.ErrNotExist):
		f.Fix = "the folder was removed meanwhile: export again"
	case errors.Is(err, fs.ErrExist):
		f.Fix = "somebody else writes there: export again into a new folder"
	default:
		f.Fix = "look at the folder and its disk, then export again with --force"
	}
	return f
}
