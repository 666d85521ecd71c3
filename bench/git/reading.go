package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	whatColdRead = "disk: read by path, cold"
	// ample is a cache that holds all that a section reads, in bytes.
	ample = 4 << 30
	// tight is a cache that a walk through a large repository overflows.
	tight = 16 << 20
)

// wanted is one file to read, and what it must hold.
type wanted struct {
	path document.Path
	name string // as git cat-file takes it
	text []byte
}

func (s *site) wanted(many int) []wanted {
	out := make([]wanted, min(many, s.n))
	for i := range out {
		d := makeDoc(i*stride%s.n, 0)
		out[i] = wanted{path(d.textPath()), "main:" + d.textPath(), d.text}
	}
	return out
}

// reads compares reading by path with one git that stays.
func (s *site) reads(ctx context.Context) error {
	files := s.wanted(s.many(3000))
	var rows [4]figure
	var peer figure
	if err := s.withRepo(gitrepo.Options{CacheBytes: 1}, func(r *gitrepo.Repo) (err error) {
		rows[0], peer, err = s.coldReads(ctx, r, files)
		return err
	}); err != nil {
		return err
	}
	if err := s.withRepo(gitrepo.Options{CacheBytes: ample}, func(r *gitrepo.Repo) (err error) {
		rows[1], rows[2], rows[3], err = s.warmReads(ctx, r, files)
		return err
	}); err != nil {
		return err
	}
	const peerIs = "git cat-file --batch with main:path, one process for all"
	s.rep.add(row{
		What: whatColdRead, Docs: s.n, Unit: inMicros, Ours: rows[0], Peer: &peer, PeerIs: peerIs,
		Note: "ours has no cache: every tree and the text are read from the packs and inflated",
	}, target{advantage: 1})
	s.rep.add(row{
		What: "disk: read by path, warm", Docs: s.n, Unit: inMicros, Ours: rows[1], Peer: &peer, PeerIs: peerIs, Note: "ours has the trees in its cache",
	}, target{most: 15})
	s.rep.add(row{
		What: "disk: read by path, cached", Docs: s.n, Unit: inMicros, Ours: rows[2], Peer: &peer, PeerIs: peerIs,
		Note: fmt.Sprintf("ours has the text in its cache, too; timed in groups of %d", group),
	}, target{most: 1})
	s.rep.add(row{
		What: "disk: read by path, cached, shared", Docs: s.n, Unit: inMicros, Ours: rows[3], Peer: &peer, PeerIs: peerIs,
		Note: fmt.Sprintf("the same without a copy, for those who only decode, and not compared; timed in groups of %d", group),
	}, target{most: 1})
	return nil
}

// readOurs reads one file and checks it.
func readOurs(ctx context.Context, r *gitrepo.Repo, tip gitrepo.Hash, w wanted) error {
	got, err := r.ReadFile(ctx, tip, w.path)
	if err == nil && !bytes.Equal(got, w.text) {
		err = fmt.Errorf("%s is not what was written: %w", w.path, errBroken)
	}
	return err
}

func (s *site) coldReads(ctx context.Context, r *gitrepo.Repo, files []wanted) (ours, peer figure, err error) {
	tip, err := r.Tip("")
	if err != nil {
		return ours, peer, err
	}
	git, err := s.peer.catFile(ctx)
	if err != nil {
		return ours, peer, err
	}
	defer func() { err = errors.Join(err, git.close()) }()
	f, err := s.race(
		ctx,
		&racer{Count: len(files), Time: 2 * time.Second, Do: func(i int) (time.Duration, error) {
			return beside.Clock(func() error { return readOurs(ctx, r, tip, files[i]) })
		}},
		&racer{Count: len(files), Time: 2 * time.Second, Do: func(i int) (time.Duration, error) {
			return beside.Clock(func() error {
				got, err := git.read(files[i].name)
				if err == nil && !bytes.Equal(got, files[i].text) {
					err = fmt.Errorf("git cat-file: %s is not what was written: %w", files[i].name, errBroken)
				}
				return err
			})
		}},
	)
	if err != nil {
		return ours, peer, err
	}
	return f[0], f[1], nil
}

// warmReads lists the folders first, which leaves their trees in the cache,
// and reads the texts twice.
func (s *site) warmReads(ctx context.Context, r *gitrepo.Repo, files []wanted) (warm, cached, shared figure, err error) {
	tip, err := r.Tip("")
	if err != nil {
		return warm, cached, shared, err
	}
	for i := range files {
		folder := path(makeDoc(i*stride%s.n, 0).folder)
		if _, err := r.List(ctx, tip, folder); err != nil {
			return warm, cached, shared, err
		}
	}
	first := &racer{Count: len(files), Time: 10 * time.Second, Do: func(i int) (time.Duration, error) {
		return beside.Clock(func() error { return readOurs(ctx, r, tip, files[i]) })
	}}
	f, err := s.race(ctx, first)
	if err != nil {
		return warm, cached, shared, err
	}
	warm, seen := f[0], first.Taken()
	f, err = s.race(ctx, &racer{Count: 1000, Time: time.Second, Do: func(i int) (time.Duration, error) {
		return grouped(i, func(i int) error { return readOurs(ctx, r, tip, files[i%seen]) })
	}}, &racer{Count: 1000, Time: time.Second, Do: func(i int) (time.Duration, error) {
		return grouped(i, func(i int) error { _, err := r.ReadShared(ctx, tip, files[i%seen].path); return err })
	}})
	if err != nil {
		return warm, cached, shared, err
	}
	return warm, f[0], f[1], nil
}

// treeCache fills the cache with every tree and looks at the heap, and does the
// same with a limit that all the trees are over.
func (s *site) treeCache(ctx context.Context) error {
	all, err := s.walked(ctx, ample)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "disk: heap of all cached trees, a document", Docs: s.n, Unit: inBytes, Ours: beside.Once(float64(all) / float64(s.n)),
		At: show(float64(all), inBytes) + " in all",
	}, target{most: 500})
	if err := s.residentMemory(ctx); err != nil {
		return err
	}
	if all < 2*tight {
		return nil
	}
	bounded, err := s.walked(ctx, tight)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "disk: heap after the same walk with a limit", Docs: s.n, Unit: inBytes, Ours: beside.Once(float64(bounded)), Note: "limit " + show(tight, inBytes),
	}, target{most: tight})
	return nil
}

// residentMemory is what the process takes of the machine with one repository
// open whose cache, of the default size, met every tree.
func (s *site) residentMemory(ctx context.Context) error {
	debug.FreeOSMemory() // what earlier sections left is not its doing
	return s.withRepo(gitrepo.Options{}, func(r *gitrepo.Repo) error {
		if _, err := s.walk(ctx, r); err != nil {
			return err
		}
		now, peak := resident()
		s.rep.add(row{
			What: "disk: resident memory of the process", Docs: s.n, Unit: inBytes, Ours: beside.Once(float64(now)),
			Note: "after a walk through all trees with the default cache",
			At:   fmt.Sprintf("the peak of this run until then is %s, which prepared documents and repositories in memory made", show(float64(peak), inBytes)),
		}, target{})
		return nil
	})
}

// walk meets every tree and returns the heap as it was before.
func (s *site) walk(ctx context.Context, r *gitrepo.Repo) (before int64, err error) {
	tip, err := r.Tip("")
	if err != nil {
		return 0, err
	}
	before, files := heap(), 0
	var root document.Path
	err = r.Walk(ctx, tip, root, func(gitrepo.Entry) error { files++; return nil })
	if err == nil && files != 2*s.docs {
		err = fmt.Errorf("a walk met %d files of %d documents: %w", files, s.docs, errBroken)
	}
	return before, err
}

// walked returns by how much the heap grew when every tree was read through a
// cache of that size.
func (s *site) walked(ctx context.Context, cacheBytes int64) (grown int64, err error) {
	err = s.withRepo(gitrepo.Options{CacheBytes: cacheBytes}, func(r *gitrepo.Repo) error {
		before, err := s.walk(ctx, r)
		if err != nil {
			return err
		}
		grown = max(heap()-before, 0)
		return nil
	})
	return grown, err
}

// heap is what the program keeps, garbage collected.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go is collected by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // less than the machine has
}
