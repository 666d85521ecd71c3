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
	// imported by an earlier run, and those made here.
	Commits  int `json:"commits"`
	Done     int `json:"done"`
	Earlier  int `json:"earlier"`
	Imported int `json:"imported"`
	// Documents at the branch's tip, and the versions and deletes of documents
	// that were imported.
	Documents int `json:"documents"`
	Revisions int `json:"revisions"`
	Deletes   int `json:"deletes"`
	// Failed versions could not be read.
	Failed   int       `json:"failed"`
	Failures []Failure `json:"failures"`
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
	places  map[document.ID]place
	pending []gitrepo.Link
	size    int
}

// place is where a document lies.
type place struct {
	here   document.Path // in this repository; zero if it never did
	source document.Path // zero if it does not exist there now
	exists bool          // the main branch has it
}

// Run imports into a repository. What was done when it returns an error stays,
// and the next run goes on there; the report says what this one did.
func (s *Source) Run(ctx context.Context, into *gitrepo.Repo, o Options) (Report, error) {
	r := &run{
		Source: s, Options: o, into: into, here: gitstore.New(into), places: map[document.ID]place{},
		report: Report{Failures: []Failure{}, Kept: []string{}},
	}
	err := r.all(ctx)
	for _, p := range r.places {
		if !p.source.IsZero() {
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
	if r.report.Revisions+r.report.Deletes+from == 0 {
		return fmt.Errorf("%w: %s, branch %s", ErrNoDocuments, r.dir, r.report.Branch)
	}
	return r.join(ctx)
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
	at, before := r.chain[i].String(), ""
	if i > 0 {
		before = r.chain[i-1].String()
	}
	var puts, gone []store.Key
	_, err := r.docs.Changes(ctx, before, at, func(c gitstore.Change) error {
		if c.Deleted {
			gone = append(gone, c.Key)
		} else {
			puts = append(puts, c.Key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit %s of %s: %w", at, r.dir, err)
	}
	if len(puts)+len(gone) == 0 {
		return nil
	}
	c, err := r.repo.ReadCommit(ctx, r.chain[i])
	if err != nil {
		return err
	}
	l := linkOf(c)
	for _, key := range puts {
		changes, size, err := r.put(ctx, at, key, c.At)
		if err != nil {
			return err
		}
		l.Changes = append(l.Changes, changes...)
		if r.size += size; r.full() {
			// A part: the batch is full, and the commit is not.
			part := l
			part.Message = withTrailer(c.Message, partTrailer, at)
			r.pending = append(r.pending, part)
			l.Changes = nil
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	for _, key := range gone {
		// One that was moved, or lies twice, still exists.
		if p := r.places[key.ID]; p.source == key.Folder {
			p.source = document.Path{}
			r.places[key.ID] = p
			r.report.Deletes++
			l.Changes = append(l.Changes, gitrepo.Change{Path: p.here, Delete: true})
		}
	}
	l.Message = withTrailer(c.Message, fromTrailer, at)
	r.pending = append(r.pending, l)
	r.report.Imported++
	return nil
}

// put returns the changes that make a version of a document, none if it cannot
// be read.
func (r *run) put(ctx context.Context, at string, key store.Key, when time.Time) ([]gitrepo.Change, int, error) {
	doc, files, err := r.docs.ReadableFiles(ctx, at, key)
	if gitstore.Unreadable(err) {
		r.fail(key.Folder.String(), at, err)
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	p := r.places[key.ID]
	p.source = key.Folder
	if p.here.IsZero() {
		created := doc.CreatedAt
		if created.IsZero() {
			created = when
		}
		p.here = r.Layout.Folder(doc.Source.Type, created, doc.ID)
	}
	r.places[key.ID] = p
	r.report.Revisions++
	var changes []gitrepo.Change
	size := 0
	for _, name := range gitstore.FileNames() {
		path, err := document.ParsePath(p.here.String() + "/" + name)
		if err != nil {
			return nil, 0, err
		}
		data, there := files[name]
		changes = append(changes, gitrepo.Change{Path: path, Data: data, Delete: !there})
		size += len(data)
	}
	return changes, size, nil
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
