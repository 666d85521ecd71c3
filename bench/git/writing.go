package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	whatDiskCommit = "disk: commit of one document, fsynced"
	whatDiskBatch  = "disk: 100 documents a commit, fsynced, a document"
	batchWrite     = 100
)

// checkout gives real git the worktree that git add needs.
func (s *site) checkout(ctx context.Context) error {
	if s.n > worktreeDocs {
		s.rep.skip(s.n, fmt.Sprintf("git add and git commit: a worktree of more than %d documents takes minutes to check out", worktreeDocs))
		return nil
	}
	s.worktree = true
	_, err := s.peer.run(ctx, nil, "-c", "checkout.workers=0", "-c", "core.fsync=none", "reset", "--hard", "--quiet", "main")
	return err
}

// writes measures durable commits of ours beside git add and git commit in the
// worktree.
func (s *site) writes(ctx context.Context) error {
	return s.withRepo(gitrepo.Options{}, func(r *gitrepo.Repo) (err error) {
		disk, err := newFloor(s.dir)
		if err != nil {
			return err
		}
		defer disk.close(&err)
		if err := s.single(ctx, r, disk); err != nil {
			return err
		}
		if err := s.batches(ctx, r, disk); err != nil {
			return err
		}
		return r.Settle(ctx)
	})
}

func (s *site) single(ctx context.Context, r *gitrepo.Repo, disk *floor) error {
	size := makeDoc(0, 0).bytes()
	ours := &racer{Count: 500, Time: 3 * time.Second, Do: func(int) (time.Duration, error) { return s.commitNew(ctx, r, 1) }}
	replace := &racer{Count: 200, Time: 2 * time.Second, Do: func(int) (time.Duration, error) { return disk.replace(size) }}
	appends := &racer{Count: 200, Time: time.Second, Do: func(int) (time.Duration, error) { return disk.append(size) }}
	racers := []*racer{ours, replace, appends}
	if s.worktree {
		racers = append(racers, &racer{Count: 10, Time: 10 * time.Second, Do: func(int) (time.Duration, error) { return s.gitCommit(ctx, 1) }})
	}
	f, err := s.race(ctx, racers...)
	if err != nil {
		return err
	}
	line := row{
		What: whatDiskCommit, Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1],
		FloorIs: "one file durable: temporary file, fsync, rename, fsync of the folder",
		At:      fmt.Sprintf("append and fsync of the same bytes: %s", show(f[2].Median, inMicros)),
	}
	if s.worktree {
		line.Peer, line.PeerIs = &f[3], "git add and git commit in a worktree of as many documents, core.fsync=all"
	}
	s.rep.add(line, target{most: 2000, advantage: 500})
	return nil
}

func (s *site) batches(ctx context.Context, r *gitrepo.Repo, disk *floor) error {
	size := makeDoc(0, 0).bytes() * batchWrite
	each := func(took time.Duration, err error) (time.Duration, error) { return took / batchWrite, err }
	racers := []*racer{
		{Count: 60, Time: 4 * time.Second, Do: func(int) (time.Duration, error) { return each(s.commitNew(ctx, r, batchWrite)) }},
		{Count: 60, Time: time.Second, Do: func(int) (time.Duration, error) { return each(disk.append(size)) }},
	}
	if s.worktree {
		racers = append(racers, &racer{Count: 3, Time: 6 * time.Second, Do: func(int) (time.Duration, error) { return each(s.gitCommit(ctx, batchWrite)) }})
	}
	f, err := s.race(ctx, racers...)
	if err != nil {
		return err
	}
	line := row{What: whatDiskBatch, Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1], FloorIs: "append and fsync of the same bytes"}
	if s.worktree {
		line.Peer, line.PeerIs = &f[2], "git add and git commit of as many documents, core.fsync=all"
	}
	s.rep.add(line, target{most: 160})
	return nil
}

// commitNew commits documents that are new, and times that.
func (s *site) commitNew(ctx context.Context, r *gitrepo.Repo, n int) (time.Duration, error) {
	changes, _ := batch(s.docs, n, 0)
	took, err := beside.Clock(func() error { _, err := r.Commit(ctx, input(changes)); return err })
	if err == nil {
		s.docs += n
	}
	return took, err
}

// gitCommit writes new documents into the worktree and times git add and git
// commit.
func (s *site) gitCommit(ctx context.Context, n int) (time.Duration, error) {
	add := []string{"add", "--"}
	for i := s.peerDocs; i < s.peerDocs+n; i++ {
		d := makeDoc(i, 0)
		folder := filepath.Join(s.peer.dir, filepath.FromSlash(d.folder))
		err := errors.Join(
			os.MkdirAll(folder, 0o755),
			os.WriteFile(filepath.Join(folder, "metadata.json"), d.meta, 0o644),
			os.WriteFile(filepath.Join(folder, "content.txt"), d.text, 0o644),
		)
		if err != nil {
			return 0, err
		}
		add = append(add, d.folder)
	}
	took, err := beside.Clock(func() error {
		if _, err := s.peer.run(ctx, nil, add...); err != nil {
			return err
		}
		_, err := s.peer.run(ctx, nil, "commit", "--quiet", "-m", "bench")
		return err
	})
	if err == nil {
		s.peerDocs += n
	}
	return took, err
}
