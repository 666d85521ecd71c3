package main

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // git's names
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/bench/beside"
)

const whatMemoryCommit = "memory: commit of one document"

// memory measures the repository in memory.
func (s *site) memory(ctx context.Context) (err error) {
	r := gitrepo.NewMemory(gitrepo.Options{})
	defer func() { err = errors.Join(err, r.Close()) }()
	for from := 0; from < s.n; from += batchDocs {
		changes, _ := batch(from, min(batchDocs, s.n-from), 0)
		if _, err := r.Commit(ctx, input(changes)); err != nil {
			return err
		}
	}
	keep := &hashFloor{objects: make(map[[sha1.Size]byte][]byte)}
	for _, section := range []func(context.Context, *gitrepo.Repo, *hashFloor) error{s.memoryReads, s.memoryCommits} {
		if err := section(ctx, r, keep); err != nil {
			return err
		}
	}
	return s.memoryMerges(ctx, r)
}

func (s *site) memoryReads(ctx context.Context, r *gitrepo.Repo, keep *hashFloor) error {
	many := s.many(4096)
	tip, err := r.Tip("")
	if err != nil {
		return err
	}
	var paths []document.Path
	var names [][sha1.Size]byte
	for i := range many {
		d := makeDoc(i*stride%s.n, 0)
		keep.put(d)
		paths, names = append(paths, path(d.textPath())), append(names, sha1.Sum(d.text)) //nolint:gosec // git's names
	}
	ours := &racer{Count: 2000, Time: time.Second, Do: func(i int) (time.Duration, error) {
		return grouped(i, func(i int) error { _, err := r.ReadFile(ctx, tip, paths[i%many]); return err })
	}}
	least := &racer{Count: 2000, Time: time.Second, Do: func(i int) (time.Duration, error) {
		return grouped(i, func(i int) error {
			if len(keep.get(names[i%many])) != textBytes {
				return errBroken
			}
			return nil
		})
	}}
	shared := &racer{Count: 2000, Time: time.Second, Do: func(i int) (time.Duration, error) {
		return grouped(i, func(i int) error { _, err := r.ReadShared(ctx, tip, paths[i%many]); return err })
	}}
	f, err := s.race(ctx, ours, least, shared)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "memory: read by path, shared", Docs: s.n, Unit: inMicros, Ours: f[2], Floor: &f[1],
		FloorIs: "look up of the text by its hash in a map, and a copy", Note: fmt.Sprintf("without a copy, for those who only decode; timed in groups of %d", group),
	}, target{most: 0.5})
	s.rep.add(row{
		What: "memory: read by path", Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1],
		FloorIs: "look up of the text by its hash in a map, and a copy", Note: fmt.Sprintf("timed in groups of %d", group),
	}, target{most: 0.5})
	return nil
}

func (s *site) memoryCommits(ctx context.Context, r *gitrepo.Repo, keep *hashFloor) error {
	many := s.many(4000)
	docs := make([]doc, many)
	prepared := make([][]gitrepo.Change, many)
	for i := range docs {
		docs[i] = makeDoc(i*stride%s.n, i/s.n+1)
		prepared[i] = docs[i].changes()
	}
	ours := &racer{Count: many, Time: 2 * time.Second, Do: func(i int) (time.Duration, error) {
		return beside.Clock(func() error { _, err := r.Commit(ctx, input(prepared[i])); return err })
	}}
	least := &racer{Count: many, Time: 2 * time.Second, Do: func(i int) (time.Duration, error) {
		return beside.Clock(func() error { keep.put(docs[i]); return nil })
	}}
	f, err := s.race(ctx, ours, least)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: whatMemoryCommit, Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1],
		FloorIs: "SHA-1 of two files and their places in a map", Note: "ours makes two blobs, eight trees and the commit, and moves the branch",
	}, target{most: 15})
	last := docs[ours.Taken()-1]
	tip, err := r.Tip("")
	if err != nil {
		return err
	}
	got, err := r.ReadFile(ctx, tip, path(last.textPath()))
	if err == nil && !bytes.Equal(got, last.text) {
		err = fmt.Errorf("memory: %s is not what was committed: %w", last.textPath(), errBroken)
	}
	return err
}

// memoryMerges merges two branches that changed one document each, beside the
// same merge by git merge-tree.
func (s *site) memoryMerges(ctx context.Context, r *gitrepo.Repo) error {
	if _, err := s.peer.run(ctx, sides(s.n), "fast-import", "--quiet"); err != nil {
		return err
	}
	ours := &racer{Count: 1000, Time: 2 * time.Second, Do: func(i int) (time.Duration, error) { return s.memoryMerge(ctx, r, i) }}
	peer := &racer{Count: 30, Time: 3 * time.Second, Do: func(int) (time.Duration, error) {
		return beside.Clock(func() error {
			_, err := s.peer.run(ctx, nil, "-c", "core.fsync=none", "merge-tree", "--write-tree", "left", "right")
			return err
		})
	}}
	f, err := s.race(ctx, ours, peer)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "memory: merge, one document a side", Docs: s.n, Unit: inMicros, Ours: f[0], Peer: &f[1],
		PeerIs: "git merge-tree --write-tree, a process each, without fsync", Note: "ours finds the base, merges, commits and moves the branch",
	}, target{most: 10, advantage: 500})
	return nil
}

// memoryMerge makes two sides and times their merge.
func (s *site) memoryMerge(ctx context.Context, r *gitrepo.Repo, i int) (time.Duration, error) {
	const side = "side"
	tip, err := r.Tip("")
	if err != nil {
		return 0, err
	}
	if err := r.CreateBranch(side, tip); err != nil {
		return 0, err
	}
	version := 1_000_000 + i
	left, right := makeDoc(i*stride%s.n, version), makeDoc((i*stride+s.n/2)%s.n, version)
	if _, err := r.Commit(ctx, input(left.changes())); err != nil {
		return 0, err
	}
	theirs := input(right.changes())
	theirs.Branch = side
	if _, err := r.Commit(ctx, theirs); err != nil {
		return 0, err
	}
	var merged gitrepo.Hash
	took, err := beside.Clock(func() (err error) {
		merged, err = r.Merge(ctx, gitrepo.MergeInput{From: side, Author: author, At: when})
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, d := range []doc{left, right} {
		got, err := r.ReadFile(ctx, merged, path(d.textPath()))
		if err != nil || !bytes.Equal(got, d.text) {
			return 0, errors.Join(fmt.Errorf("the merge lacks %s: %w", d.folder, errBroken), err)
		}
	}
	return took, r.DeleteBranch(side)
}
