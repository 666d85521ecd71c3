package gitrepo

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// Copied says how far a copy has come.
type Copied struct {
	Tip              Hash // of the destination's branch now
	Commits, Objects int
	Bytes            int64 // of objects, before compression
}

// ReceiveFrom makes Main what tip is in src, and copies what is missing for
// that. It stores parts of about 8 MiB and moves the branch after each from one
// commit of src to a later one, durably: a copy that was interrupted goes on
// where it was; one that met damage in src has all before it. progress, if not nil, is called after each move.
//
// It never takes anything away: ErrNotForward if the branch is not at an
// earlier commit of tip, ErrForeign if nothing here is from src.
func (r *Repo) ReceiveFrom(ctx context.Context, src *Repo, tip Hash, progress func(Copied)) (Copied, error) {
	return r.receive(ctx, src, tip, copyBytes, progress)
}

// receive is ReceiveFrom in parts of that many bytes.
func (r *Repo) receive(ctx context.Context, src *Repo, tip Hash, part int, progress func(Copied)) (Copied, error) {
	ref := headsPrefix + Main
	have, err := r.startFor(ctx, src, ref, tip)
	if err != nil {
		return Copied{Tip: have}, err
	}
	c := &copier{to: r, ref: ref, part: part, at: have, hold: r.hold(), progress: progress, done: Copied{Tip: have}}
	// What no reference leads to yet is not relied on by the next copy.
	defer func() { c.hold.done(false) }()
	if err := src.Send(ctx, have, tip, c); err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, c.move(ctx)) // what came before is whole
		}
		return c.done, err
	}
	return c.done, c.pass(ctx)
}

// startFor returns where the branch is, if tip is a later commit.
func (r *Repo) startFor(ctx context.Context, src *Repo, ref string, tip Hash) (Hash, error) {
	have, err := r.Ref(ref)
	if errors.Is(err, ErrNotFound) {
		others, err := r.Branches()
		if err == nil && len(others) > 0 {
			err = fmt.Errorf("%w: there is no branch %s, but %s", ErrForeign, Main, others[0].Name)
		}
		return Hash{}, err
	}
	if err != nil {
		return Hash{}, err
	}
	_, err = src.ReadCommit(ctx, have)
	if errors.Is(err, ErrNotFound) {
		return have, r.strange(ctx, src, have, tip)
	}
	return have, err
}

// strange says how a commit that src lacks is related to it.
func (r *Repo) strange(ctx context.Context, src *Repo, have, tip Hash) error {
	why := fmt.Errorf("%w: its %s is at %s", ErrForeign, Main, have)
	var failed error
	err := r.EachCommit(ctx, have, document.Path{}, func(c Commit) bool {
		_, err := src.ReadCommit(ctx, c.Hash)
		switch {
		case errors.Is(err, ErrNotFound):
			return true
		case err != nil:
			failed = err
		case c.Hash == tip:
			why = fmt.Errorf("%w: its %s is at %s, newer than %s", ErrNotForward, Main, have, tip)
		default:
			why = fmt.Errorf("%w: its %s is at %s, with commits since %s that are not here", ErrNotForward, Main, have, c.Hash)
		}
		return false
	})
	return errors.Join(failed, err, why)
}

// copier is the sink of a copy from one repository to another.
type copier struct {
	to       *Repo
	ref      string
	part     int  // bytes
	at       Hash // of the branch
	reached  Hash // it may move there
	hold     *hold
	held     []staged
	bytes    int
	objects  int // since the branch moved
	commits  int
	progress func(Copied)
	done     Copied
}

// Object implements Sink.
func (c *copier) Object(ctx context.Context, h Hash, kind plumbing.ObjectType, data []byte) error {
	c.held = append(c.held, staged{hash: h, object: object{kind, data}})
	c.bytes += len(data)
	c.objects++
	c.done.Objects++
	c.done.Bytes += int64(len(data))
	if c.bytes < c.part && len(c.held) < copyObjects {
		return nil
	}
	return c.store(ctx)
}

// store makes what is held durable.
func (c *copier) store(ctx context.Context) error {
	if len(c.held) == 0 {
		return nil
	}
	if err := c.to.acquire(ctx); err != nil {
		return err
	}
	defer c.to.release()
	if err := c.to.storeAll(ctx, c.held, c.hold, nil); err != nil {
		return err
	}
	clear(c.held)
	c.held, c.bytes = c.held[:0], 0
	return nil
}

// Reached implements Sink.
func (c *copier) Reached(ctx context.Context, _, commit Hash) (bool, error) {
	c.reached = commit
	c.commits++
	// What was stored inside a large commit counts, too.
	if c.bytes < c.part/2 && c.objects < copyObjects && c.commits < copyCommits {
		return false, nil
	}
	return true, c.pass(ctx)
}

// pass moves the branch to the commit that was reached last, which needs all
// that was stored.
func (c *copier) pass(ctx context.Context) error {
	err := c.move(ctx)
	if err == nil {
		c.hold.done(true)
	}
	return err
}

// move stores what is held and moves the branch to the commit that was reached.
func (c *copier) move(ctx context.Context) error {
	if c.reached.IsZero() || c.reached == c.at {
		return nil
	}
	if err := c.store(ctx); err != nil {
		return err
	}
	if err := c.to.move(ctx, refUpdate{name: c.ref, old: c.at, target: c.reached}); err != nil {
		return err
	}
	c.done.Commits += c.commits
	c.at, c.done.Tip, c.commits, c.objects = c.reached, c.reached, 0, 0
	if c.progress != nil {
		c.progress(c.done)
	}
	return nil
}
