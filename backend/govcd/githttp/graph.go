package githttp

import (
	"container/heap"
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// maxObjects bounds what one transfer may name: 700 MiB of names.
const maxObjects = 1 << 24

// graph reads the commits of one repository.
type graph struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one request
	repo Repo
}

func (g *graph) commit(h Hash) (gitrepo.Commit, error) { return g.repo.ReadCommit(g.ctx, h) }

// mark is what a walk knows about a commit.
type mark uint8

const (
	owned    mark = 1 << iota // the client has it
	reported                  // it is among those to send, unless it is owned
	given                     // what it is made of is among the objects to send
)

// walk finds what a client lacks of the histories that it wants.
type walk struct {
	*graph
	known set
	marks []mark
	queue dated
	fresh int   // entries of the queue that were not owned when they came
	found []int // numbers of commits, the newest first
}

// missing walks from starts, past no commit in newEnds, and leaves out what
// haves lead to without passing one in oldEnds. Where clocks were wrong some
// commits may be in it that the client has, never too few.
func (g *graph) missing(starts, haves []Hash, oldEnds, newEnds *set) (*walk, error) {
	w := &walk{graph: g}
	for _, h := range haves {
		if err := w.reach(h, owned); err != nil {
			return nil, err
		}
	}
	for _, h := range starts {
		if err := w.reach(h, 0); err != nil {
			return nil, err
		}
	}
	for w.fresh > 0 {
		at := heap.Pop(&w.queue).(datedCommit) //nolint:forcetypeassert // nothing else is in it
		if at.fresh {
			w.fresh--
		}
		m := w.marks[at.number]
		ends := newEnds
		if m&owned != 0 {
			ends = oldEnds
		} else if m&reported == 0 {
			w.marks[at.number] |= reported
			w.found = append(w.found, at.number)
		}
		if ends.has(at.Hash) {
			continue
		}
		for _, parent := range at.Parents {
			if err := w.reach(parent, m&owned); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

// reach adds a commit to the queue if this is new about it.
func (w *walk) reach(h Hash, m mark) error {
	number, first := w.known.add(h)
	if first {
		w.marks = append(w.marks, m)
	} else if w.marks[number]&m == m {
		return nil
	}
	c, err := w.commit(h)
	if err != nil {
		if m&owned != 0 && lost(err) {
			return nil // what the client has need not be whole here
		}
		return fmt.Errorf("commit %s: %w", h, err)
	}
	if w.known.len() > maxObjects {
		return tooManyObjects()
	}
	w.marks[number] |= m
	if m&owned == 0 {
		w.fresh++
	}
	heap.Push(&w.queue, datedCommit{c, number, m&owned == 0})
	return nil
}

// lost is an object that is not there.
func lost(err error) bool {
	return errors.Is(err, gitrepo.ErrNotFound) || errors.Is(err, gitrepo.ErrIncomplete)
}

func tooManyObjects() error {
	return tooLarge("more than %d objects are too many for one transfer: fetch with --depth first", maxObjects)
}

// dated is a heap of commits, the newest first.
type dated []datedCommit

type datedCommit struct {
	gitrepo.Commit
	number int
	fresh  bool
}

func (d dated) Len() int           { return len(d) }
func (d dated) Less(i, j int) bool { return d[i].At.After(d[j].At) }
func (d dated) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *dated) Push(x any) { *d = append(*d, x.(datedCommit)) } //nolint:forcetypeassert // see missing

// Pop implements heap.Interface.
func (d *dated) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = datedCommit{}
	*d = (*d)[:last]
	return c
}

// each calls fn with every commit that starts lead to, once, the nearest first;
// steps is how far it is from the nearest start. Where fn returns true it goes on
// to the parents.
func (g *graph) each(starts []Hash, fn func(c gitrepo.Commit, steps int) (further bool, err error)) error {
	var seen set // and the queue
	for _, h := range starts {
		seen.add(h)
	}
	steps, level := 0, seen.len()
	for at := 0; at < seen.len(); at++ {
		if at == level {
			steps, level = steps+1, seen.len()
		}
		if seen.len() > maxObjects {
			return tooManyObjects()
		}
		c, err := g.commit(seen.names[at])
		if err != nil {
			return fmt.Errorf("commit %s: %w", seen.names[at], err)
		}
		further, err := fn(c, steps)
		if err != nil {
			return err
		}
		if further {
			for _, parent := range c.Parents {
				seen.add(parent)
			}
		}
	}
	return nil
}
