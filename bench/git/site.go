package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/bench/beside"
)

// site is the repositories of one number of documents.
type site struct {
	n       int
	commits int // of the history, 0 for none
	dir     string
	rep     *report

	ours    string  // our repository
	peer    realGit // real git's, with a worktree if there is room for one
	samples int     // at most that many of each thing, 0 for as many as it likes
	// docs and peerDocs are how many documents the two hold now.
	docs, peerDocs int
	worktree       bool
}

// all measures everything at one size. What it made is left to the caller.
func (s *site) all(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	s.ours = filepath.Join(s.dir, "ours.git")
	for _, section := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"import", s.imports},
		{"memory", s.memory},
		{"reads", s.reads},
		{"tree cache", s.treeCache},
		{"worktree of real git", s.checkout},
		{"durable commits", s.writes},
		{"history", s.history},
		{"git judges", s.judge},
	} {
		s.rep.progress.Step(s.n, section.what)
		if err := section.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", section.what, err)
		}
	}
	return nil
}

// race measures in turn. Much of the work is done by other processes.
func (s *site) race(ctx context.Context, racers ...*racer) ([]figure, error) {
	return beside.Rules{Samples: s.samples}.Race(ctx, racers...)
}

// many is how many inputs a section makes before it measures.
func (s *site) many(n int) int {
	if s.samples > 0 {
		return min(n, group*s.samples)
	}
	return n
}

// withRepo opens our repository for a section.
func (s *site) withRepo(o gitrepo.Options, do func(*gitrepo.Repo) error) error {
	return withRepo(s.ours, o, do)
}

func withRepo(dir string, o gitrepo.Options, do func(*gitrepo.Repo) error) error {
	r, err := gitrepo.OpenDisk(dir, o)
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// judge lets real git look at what we made, and counts.
func (s *site) judge(ctx context.Context) error {
	g := realGit{s.ours}
	if err := g.fsck(ctx); err != nil {
		return err
	}
	for _, side := range []struct {
		git  realGit
		want int
	}{{g, s.docs}, {s.peer, s.peerDocs}} {
		files, err := side.git.files(ctx, "main")
		if err != nil {
			return err
		}
		if files != 2*side.want {
			return fmt.Errorf("%s has %d files for %d documents: %w", side.git.dir, files, side.want, errBroken)
		}
	}
	return nil
}

// objectBytes is what the objects of a repository take on the disk, and how
// many packs they are in.
func objectBytes(gitDir string) (size int64, packs int, err error) {
	err = filepath.WalkDir(filepath.Join(gitDir, "objects"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the maintenance removed it meanwhile
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		size += info.Size()
		if filepath.Ext(path) == ".pack" {
			packs++
		}
		return nil
	})
	return size, packs, err
}

// sameTree fails unless two repositories have the same tree at main.
func sameTree(ctx context.Context, a, b realGit) error {
	const tree = "main^{tree}"
	left, err := a.run(ctx, nil, "rev-parse", tree)
	if err != nil {
		return err
	}
	right, err := b.run(ctx, nil, "rev-parse", tree)
	if err == nil && left != right {
		err = fmt.Errorf("%s has tree %s, %s has %s for the same documents: %w", a.dir, left, b.dir, right, errBroken)
	}
	return err
}
