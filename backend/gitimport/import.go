package gitimport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// MaxCommits bounds the history of one source.
	MaxCommits = 5_000_000
	// MaxListed bounds the failures and conflicts that a report names.
	MaxListed = 1000

	batchCommits = 500
	batchBytes   = 16 << 20 // of files; a commit with more becomes several
)

var (
	// ErrNoDocuments: the branch of the source never held a document.
	ErrNoDocuments = errors.New("the repository holds no documents")
	// ErrOwn: source and target are one repository.
	ErrOwn = errors.New("the repository is the one to import into")
	// ErrTooLong: the source has more than MaxCommits.
	ErrTooLong = fmt.Errorf("the repository has more than %d commits", MaxCommits)
)

// Options say what to import.
type Options struct {
	// Branch of the source; "" is what its HEAD names.
	Branch string
	// Layout places documents that do not exist here.
	Layout document.Layout
	// DryRun writes nothing.
	DryRun bool
	// Author and Now make the merge commit.
	Author store.Author
	Now    func() time.Time
	// Failed is told of each folder that cannot be read as a document, and
	// Progress of each batch. Nil tells nobody.
	Failed   func(path string, err error)
	Progress func(Report)

	// commits and bytes bound a batch; 0 is batchCommits and batchBytes.
	commits, bytes int
}

// Failure is one version of a document that cannot be read.
type Failure struct {
	Path   string `json:"path"` // in the source; unsanitised
	Commit string `json:"commit"`
	Error  string `json:"error"`
}

// Report is what an import did, or with DryRun would do.
type Report struct {
	Branch string `json:"branch"`
	// Commits of the branch, those of them that were looked at, those that were
	// looked at by an earlier run or that the main branch holds itself (Known),
	// and those made here.
	Commits  int `json:"commits"`
	Done     int `json:"done"`
	Earlier  int `json:"earlier"`
	Known    int `json:"known"`
	Imported int `json:"imported"`
	// Documents at the branch's tip, and the versions and deletes of documents
	// that were imported.
	Documents int `json:"documents"`
	Revisions int `json:"revisions"`
	Deletes   int `json:"deletes"`
	// Failed versions could not be read.
	Failed   int       `json:"failed"`
	Failures []Failure `json:"failures"`
	// Refused documents lie at the branch's tip in folders whose names no document
	// may have.
	Refused  int64     `json:"refused"`
	Refusals []Failure `json:"refusals"`
	// Elsewhere are the folders at the branch's tip of documents that lie in
	// another folder, too, which was changed later and leads.
	Elsewhere      int      `json:"elsewhere"`
	ElsewhereNames []string `json:"elsewhere_first"` // unsanitised
	// LeftOut are the files at the branch's tip that are no part of a document;
	// Links and Submodules of them are symbolic links and other repositories.
	LeftOut    int64    `json:"left_out"`
	Links      int64    `json:"links"`
	Submodules int64    `json:"submodules"`
	LeftNames  []string `json:"left_out_first"` // the first paths; unsanitised
	// Conflicts are documents that exist here with other content.
	Conflicts int      `json:"conflicts"`
	Kept      []string `json:"kept_in_history_only"` // their ids; unsanitised
	// Merge is the commit of the main branch that holds everything, "" if none
	// was needed.
	Merge string `json:"merge"`
}

// Source is a repository to import from.
type Source struct {
	dir  string
	repo *gitrepo.Repo
	docs *gitstore.Store
}

// Open opens the repository in dir, bare or with a worktree, for reading.
// Errors are those of gitrepo.OpenDisk.
func Open(dir string) (*Source, error) {
	repo, err := gitrepo.OpenDisk(dir, gitrepo.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return &Source{filepath.Clean(dir), repo, gitstore.New(repo)}, nil
}

// Close closes the repository.
func (s *Source) Close() error { return s.repo.Close() }

// run is one import.
type run struct {
	*Source
	Options
	into    *gitrepo.Repo
	here    *gitstore.Store
	report  Report
	chain   []gitrepo.Hash // the commits of the branch, the oldest first
	ref     string         // where the commits are made
	was     gitrepo.Hash   // where ref is
	tip     gitrepo.Hash   // what the next commit is made upon
	main    string         // commit of the main branch at the beginning, "" if none
	base    string         // what main and the imported commits had in common at the beginning, "" if nothing is
	places  map[document.ID]place
	apart   map[document.ID][]document.Path // see folders
	pending []gitrepo.Link
	size    int
}

// Run imports into a repository. What was done when it returns an error stays,
// and the next run goes on there; the report says what this one did.
func (s *Source) Run(ctx context.Context, into *gitrepo.Repo, o Options) (Report, error) {
	r := &run{
		Source: s, Options: o, into: into, here: gitstore.New(into),
		places: map[document.ID]place{}, apart: map[document.ID][]document.Path{},
		report: Report{Failures: []Failure{}, Refusals: []Failure{}, ElsewhereNames: []string{}, Kept: []string{}, LeftNames: []string{}},
	}
	err := r.all(ctx)
	for _, p := range r.places {
		if p.live && !p.unreadable {
			r.report.Documents++
		}
	}
	return r.report, err
}

func (r *run) all(ctx context.Context) error {
	if err := r.walk(ctx); err != nil {
		return fmt.Errorf("read the history of %s: %w", r.dir, err)
	}
	from, err := r.resume(ctx)
	if err != nil {
		return err
	}
	for i := from; i < len(r.chain); i++ {
		if err := r.commit(ctx, i); err != nil {
			return err
		}
		r.report.Done = i + 1
		if len(r.pending) >= cmp.Or(r.commits, batchCommits) || r.full() {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.leftOut(ctx); err != nil {
		return err
	}
	switch {
	case r.report.Revisions+r.report.Deletes+from > 0:
		return r.join(ctx)
	case int64(r.report.Failed)+r.report.Refused > 0:
		return nil // there are documents, and none that can be imported
	}
	return fmt.Errorf("%w: %s, branch %s", ErrNoDocuments, r.dir, r.report.Branch)
}

// leftOut notes what the tip of the source holds and is not imported.
func (r *run) leftOut(ctx context.Context) error {
	tip := r.chain[len(r.chain)-1].String()
	left, err := r.docs.Beside(ctx, tip)
	if err != nil {
		return fmt.Errorf("what %s holds beside its documents: %w", r.dir, err)
	}
	r.report.LeftOut, r.report.Links, r.report.Submodules = left.Count, left.Links, left.Submodules
	r.report.LeftNames = append(r.report.LeftNames, left.Named...)
	r.report.Refused = left.Documents
	for _, refused := range left.Refused {
		r.report.Refusals = append(r.report.Refusals, Failure{refused.Path, tip, refused.Why.Error()})
		if r.Failed != nil {
			r.Failed(refused.Path, refused.Why)
		}
	}
	r.elsewhere()
	return nil
}

// walk finds the commits of the branch.
func (r *run) walk(ctx context.Context) error {
	var tip gitrepo.Hash
	var err error
	branch := r.Branch
	if branch == "" {
		branch, tip, err = r.repo.Head(ctx)
	} else {
		tip, err = r.repo.Tip(branch)
	}
	r.report.Branch = branch
	if errors.Is(err, gitrepo.ErrNotFound) && r.Branch == "" {
		return fmt.Errorf("%w: its branch %q has no commits", ErrNoDocuments, branch)
	}
	if err != nil {
		return fmt.Errorf("branch %q: %w", branch, err)
	}
	for at := tip; ; {
		if len(r.chain) == MaxCommits {
			return ErrTooLong
		}
		c, err := r.repo.ReadCommit(ctx, at)
		if errors.Is(err, gitrepo.ErrNotFound) && len(r.chain) > 0 {
			return fmt.Errorf("%w: its history ends at commit %s, whose parent %s it lacks, as a shallow clone does; fetch all with git fetch --unshallow, or use a whole clone",
				gitrepo.ErrIncomplete, r.chain[len(r.chain)-1], at)
		}
		if err != nil {
			return err
		}
		r.chain = append(r.chain, at)
		if len(c.Parents) == 0 {
			break
		}
		at = c.Parents[0]
	}
	for i, j := 0, len(r.chain)-1; i < j; i, j = i+1, j-1 {
		r.chain[i], r.chain[j] = r.chain[j], r.chain[i]
	}
	r.report.Commits = len(r.chain)
	return ctx.Err()
}

// commit adds what one commit of the source changed to the batch.
func (r *run) commit(ctx context.Context, i int) error {
	at := r.chain[i].String()
	puts, gone, err := r.changes(ctx, i)
	if err != nil || len(puts)+len(gone) == 0 {
		return err
	}
	c, err := r.repo.ReadCommit(ctx, r.chain[i])
	if err != nil {
		return err
	}
	l := linkOf(c)
	if l.Merged, err = r.merged(ctx, c); err != nil {
		return err
	}
	several := r.lay(puts, gone)
	for _, key := range puts {
		changed, twice := several[key.ID]
		switch {
		case !twice:
			changed = []document.Path{key.Folder}
		case changed == nil:
			continue // done with its other folder
		default:
			several[key.ID] = nil
		}
		changes, size, err := r.newest(ctx, at, key.ID, changed, c.At)
		if err != nil {
			return err
		}
		l.Changes = append(l.Changes, changes...)
		if r.size += size; r.full() {
			// A part: the batch is full, and the commit is not.
			part := l
			part.Message, part.Merged = withTrailer(c.Message, partTrailer, at), nil
			r.pending = append(r.pending, part)
			l.Changes = nil
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	for _, key := range gone {
		changes, size, err := r.gone(ctx, at, key, c.At)
		if err != nil {
			return err
		}
		l.Changes, r.size = append(l.Changes, changes...), r.size+size
	}
	if len(l.Changes)+len(r.pending) == 0 && r.tip.IsZero() {
		return nil // nothing that can be read yet
	}
	l.Message = withTrailer(c.Message, fromTrailer, at)
	r.pending = append(r.pending, l)
	r.report.Imported++
	return nil
}

// changes returns the documents that a commit of the source changed, and those
// that it removed.
func (r *run) changes(ctx context.Context, i int) (puts, gone []store.Key, err error) {
	at, before := r.chain[i].String(), ""
	if i > 0 {
		before = r.chain[i-1].String()
	}
	_, err = r.docs.Changes(ctx, before, at, func(c gitstore.Change) error {
		if c.Deleted {
			gone = append(gone, c.Key)
		} else {
			puts = append(puts, c.Key)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("commit %s of %s: %w", at, r.dir, err)
	}
	return puts, gone, err
}

func (r *run) fail(path, commit string, err error) {
	r.report.Failed++
	if len(r.report.Failures) < MaxListed {
		r.report.Failures = append(r.report.Failures, Failure{path, commit, err.Error()})
	}
	if r.Failed != nil {
		r.Failed(path, fmt.Errorf("in commit %.12s: %w", commit, err))
	}
}

func (r *run) full() bool { return r.size >= cmp.Or(r.bytes, batchBytes) }

// flush writes the batch.
func (r *run) flush(ctx context.Context) error {
	if len(r.pending) > 0 && !r.DryRun {
		tip, err := r.into.CommitChain(ctx, r.ref, r.was, r.tip, r.pending)
		if err != nil {
			return fmt.Errorf("import of %s: %w", r.dir, err)
		}
		r.tip, r.was = tip, tip
	}
	r.pending, r.size = nil, 0
	if r.Progress != nil {
		r.Progress(r.report)
	}
	return ctx.Err()
}
