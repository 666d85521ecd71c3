package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	maxPacks = 64
	// historyTime bounds the making of the history.
	historyTime = 90 * time.Second
	// lookEvery is after how many commits the packs on the disk are counted;
	// those that the repository has open are counted after each.
	lookEvery = 20
)

// history changes documents one commit at a time and measures what that leaves:
// packs, bytes, the time to open, the log of a path.
func (s *site) history(ctx context.Context) error {
	if s.commits == 0 {
		return nil
	}
	made, err := s.makeHistory(ctx)
	if err != nil {
		return err
	}
	peer := filepath.Join(s.dir, "copy.git")
	if err := os.CopyFS(peer, os.DirFS(s.ours)); err != nil {
		return err
	}
	took, err := beside.Clock(func() error {
		_, err := realGit{peer}.run(ctx, nil, "-c", "core.fsync=all", "repack", "-adq")
		return err
	})
	if err != nil {
		return err
	}
	ours, packs, err := objectBytes(s.ours)
	if err != nil {
		return err
	}
	theirs, _, err := objectBytes(peer)
	if err != nil {
		return err
	}
	repacked := beside.Once(float64(theirs))
	s.rep.add(row{
		What: "history: size on disk", Docs: s.n, Unit: inBytes, Ours: beside.Once(float64(ours)), Peer: &repacked, PeerIs: "a copy after git repack -ad",
		At: fmt.Sprintf("ours is %.2f times the peer, in %d packs; %d commits; git repack took %s", float64(ours)/float64(theirs), packs, made, took.Round(time.Millisecond)),
	}, target{within: 1.3, all: true})
	if err := s.opens(ctx, made); err != nil {
		return err
	}
	return s.logs(ctx, realGit{peer}, made)
}

// makeHistory commits new versions of documents, waits for the maintenance and
// returns how many commits it made.
func (s *site) makeHistory(ctx context.Context) (made int, err error) {
	err = s.withRepo(gitrepo.Options{}, func(r *gitrepo.Repo) error {
		most := 0
		commits := &racer{Count: s.commits, Time: historyTime, Do: func(i int) (time.Duration, error) {
			changes := makeDoc(i*stride%s.n, i/s.n+1).changes()
			took, err := beside.Clock(func() error { _, err := r.Commit(ctx, input(changes)); return err })
			if err != nil {
				return 0, err
			}
			most = max(most, r.Maintenance().Packs)
			if i%lookEvery == 0 {
				_, packs, err := objectBytes(s.ours)
				most = max(most, packs)
				return took, err
			}
			return took, nil
		}}
		f, err := beside.Rules{}.Race(ctx, commits)
		if err != nil {
			return err
		}
		made = f[0].Count
		waited, err := beside.Clock(func() error { return r.Settle(ctx) })
		if err != nil {
			return err
		}
		s.rep.add(row{
			What: "history: commit of one document, fsynced", Docs: s.n, Unit: inMicros, Ours: f[0],
			At: fmt.Sprintf("the maintenance runs beside it, %d times; it is done %s after the last commit", r.Maintenance().Runs, waited.Round(time.Millisecond)),
		}, target{})
		s.rep.add(row{What: "history: most packs seen", Docs: s.n, Unit: inPacks, Ours: beside.Once(float64(most))}, target{most: maxPacks, all: true})
		if made < s.commits {
			s.rep.skip(s.n, fmt.Sprintf("%d of %d commits of the history: %s were over", s.commits-made, s.commits, historyTime))
		}
		return r.Maintenance().Err
	})
	return made, err
}

// opens measures opening the repository up to its newest commit.
func (s *site) opens(ctx context.Context, made int) error {
	f, err := s.race(ctx,
		&racer{Count: 20, Time: 3 * time.Second, Do: func(int) (time.Duration, error) {
			var r *gitrepo.Repo
			took, err := beside.Clock(func() (err error) {
				if r, err = gitrepo.OpenDisk(s.ours, gitrepo.Options{}); err != nil {
					return err
				}
				tip, err := r.Tip("")
				if err == nil {
					_, err = r.ReadCommit(ctx, tip)
				}
				return err
			})
			if r != nil {
				if e := r.Close(); err == nil {
					err = e
				}
			}
			return took, err
		}},
		&racer{Count: 20, Time: 2 * time.Second, Do: func(int) (time.Duration, error) {
			return beside.Clock(func() error { _, err := realGit{s.ours}.run(ctx, nil, "cat-file", "commit", "main"); return err })
		}})
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "history: open and read the newest commit", Docs: s.n, Unit: inMicros, Ours: f[0], Peer: &f[1], PeerIs: "git cat-file commit main, a process",
		At: fmt.Sprintf("%d commits", made),
	}, target{most: 50_000})
	return nil
}

// logs compares the log of one document, the one that was changed last.
func (s *site) logs(ctx context.Context, peer realGit, made int) error {
	folder := makeDoc((made-1)*stride%s.n, 0).folder
	return s.withRepo(gitrepo.Options{}, func(r *gitrepo.Repo) error {
		tip, err := r.Tip("")
		if err != nil {
			return err
		}
		var ours []gitrepo.Commit
		var theirs string
		f, err := s.race(ctx,
			&racer{Count: 10, Time: 6 * time.Second, Do: func(int) (time.Duration, error) {
				return beside.Clock(func() (err error) {
					ours, err = r.Log(ctx, tip, gitrepo.LogOptions{Path: path(folder)})
					return err
				})
			}},
			&racer{Count: 10, Time: 6 * time.Second, Do: func(int) (time.Duration, error) {
				return beside.Clock(func() (err error) {
					theirs, err = peer.run(ctx, nil, "log", "--format=%H", "main", "--", folder)
					return err
				})
			}})
		if err != nil {
			return err
		}
		var named []string
		for _, c := range ours {
			named = append(named, c.Hash.String())
		}
		if got := strings.Join(named, "\n"); got != theirs {
			return fmt.Errorf("the log of %s has %d commits, that of git %d, or in another order: %w", folder, len(ours), strings.Count(theirs, "\n")+1, errBroken)
		}
		s.rep.add(row{
			What: "history: log of one document", Docs: s.n, Unit: inMicros, Ours: f[0], Peer: &f[1], PeerIs: "git log -- path, in the repacked copy",
			At: fmt.Sprintf("all %d commits are looked through, %d are found", made, len(ours)),
		}, target{})
		return nil
	})
}
