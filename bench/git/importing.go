package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// imported is what a bulk import of ours cost.
type imported struct {
	perDoc  figure // microseconds, by commit
	total   time.Duration
	floor   figure
	settle  time.Duration
	fresh   int64 // bytes when the last commit was done
	settled int64 // bytes when the maintenance has nothing to do
	packs   int
}

// imports makes both repositories of the same documents, and compares the time
// and the bytes.
func (s *site) imports(ctx context.Context) error {
	peer, err := s.fastImport(ctx)
	if err != nil {
		return err
	}
	plain, err := importOurs(ctx, s.ours, s.n, gitrepo.Options{})
	if err != nil {
		return err
	}
	if err := sameTree(ctx, realGit{s.ours}, s.peer); err != nil {
		return err
	}
	s.docs, s.peerDocs = s.n, s.n
	bytes, _, err := objectBytes(filepath.Join(s.peer.dir, ".git"))
	if err != nil {
		return err
	}
	s.importRows("import", plain, peer, bytes, 1.5)
	return nil
}

// importRows adds the lines of one way of importing.
func (s *site) importRows(what string, got imported, peer time.Duration, peerBytes int64, advantage float64) {
	n := float64(s.n)
	ours := got.perDoc
	ours.Median = micros(got.total) / n
	perDoc, onDisk := once(micros(peer)/n), once(float64(peerBytes)/n)
	s.rep.add(row{
		What: what + ", a document", Docs: s.n, Unit: inMicros, Ours: ours, Floor: &got.floor, Peer: &perDoc,
		FloorIs: "write and fsync of the bytes of a commit, a document", PeerIs: "git fast-import of the same commits, all fsynced at its end",
		Note: fmt.Sprintf("ours fsyncs each of the commits of %d: %.0f docs/s, peer %.0f docs/s (mean of the whole import, p99 is of commits); %s later the maintenance has nothing to do",
			batchDocs, n/got.total.Seconds(), n/peer.Seconds(), got.settle.Round(time.Millisecond)),
	}, target{advantage: advantage})
	s.rep.add(row{
		What: what + ", bytes a document on disk", Docs: s.n, Unit: inBytes, Ours: once(float64(got.settled) / n), Peer: &onDisk,
		PeerIs: "what fast-import left", Note: fmt.Sprintf("ours after maintenance, in %d packs; %.0f B right after the import", got.packs, float64(got.fresh)/n),
	}, target{within: 1})
}

// fastImport lets real git import the documents, and returns how long it took.
func (s *site) fastImport(ctx context.Context) (took time.Duration, err error) {
	file := filepath.Join(s.dir, "stream")
	if err := stream(ctx, file, s.n); err != nil {
		return 0, err
	}
	if s.peer, err = initPeer(ctx, filepath.Join(s.dir, "peer")); err != nil {
		return 0, err
	}
	in, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	took, err = clock(func() error {
		_, err := s.peer.run(ctx, in, "fast-import", "--quiet")
		return err
	})
	if e := in.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Remove(file)
	}
	return took, err
}

// importOurs commits n documents in batches to a new repository. Making the
// documents is not timed, nor is the floor between the commits.
func importOurs(ctx context.Context, dir string, n int, o gitrepo.Options) (got imported, err error) {
	err = withRepo(dir, o, func(r *gitrepo.Repo) error {
		disk, err := newFloor(filepath.Dir(dir))
		if err != nil {
			return err
		}
		defer disk.close(&err)
		var times, floors []time.Duration
		for from := 0; from < n; from += batchDocs {
			docs := min(batchDocs, n-from)
			changes, size := batch(from, docs, 0)
			took, err := clock(func() error { _, err := r.Commit(ctx, input(changes)); return err })
			if err != nil {
				return err
			}
			got.total += took
			times = append(times, took/time.Duration(docs))
			floor, err := disk.append(size)
			if err != nil {
				return err
			}
			floors = append(floors, floor/time.Duration(docs))
		}
		got.perDoc, got.floor = summarize(times), summarize(floors)
		if got.fresh, _, err = objectBytes(dir); err != nil {
			return err
		}
		if got.settle, err = clock(func() error { return r.Settle(ctx) }); err != nil {
			return err
		}
		got.settled, got.packs, err = objectBytes(dir)
		return err
	})
	return got, err
}
