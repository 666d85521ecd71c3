package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// journalPrefix begins the names of the two files, and journalLock is that of
	// the lock of who uses them, all beside HEAD, where git looks for none of them.
	journalPrefix = "caiatop-journal."
	journalLock   = "caiatop-journal.lock"
	journalPerm   = 0o600
	// journalQuiet is how long nobody must have committed until what is in the
	// journal is published, and journalAge how old it gets at most.
	journalQuiet = 100 * time.Millisecond
	journalAge   = time.Second
	// journalRetry lies between two attempts to publish.
	journalRetry = time.Second
)

// journal makes chains of commits durable before they are a pack and a
// reference: a record each, written and synced. In the background all records of
// a segment become one pack and one move of each reference, while the other
// segment takes what comes.
//
// Readers of this Repo see a commit when its record is on the disk. For other
// programs the references stand still until the segment is published; while the
// journal has records for one, it holds git's own lock of it, so that nobody
// builds upon what is not the newest. Whoever else writes through this Repo has
// the journal published first.
//
// After a crash, the records that are not published are published before
// anything is read. What was refused is in no file that counts: a segment in
// which a write failed goes before the next record is written.
type journal struct {
	repo *Repo
	refs *diskRefs
	held *durable.Lock

	// turn holds a token while somebody publishes.
	turn chan struct{}

	// writing is held by who writes a record, and by who changes which segment is
	// which. It guards the segments, uses, number, stuck and heads, but for what is said
	// of mu.
	writing sync.Mutex
	uses    uint64
	number  uint64              // of the next record
	stuck   map[string]struct{} // references whose lock could not be removed

	mu     sync.RWMutex // guards reading and changing what follows
	active *segment
	sealed *segment // is being published; nil if none is
	spare  *segment // the other one while none is; nil if there is none yet
	heads  map[string]*journalHead
	failed error // of the last attempt to publish

	wanted   chan struct{} // one token: there is something to publish, sooner or later
	stopping chan struct{}
	done     chan struct{}
}

// journalHead is a reference that the journal is ahead of.
type journalHead struct {
	tip  Hash // acknowledged
	lock *refHold
}

// newJournal makes the journal of a repository whose lock we hold, and which
// has no records.
func newJournal(r *Repo, refs *diskRefs, held *durable.Lock, uses uint64) *journal {
	j := &journal{
		repo: r, refs: refs, held: held, turn: make(chan struct{}, 1), uses: uses, number: 1,
		heads: make(map[string]*journalHead), stuck: make(map[string]struct{}), wanted: make(chan struct{}, 1),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	j.active = &segment{volume: refs.volume, path: segmentPath(refs.dir, 0)}
	return j
}

func (j *journal) start() {
	go func() {
		defer close(j.done)
		j.run()
	}()
}

// tip returns where a reference is, if the journal is ahead of it.
func (j *journal) tip(ref string) (Hash, bool) {
	if j == nil {
		return Hash{}, false
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	head := j.heads[ref]
	if head == nil || head.tip.IsZero() {
		return Hash{}, false
	}
	return head.tip, true
}

// object returns an object that may be in no pack yet.
func (j *journal) object(h Hash) (object, bool) {
	if j == nil {
		return object{}, false
	}
	j.mu.RLock()
	active, sealed := j.active, j.sealed
	j.mu.RUnlock()
	if o, ok := active.object(h); ok || sealed == nil {
		return o, ok
	}
	return sealed.object(h)
}

// trouble returns why records could not be published.
func (j *journal) trouble() error {
	if j == nil {
		return nil
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.failed
}

// takes reports whether the journal is for such a chain. What makes a branch,
// and what is large, is published at once.
func (j *journal) takes(c *Chain) bool {
	return j != nil && !c.was.IsZero() && c.size+len(c.b.out)*journalObject <= maxSegment/2
}

// journalObject is more than what an object takes in a record besides its bytes.
const journalObject = 16

// commit makes a chain durable. The caller is the one writer. After an error
// the branch is what it was. ErrMoved.
func (j *journal) commit(ctx context.Context, c *Chain) error {
	if err := j.clear(ctx); err != nil {
		return err
	}
	if err := j.trouble(); errors.Is(err, ErrDiverged) {
		return err
	}
	e := &entry{ref: c.ref, old: c.was, new: c.at, objects: c.b.out}
	if err := j.room(ctx, c.size+len(e.objects)*journalObject+2*journalBlock); err != nil {
		return err
	}
	err := j.append(ctx, e)
	if err == nil {
		j.cache(c.b.out)
		return nil
	}
	// The record may be on the disk all the same. It must not count.
	if cleared := j.clear(ctx); cleared != nil {
		return fmt.Errorf("%w; what was acknowledged before is safe in the journal, but cannot be published: %v", err, cleared) //nolint:errorlint // the caller decides on the first
	}
	return err
}

// cache keeps what the next commits read.
func (j *journal) cache(objects []staged) {
	p, ok := j.repo.objects.(*packStore)
	if !ok {
		return
	}
	for _, o := range objects {
		p.cacheStaged(o)
	}
}

// append writes one record.
func (j *journal) append(ctx context.Context, e *entry) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	head, err := j.lock(ctx, e)
	if err != nil {
		return err
	}
	s := j.active
	if err := j.there(s); err != nil {
		j.unlock(e.ref)
		return err
	}
	first := s.end == 0
	e.number = j.number
	if first {
		j.uses++
	}
	if err := s.write(j.uses, e); err != nil {
		s.suspect = s.file != nil && s.file.Failed() != nil
		j.unlock(e.ref)
		return err
	}
	j.number++
	now := time.Now()
	j.mu.Lock()
	head.tip = e.new
	if first {
		s.first = now
	}
	s.last = now
	j.mu.Unlock()
	if first {
		j.wake()
	}
	return nil
}

// there fails if somebody deleted the repository: what is written to a file
// without a name is lost.
func (j *journal) there(s *segment) error {
	_, err := j.refs.volume.Stat(filepath.Join(j.refs.dir, "HEAD"))
	if err == nil && s.file != nil {
		_, err = j.refs.volume.Stat(s.path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil
}

// lock makes sure that the reference of a record is where it says, and stays
// there. The caller holds writing.
func (j *journal) lock(ctx context.Context, e *entry) (*journalHead, error) {
	if head := j.heads[e.ref]; head != nil && !head.tip.IsZero() {
		if head.tip != e.old {
			return nil, fmt.Errorf("%w: %s is at %s, not at %s", ErrMoved, e.ref, head.tip, e.old)
		}
		return head, nil
	}
	if err := j.unstick(e.ref); err != nil {
		return nil, err
	}
	hold, err := j.refs.holdRef(ctx, e.ref, e.old)
	if err != nil {
		return nil, err
	}
	head := &journalHead{lock: hold}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heads[e.ref] = head
	return head, nil
}

// unlock lets go of a reference that there is no record for. The caller holds
// writing.
func (j *journal) unlock(ref string) {
	head := j.heads[ref]
	for _, s := range []*segment{j.active, j.sealed} {
		if s != nil && s.moves[ref] != nil {
			return
		}
	}
	if head == nil {
		return
	}
	j.mu.Lock()
	delete(j.heads, ref)
	j.mu.Unlock()
	j.letGo(head)
}

// letGo releases a reference. What cannot be removed is tried again before the
// reference is wanted next: to others it is the lock of a living journal. The
// caller holds writing.
func (j *journal) letGo(head *journalHead) {
	if head.lock.release() != nil {
		j.stuck[head.lock.ref] = struct{}{}
	}
}

// unstick removes a lock that could not be removed. The caller holds writing.
func (j *journal) unstick(ref string) error {
	if _, ok := j.stuck[ref]; !ok {
		return nil
	}
	if path := j.refs.path(ref) + ".lock"; j.refs.isHold(path) {
		if err := ignoreMissing(j.refs.volume.Discard(path)); err != nil {
			return err
		}
	}
	delete(j.stuck, ref)
	return nil
}

// room makes sure that the active segment takes a record of that size.
func (j *journal) room(ctx context.Context, size int) error {
	j.writing.Lock()
	fits := j.active.fits(size)
	j.writing.Unlock()
	if fits {
		return nil
	}
	if err := j.publish(ctx, false); err != nil {
		j.wake()
		return err
	}
	j.rotate()
	j.wake()
	return nil
}

// rotate makes the other segment the active one, if nothing is being published.
func (j *journal) rotate() {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.sealed != nil || j.active.empty() {
		return
	}
	other := segmentPath(j.refs.dir, 0)
	if j.active.path == other {
		other = segmentPath(j.refs.dir, 1)
	}
	next := &segment{volume: j.refs.volume, path: other}
	if j.spare != nil {
		next, j.spare = j.spare, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sealed, j.active = j.active, next
}

// clear publishes everything if a write failed, so that what may be on the
// disk of it counts no more.
func (j *journal) clear(ctx context.Context) error {
	if j == nil {
		return nil
	}
	j.writing.Lock()
	suspect := j.active.suspect || j.sealed != nil && j.sealed.suspect
	j.writing.Unlock()
	if !suspect {
		return nil
	}
	return j.flush(ctx)
}

// flush publishes all records. The caller is the one writer.
func (j *journal) flush(ctx context.Context) error {
	if j == nil {
		return nil
	}
	for range 2 {
		if err := j.publish(ctx, true); err != nil {
			j.wake()
			return err
		}
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	for ref := range j.stuck {
		if err := j.unstick(ref); err != nil {
			return fmt.Errorf("let go of %s: %w", ref, err)
		}
	}
	return nil
}

// close publishes all records and lets go of the files. Where that fails the
// records stay, and so do the locks of their references: whoever opens the
// repository next publishes them.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	close(j.stopping)
	<-j.done
	err := j.flush(context.Background())
	j.writing.Lock()
	defer j.writing.Unlock()
	for _, s := range []*segment{j.active, j.sealed, j.spare} {
		switch {
		case s == nil:
		case err == nil:
			err = errors.Join(err, s.discard())
		case s.file != nil:
			err = errors.Join(err, s.file.Close())
		}
	}
	for _, head := range j.heads {
		err = errors.Join(err, head.lock.leave())
	}
	return errors.Join(err, j.held.Release())
}

// lockJournal makes this process the one that uses the journal.
func lockJournal(v durable.Volume, dir string) (*durable.Lock, error) {
	return v.AcquireLock(filepath.Join(dir, journalLock))
}
