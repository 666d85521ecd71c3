package govc

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync"
)

// writerLock is the right to write to one repository, shared by all clients of
// this process. It has lanes: a document is always of the same one, so that
// writes of different documents need not wait for each other where the service
// takes each as a whole. Whoever stages takes all of them.
type writerLock struct {
	name  string
	lanes [lanes]chan struct{} // capacity 1
	uses  int                  // guarded by writers.mu
}

const lanes = 64

// laneSet has a bit for each lane.
type laneSet uint64

const allLanes = ^laneSet(0)

var laneSeed = maphash.MakeSeed()

// lanesOf returns the lanes of the documents of some tasks.
func lanesOf(tasks []*task) (set laneSet) {
	for _, t := range tasks {
		set |= 1 << (maphash.String(laneSeed, t.op.Key.Folder.String()) % lanes)
	}
	return set
}

var writers = struct {
	mu   sync.Mutex
	held map[string]*writerLock
}{held: map[string]*writerLock{}}

func acquireWriter(name string) *writerLock {
	writers.mu.Lock()
	defer writers.mu.Unlock()
	l := writers.held[name]
	if l == nil {
		l = &writerLock{name: name}
		for i := range l.lanes {
			l.lanes[i] = make(chan struct{}, 1)
		}
		writers.held[name] = l
	}
	l.uses++
	return l
}

func (l *writerLock) release() {
	writers.mu.Lock()
	defer writers.mu.Unlock()
	if l.uses--; l.uses == 0 {
		delete(writers.held, l.name)
	}
}

// lock waits for some lanes, or until ctx ends, and returns how to give them
// back. Lanes are taken in their order, so that nobody waits in a circle.
func (l *writerLock) lock(ctx context.Context, set laneSet) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var held laneSet
	unlock = func() {
		for rest := held; rest != 0; rest &= rest - 1 {
			<-l.lanes[bits.TrailingZeros64(uint64(rest))]
		}
	}
	for rest := set; rest != 0; rest &= rest - 1 {
		select {
		case l.lanes[bits.TrailingZeros64(uint64(rest))] <- struct{}{}:
			held |= rest & -rest
		case <-ctx.Done():
			unlock()
			return nil, ctx.Err()
		}
	}
	return unlock, nil
}
