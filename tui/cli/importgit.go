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
		a.ended(ctx, session, job, report.told(), err, next)
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
	return report, report.fault()
}

// fault is what the source holds and could not be imported, nil if nothing.
func (r gitReport) fault() error {
	f := &Fault{Why: known{httpapi.ErrInvalid}}
	switch {
	case r.Failed > 0 && r.Refused > 0:
		f.What = fmt.Sprintf("%s of documents, and %s, could not be imported", count(r.Failed, "version"), inFolders(r.Refused))
		f.Fix = "they are left out; mend and rename their folders in the source with a new commit and import again"
	case r.Failed > 0:
		f.What = count(r.Failed, "version") + " of documents could not be imported"
		f.Fix = "they are left out; mend their folders in the source with a new commit and import again"
	case r.Refused > 0:
		f.What = inFolders(r.Refused) + " could not be imported"
		f.Fix = "they are left out; rename their folders in the source with a new commit and import again"
	default:
		return nil
	}
	return f
}

// inFolders counts documents whose folders have names that are refused.
func inFolders(n int64) string {
	if n == 1 {
		return "1 document in a folder that no document may have"
	}
	return ui.Count(n) + " documents in folders that no document may have"
}

// sentence says what was imported.
func (r gitReport) sentence() string {
	text := ""
	switch {
	case r.Commits == 0 || (r.Documents+r.Failed+r.Earlier == 0 && r.Refused == 0):
		return "nothing was imported"
	case r.Imported > 0 || r.Merge != "":
		text = fmt.Sprintf("%s with %s of documents, from branch %s, which holds %s, in %.1f s", count(r.Imported, "commit"), count(r.Revisions, "version"), safe(r.Branch), count(r.Documents, "document"), r.Seconds)
		if before := r.before(); before != "" {
			text += "; " + before
		}
	case r.Documents == 0 && r.Earlier == 0:
		text = "nothing was imported: no document of branch " + safe(r.Branch) + " can be"
	default:
		text = fmt.Sprintf("nothing is new: branch %s has %s, of which %s", safe(r.Branch), count(r.Commits, "commit"), r.before())
	}
	if r.Failed > 0 {
		text += fmt.Sprintf("; %s could not be read", count(r.Failed, "version"))
	}
	if r.Refused > 0 {
		text += "; left out: " + inFolders(r.Refused)
	}
	return text
}

// before says which commits needed no look, "" if there are none.
func (r gitReport) before() string {
	var parts []string
	if r.Known > 0 {
		parts = append(parts, ui.Count(int64(r.Known))+" are of this repository itself")
	}
	if looked := r.Earlier - r.Known; looked > 0 {
		parts = append(parts, ui.Count(int64(looked))+" had been looked at before")
	}
	return strings.Join(parts, " and ")
}

// toldNames bounds the paths of each kind that an event names.
const toldNames = 20

// told is the sentence with the first of what was left out, for an event.
func (r gitReport) told() string {
	var refused []string
	for _, f := range r.Refusals[:min(len(r.Refusals), toldNames)] {
		refused = append(refused, safe(f.Path))
	}
	text := r.sentence()
	for _, left := range []struct {
		what  string
		names []string
		all   int64
	}{
		{"", refused, r.Refused},
		{"; " + beside(r.Report), safes(r.LeftNames), r.LeftOut},
		{"; " + olderPlaces(r.Report), safes(r.ElsewhereNames[:min(len(r.ElsewhereNames), toldNames)]), int64(r.Elsewhere)},
	} {
		if left.all == 0 {
			continue
		}
		text += left.what + ": " + strings.Join(left.names, ", ")
		if more := left.all - int64(len(left.names)); more > 0 {
			text += " and " + ui.Count(more) + " more"
		}
	}
	return text
}

func safes(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, safe(name))
	}
	return out
}

// beside counts what the source holds beside its documents.
func beside(r gitimport.Report) string {
	if r.Links+r.Submodules == 0 {
		return "left out, no part of a document: " + count(r.LeftOut, "file")
	}
	return fmt.Sprintf("left out, no part of a document: %s, among them %s and %s", ui.Count(r.LeftOut),
		count(r.Links, "symbolic link"), count(r.Submodules, "submodule"))
}

// olderPlaces counts the folders of documents that lie in another one, too.
func olderPlaces(r gitimport.Report) string {
	return "left out, of documents that lie in another folder, too, which was changed later: " + count(r.Elsewhere, "folder")
}

// leftOut is one line, and one for each of the first names.
func leftOut(what string, names []string, all int64) string {
	if all == 0 {
		return ""
	}
	for _, path := range names {
		what += "\n  left out: " + safe(path)
	}
	if more := all - int64(len(names)); more > 0 {
		what += "\n  and " + ui.Count(more) + " more"
	}
	return "\n" + what
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
	text += leftOut(olderPlaces(r.Report), r.ElsewhereNames[:min(len(r.ElsewhereNames), toldNames)], int64(r.Elsewhere))
	text += leftOut(beside(r.Report), r.LeftNames, r.LeftOut)
	return emit(a.Stdout, "%s\n", text)
}
