package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// drained waits until the maintenance has done a number of runs. Its work
// happens on a disk, so this is bounded polling.
func drained(t testing.TB, r *Repo, runs int) Maintenance {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		m := r.Maintenance()
		if m.Runs >= runs && m.Packs <= softPacks || m.Err != nil {
			return m
		}
		select {
		case <-deadline.C:
			t.Fatalf("the maintenance does not end: %+v", m)
		case <-tick.C:
		}
	}
}

func TestPacksAreConsolidated(t *testing.T) {
	r, dir := disked(t)
	var versions []Hash
	for i := range softPacks {
		versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprint(i)), put(t, fmt.Sprintf("d/%d", i), "same content")))
	}
	if m := r.Maintenance(); m.Packs != softPacks || m.Runs != 0 {
		t.Fatalf("at the limit: %+v", m)
	}
	versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprint(softPacks))))
	if m := drained(t, r, 1); m.Err != nil || m.Packs != 1 {
		t.Fatalf("past the limit: %+v", m)
	}
	if packs, idx := matches(t, dir, "objects/pack/*.pack"), matches(t, dir, "objects/pack/*.idx"); len(packs) != 1 || len(idx) != 1 {
		t.Fatalf("%d packs, %d indexes on the disk", len(packs), len(idx))
	}
	fresh := opened(t, dir)
	for i, h := range versions {
		wantFile(t, r, h, "doc", fmt.Sprint(i))
		wantFile(t, fresh, h, "doc", fmt.Sprint(i))
	}
	fsck(t, dir)
}

// Packs that git made, with deltas, a multi-pack index and a kept one.
func TestConsolidationOfRealGitsPacks(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	body := fmt.Sprintf("%01000d", 7)
	var versions []Hash
	for i := range 10 {
		versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprint(body, i))))
	}
	git(t, dir, "repack", "-adfq", "--write-midx")
	kept := matches(t, dir, "objects/pack/*.pack")[0]
	for i := range 5 {
		versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprint(body, 10+i))))
	}
	git(t, dir, "repack", "-dfq")
	git(t, dir, "multi-pack-index", "write")
	write(t, kept[:len(kept)-len(".pack")]+".keep", "")
	closeRepo(t, r)
	r = opened(t, dir)
	for i := range softPacks + 1 {
		versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprint(body, 15+i))))
	}
	if m := drained(t, r, 1); m.Err != nil {
		t.Fatalf("%+v", m)
	}
	if len(matches(t, dir, "objects/pack/"+filepath.Base(kept))) != 1 {
		t.Error("a kept pack was removed")
	}
	for i, h := range versions {
		wantFile(t, r, h, "doc", fmt.Sprint(body, i))
	}
	fsck(t, dir)
}

// A damaged pack is never consolidated away: the old packs stay, and the error
// is reported.
func TestConsolidationRefusesDamage(t *testing.T) {
	r, dir := disked(t)
	for i := range softPacks {
		commit(t, r, put(t, "doc", fmt.Sprint(i)))
	}
	for _, pack := range matches(t, dir, "objects/pack/*.pack") {
		flip(t, pack, 30)
	}
	commit(t, r, put(t, "doc", "last"))
	m := drained(t, r, 1)
	if !errors.Is(m.Err, ErrCorrupt) {
		t.Fatalf("%+v", m)
	}
	closeRepo(t, r) // which ends the maintenance
	if packs := matches(t, dir, "objects/pack/*.pack"); len(packs) != softPacks+1 {
		t.Fatalf("%d packs", len(packs))
	}
	if extra := matches(t, dir, "objects/pack/tmp*"); len(extra) != 0 {
		t.Fatalf("left behind: %v", extra)
	}
}

// Readers see one commit whole, whatever commits and consolidations go on.
func TestReadersRaceTheWriter(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		const files, commits = 5, 2 * softPacks
		version := func(i int) []Change {
			var out []Change
			for f := range files {
				out = append(out, put(t, fmt.Sprintf("d/%d/x", f), fmt.Sprintf("version %d", i)))
			}
			return out
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		all := []Hash{commit(t, r, version(0)...)}
		var mu sync.Mutex
		var group errgroup.Group
		for n := range 2 {
			group.Go(func() error {
				for i := n; ctx.Err() == nil; i += 7 {
					mu.Lock()
					at := i % len(all)
					h := all[at]
					mu.Unlock()
					for f := range files {
						data, err := r.ReadFile(context.Background(), h, mustPath(fmt.Sprintf("d/%d/x", f)))
						if err != nil || string(data) != fmt.Sprintf("version %d", at) {
							return fmt.Errorf("version %d: %q, %w", at, data, err)
						}
					}
				}
				return nil
			})
		}
		for i := range commits {
			h := commit(t, r, version(i+1)...)
			mu.Lock()
			all = append(all, h)
			mu.Unlock()
		}
		cancel()
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// Concurrent committers lose nothing and mix nothing.
func TestConcurrentCommitters(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		const writers, each = 8, 10
		var group errgroup.Group
		for w := range writers {
			group.Go(func() error {
				for i := range each {
					_, err := r.Commit(context.Background(), CommitInput{
						Changes: []Change{{Path: mustPath(fmt.Sprintf("w%d/%d", w, i)), Data: []byte("x")}},
						Message: fmt.Sprintf("%d/%d", w, i), Author: ann, At: when,
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		tip, err := r.Tip("")
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		if err := r.Walk(context.Background(), tip, pathRoot, func(Entry) error { count++; return nil }); err != nil || count != writers*each {
			t.Fatalf("%d files, %v", count, err)
		}
		if got := hashes(t, r, tip, LogOptions{}); len(got) != writers*each {
			t.Fatalf("%d commits", len(got))
		}
	})
}

// Two processes on one folder: each builds upon the other's commits.
func TestTwoReposOnOneFolder(t *testing.T) {
	a, dir := disked(t)
	b := opened(t, dir)
	var group errgroup.Group
	for n, r := range []*Repo{a, b} {
		group.Go(func() error {
			for i := range 30 {
				for {
					_, err := r.Commit(context.Background(), CommitInput{
						Changes: []Change{{Path: mustPath(fmt.Sprintf("%d/%d", n, i)), Data: []byte("x")}}, Author: ann, At: when,
					})
					if err == nil {
						break
					}
					if !errors.Is(err, ErrMoved) && !errors.Is(err, ErrBusy) {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	tip, err := a.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	if got := hashes(t, b, tip, LogOptions{}); len(got) != 60 {
		t.Fatalf("%d commits", len(got))
	}
	// Git would miss a pack that goes while it checks.
	closeRepo(t, a)
	closeRepo(t, b)
	fsck(t, dir)
}
