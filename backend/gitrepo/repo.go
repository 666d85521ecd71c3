package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing"
)

// DefaultCache is the bound of the object cache where Options names none, in
// bytes (32 MiB).
const DefaultCache = 32 << 20

// Options tune a repository. The zero value is the safe default.
type Options struct {
	// CacheBytes bounds the cache of decompressed objects, in bytes of the heap;
	// 0 is DefaultCache. A repository in memory needs none.
	CacheBytes int64
	// Volume is the file system of a repository on disk; the zero value is
	// that of this machine.
	Volume durable.Volume
	// Now is the clock, which tells how old the locks and temporary files of
	// other programs are; nil is time.Now.
	Now func() time.Time
	// ReadOnly opens a repository on disk without writing anything there, not
	// even what maintenance would; what would write is ErrReadOnly. A
	// repository with a worktree, and one that borrows objects of another
	// one, can only be opened so.
	ReadOnly bool
	// SyncAll makes other git programs sync what they write to a repository on
	// disk, as they do in one that was made here, unless its configuration says
	// something about that already (core.fsync). A clone does not bring it along.
	SyncAll bool
	// Journal makes the commits of a Chain durable in a journal beside HEAD, and
	// packs and references of many of them a moment later. Until then other
	// programs see the branch where it was, and cannot move it. It is for who
	// alone uses the repository; if another process does so, opening it is a
	// *durable.LockedError. Close publishes what is left.
	Journal bool
}

// objectStore keeps objects. The methods are safe for concurrent use.
type objectStore interface {
	// object returns an object. ErrNotFound if there is none.
	object(h Hash) (object, error)
	// store keeps all objects or none; they are durable when it returns.
	store(ctx context.Context, objects []staged) error
	close() error
}

// refStore keeps references, by full name. The methods are safe for
// concurrent use.
type refStore interface {
	// ref returns what a reference points to. ErrNotFound if there is none.
	ref(name string) (Hash, error)
	// each calls fn with the references below a prefix that ends in a slash,
	// and with the error of one that cannot be read.
	each(prefix string, fn func(name string, target Hash, err error) error) error
	// prepare begins to move references: ErrMoved if one is not where its
	// update says.
	prepare(ctx context.Context, updates ...refUpdate) (refChange, error)
}

// listRefs returns the references below a prefix that ends in a slash.
func listRefs(refs refStore, prefix string) (map[string]Hash, error) {
	out := make(map[string]Hash)
	err := refs.each(prefix, func(name string, target Hash, err error) error {
		out[name] = target
		return err
	})
	return out, err
}

// Repo is a git repository. All methods are safe for concurrent use.
type Repo struct {
	objects objectStore
	refs    refStore
	owed    *durable.Owed // nil in memory
	journal *journal      // nil if there is none
	writer  chan struct{} // holds one token; who has it writes
	closed  atomic.Bool
	sealed  bool // nothing may be written
}

func newRepo(objects objectStore, refs refStore) *Repo {
	return &Repo{objects: objects, refs: refs, writer: make(chan struct{}, 1)}
}

// NewMemory returns an empty repository in memory.
func NewMemory(Options) *Repo {
	m := newMemory()
	return newRepo(m, m)
}

// OpenDisk opens the repository in dir: a bare one; read-only also a worktree,
// or the ".git" folder or file in it. A folder that is missing or empty becomes
// a bare one, but for a read-only one. A folder with anything else in it is an
// error that wraps ErrInvalid. A pack that cannot be opened is passed over, see
// Damage; it is neither changed nor removed, and an object that is only in it
// is an error that wraps ErrCorrupt and names both.
//
// A branch that is checked out in a worktree is never written to, because its
// files would seem to be changed by whoever works there; git refuses pushes to
// such a repository, too. Without ReadOnly it is an error that wraps ErrReadOnly.
//
// At most one Repo should write to a folder at a time; a second one, as any
// other git program, costs speed but nothing else.
func OpenDisk(dir string, o Options) (*Repo, error) {
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCache
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d, err := openDisk(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	r := newRepo(d.packs, d.refs)
	r.sealed = o.ReadOnly
	r.owed = d.owed
	if err := r.openJournal(d, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open repository %s: %w", dir, err), d.packs.close())
	}
	return r, nil
}

// Close waits for a running commit, stops the maintenance and waits for it,
// and releases the files. Reads that are under way fail with ErrClosed.
// Closing twice is no error.
func (r *Repo) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.writer <- struct{}{}
	defer r.release()
	return errors.Join(r.journal.close(), r.objects.close())
}

// acquire makes the caller the one writer, for whom the references are where
// the files say.
func (r *Repo) acquire(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	if err := r.journal.flush(ctx); err != nil {
		r.release()
		return err
	}
	return nil
}

// take is acquire for those who go by the journal.
func (r *Repo) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.sealed {
		return ErrReadOnly
	}
	select {
	case r.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.closed.Load() {
		r.release()
		return ErrClosed
	}
	// What an earlier writer left visible only must not be found done by this.
	if r.owed != nil {
		if err := r.owed.Settle(); err != nil {
			r.release()
			return err
		}
	}
	return nil
}

func (r *Repo) release() { <-r.writer }

// Confirm brings to the disk what a change left visible only, see
// durable.ErrUnsynced. It is for those who are about to report such a change as
// done.
func (r *Repo) Confirm(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	return r.journal.clear(ctx)
}

// get returns an object of a kind that the repository must have: another
// object names it.
func (r *Repo) get(h Hash, kind plumbing.ObjectType) ([]byte, error) {
	if r.closed.Load() {
		return nil, ErrClosed
	}
	o, err := r.objects.object(h)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, r.absent(h, fmt.Errorf("%w: %s %s is missing: %v", ErrCorrupt, kind, h, err)) //nolint:errorlint // what must be there is no ErrNotFound
	case err != nil:
		return nil, err
	case o.kind != kind:
		return nil, fmt.Errorf("%w: %s is a %s, not a %s", ErrCorrupt, h, o.kind, kind)
	}
	return o.data, nil
}

// absent returns err, or ErrIncomplete where objects may be missing.
func (r *Repo) absent(h Hash, err error) error {
	if p, ok := r.objects.(*packStore); ok {
		if left := p.incomplete(h); left != nil {
			return left
		}
	}
	return err
}

func (r *Repo) tree(h Hash) ([]byte, error) {
	if h == emptyTree {
		return nil, nil
	}
	return r.get(h, plumbing.TreeObject)
}

// commit returns a commit that another object or a reference names.
func (r *Repo) commit(h Hash) (Commit, error) {
	data, err := r.get(h, plumbing.CommitObject)
	if err != nil {
		return Commit{}, err
	}
	return decodeCommit(h, data)
}

// Maintenance reports the background work of a repository on disk.
type Maintenance struct {
	Packs int   // packs on the disk now
	Bytes int64 // of these packs and their indexes
	Runs  int   // consolidations done since the repository was opened
	Err   error // of the last consolidation, nil if it was done; damaged packs, and those that cannot be opened
}

// Maintenance returns the state of the background work. It is zero for a
// repository in memory.
func (r *Repo) Maintenance() Maintenance {
	if p, ok := r.objects.(*packStore); ok {
		m := p.maintenance()
		m.Err = errors.Join(m.Err, r.journal.trouble())
		return m
	}
	return Maintenance{}
}
