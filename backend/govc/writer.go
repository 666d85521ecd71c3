package govc

import (
	"context"
	"slices"
	"sync"
)

// writerLock is the right to write to one repository, shared by all clients of
// this process: to some of its folders, so that writes of different documents
// need not wait for each other where the service takes each as a whole, or to all
// of it, as whoever stages must have it. It is given in the order in which it is
// asked for, as far as folders are shared, and as a whole: so nobody waits in a
// circle, or for ever.
type writerLock struct {
	name string
	uses int // guarded by writers.mu

	mu      sync.Mutex // guards what follows
	held    folders
	waiting []*claim // the oldest first
}

// folders are some folders of a repository.
type folders struct {
	all   int // how often all are meant
	named map[string]struct{}
}

// claim is what somebody wants to write to.
type claim struct {
	folders []string // nil is all
	granted chan struct{}
}

// meet reports whether a claim has something in common with folders.
func (f *folders) meet(c *claim) bool {
	if f.all > 0 || (c.folders == nil && len(f.named) > 0) {
		return true
	}
	return slices.ContainsFunc(c.folders, func(folder string) bool { _, there := f.named[folder]; return there })
}

func (f *folders) add(c *claim) {
	if c.folders == nil {
		f.all++
	}
	if f.named == nil {
		f.named = make(map[string]struct{}, len(c.folders))
	}
	for _, folder := range c.folders {
		f.named[folder] = struct{}{}
	}
}

func (f *folders) remove(c *claim) {
	if c.folders == nil {
		f.all--
	}
	for _, folder := range c.folders {
		delete(f.named, folder)
	}
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

// lock waits for the right to write to some folders, nil being all of them, or
// until ctx ends, and returns how to give it back.
func (l *writerLock) lock(ctx context.Context, folders []string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &claim{folders: folders, granted: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	l.grant()
	l.mu.Unlock()
	select {
	case <-c.granted:
		return func() { l.giveBack(c) }, nil
	case <-ctx.Done():
	}
	l.giveBack(c)
	return nil, ctx.Err()
}

// giveBack ends a claim, granted or not.
func (l *writerLock) giveBack(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, c); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	} else {
		l.held.remove(c)
	}
	l.grant()
}

// grant gives to those who wait what neither is held nor was asked for by
// somebody before them. The caller holds mu.
func (l *writerLock) grant() {
	var before folders
	l.waiting = slices.DeleteFunc(l.waiting, func(c *claim) bool {
		if l.held.meet(c) || before.meet(c) {
			before.add(c)
			return false
		}
		l.held.add(c)
		close(c.granted)
		return true
	})
}

// foldersOf returns the folders of some tasks.
func foldersOf(tasks []*task) []string {
	out := make([]string, len(tasks))
	for i, t := range tasks {
		out[i] = t.op.Key.Folder.String()
	}
	return out
}
