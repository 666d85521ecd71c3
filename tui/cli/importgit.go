package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitimport"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// takeTime bounds how long the engine may need to take over what was imported.
const takeTime = time.Hour

// gitImport is an import of a repository with its history.
type gitImport struct {
	dir, branch string
	dryRun      bool
}

// gitReport is what import --git --json writes.
type gitReport struct {
	gitimport.Report
	DryRun  bool    `json:"dry_run"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"commits_per_second"` // that were looked at
	Synced  bool    `json:"synced"`             // the index has all
}

// run imports the repository.
func (g gitImport) run(cmd *cobra.Command, a *app) (err error) {
	layout, err := a.layout(cmd)
	if err != nil {
		return err
	}
	source, err := gitimport.Open(g.dir)
	if err != nil {
		return sourceFault(g.dir, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
		if g.dryRun {
			_, err := a.importGit(ctx, session, source, g, layout)
			return err
		}
		job := fmt.Sprintf("The import of the repository %q", absolute(g.dir))
		a.begins(ctx, session, job)
		report, err := a.importGit(ctx, session, source, g, layout)
		next := "Import again: it goes on where it ended"
		if f, ok := errors.AsType[*Fault](err); ok && f.Fix != "" {
			next = f.Fix
		}
		a.ended(ctx, session, job, report.sentence(), err, next)
		return err
	})
}

// layout is where the configuration places new documents.
func (a *app) layout(cmd *cobra.Command) (document.Layout, error) {
	cfg, mistakes := a.Settings(flagsOf(cmd))
	if len(mistakes) > 0 {
		return 0, configFault(mistakes[0])
	}
	return document.ParseLayout(string(cfg.Layout))
}

// sourceFault says why a repository cannot be imported from.
func sourceFault(dir string, err error) error {
	f := &Fault{What: fmt.Sprintf("the repository %q cannot be imported", dir), Why: err}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !exists(dir):
		f.Why, f.Fix = coded{err, httpapi.ErrNotFound}, "check the name"
	case errors.Is(err, fs.ErrNotExist):
		f.Why = coded{err, httpapi.ErrInvalid}
		f.Fix = "name the folder of a repository: one with .git in it, or a bare one; plain files are stored with: caiatop import DIR"
	case errors.Is(err, gitrepo.ErrInvalid), errors.Is(err, gitrepo.ErrIncomplete), errors.Is(err, gitrepo.ErrCorrupt), errors.Is(err, gitimport.ErrTooLong):
		f.Why, f.Fix = coded{err, httpapi.ErrInvalid}, "mend that in the source, or name another repository"
	case errors.Is(err, gitimport.ErrNoDocuments):
		f.Why = coded{err, httpapi.ErrInvalid}
		f.Fix = "name the branch that holds them with --branch; plain files are stored with: caiatop import DIR"
	case errors.Is(err, gitimport.ErrOwn):
		f.Why = coded{err, httpapi.ErrInvalid}
		f.Fix = "name another repository"
	case errors.Is(err, gitrepo.ErrNotFound), errors.Is(err, gitrepo.ErrGone):
		f.Why, f.Fix = coded{err, httpapi.ErrNotFound}, "list the branches: git branch -a"
	}
	return f
}

// exists reports whether something lies there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (a *app) importGit(ctx context.Context, session Session, source *gitimport.Source, g gitImport, layout document.Layout) (report gitReport, err error) {
	report.DryRun = g.dryRun
	status, err := session.Control().Status(ctx)
	if err != nil {
		return report, fault("the engine does not say where its repository lies", err)
	}
	if err := gitimport.Own(g.dir, status.GitDir); err != nil {
		return report, sourceFault(g.dir, err)
	}
	into, err := gitrepo.OpenDisk(status.GitDir, gitrepo.Options{ReadOnly: g.dryRun})
	if err != nil {
		return report, fault("the repository of the engine cannot be opened", err)
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	start := a.Now()
	line := &progressLine{app: a, on: a.IsTerminal(a.Stderr), start: start, last: start}
	report.Report, err = source.Run(ctx, into, gitimport.Options{
		Branch: strings.TrimPrefix(g.branch, "refs/heads/"), Layout: layout, DryRun: g.dryRun, Author: Author, Now: a.Now,
		Failed: func(path string, err error) {
			line.clear()
			a.note("not imported: %s: %v", path, err)
		},
		Progress: func(r gitimport.Report) {
			a.job.Store(&httpapi.Progress{What: "import", Done: int64(r.Done), Total: int64(r.Commits), Started: start})
			line.often(func(rate float64) string {
				return fmt.Sprintf("importing: %s of %s commits, %s, %s a second", ui.Count(int64(r.Done)), ui.Count(int64(r.Commits)), count(r.Revisions, "version"), perSecond(rate))
			}, int64(r.Done-r.Earlier))
		},
	})
	if err != nil {
		line.clear()
		return report, sourceFault(g.dir, err)
	}
	if !g.dryRun {
		line.tell("the engine takes over what was imported")
		wait, cancel := context.WithTimeout(ctx, takeTime)
		defer cancel()
		err = fault("the history is imported, but the engine has not taken over all of it yet", session.Control().Sync(wait))
		report.Synced = err == nil
	}
	line.clear()
	if report.Seconds = a.Now().Sub(start).Seconds(); report.Seconds > 0 {
		report.Rate = float64(report.Done-report.Earlier) / report.Seconds
	}
	if printErr := a.printGitReport(report); printErr != nil || err != nil {
		return report, errors.Join(err, printErr)
	}
	if report.Failed > 0 {
		return report, &Fault{
			What: count(report.Failed, "version") + " of documents could not be imported", Why: known{httpapi.ErrInvalid},
			Fix: "they are left out; mend their folders in the source with a new commit and import again",
		}
	}
	return report, nil
}

// sentence says what was imported.
func (r gitReport) sentence() string {
	if r.Imported == 0 && r.Merge == "" {
		if r.Commits == 0 {
			return "nothing was imported"
		}
		return fmt.Sprintf("nothing is new: branch %s has %s, of which %s had been looked at before", safe(r.Branch), count(r.Commits, "commit"), ui.Count(int64(r.Earlier)))
	}
	text := fmt.Sprintf("%s with %s of documents, from branch %s, which holds %s, in %.1f s", count(r.Imported, "commit"), count(r.Revisions, "version"), safe(r.Branch), count(r.Documents, "document"), r.Seconds)
	if r.Earlier > 0 {
		text += fmt.Sprintf("; %s had been looked at before", count(r.Earlier, "commit"))
	}
	if r.Failed > 0 {
		text += fmt.Sprintf("; %s could not be read", count(r.Failed, "version"))
	}
	return text
}

func (a *app) printGitReport(r gitReport) error {
	if a.json {
		return a.printJSON(a.Stdout, r)
	}
	did, verb := "imported ", "kept here, the source's versions are in history only"
	if r.DryRun {
		did, verb = "would import ", "would be kept here, the source's versions would be in history only"
	}
	if r.Imported == 0 && r.Merge == "" {
		did = ""
	}
	text := did + r.sentence()
	if r.Conflicts > 0 {
		text += fmt.Sprintf("\n%s with other content: %s", count(r.Conflicts, "document"), verb)
		for _, id := range r.Kept {
			text += "\n  exists here: " + safe(id)
		}
	}
	return emit(a.Stdout, "%s\n", text)
}
