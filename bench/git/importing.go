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

// imported is what a bulk import of ours cost.
type imported struct {
	perDoc  figure // microseconds, by commit
	total   time.Duration
	cpu     time.Duration // of this process, until all is settled
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
	s.importRows(plain, peer.took, bytes)
	theirs := beside.Once(beside.Micros(peer.cpu) / float64(s.n))
	s.rep.add(row{
		What: "import, processor time a document", Docs: s.n, Unit: inMicros, Ours: beside.Once(beside.Micros(plain.cpu) / float64(s.n)), Peer: &theirs, PeerIs: "git fast-import, user and system",
		Note: "of all cores, until the maintenance has nothing to do; what else runs on the machine changes this least",
	}, target{})
	return nil
}

// cost is what something took of the clock and of the processors.
type cost struct{ took, cpu time.Duration }

// importRows adds the lines of an import: until the last commit is durable, and
// until it takes no more bytes than it will.
func (s *site) importRows(got imported, peer time.Duration, peerBytes int64) {
	n := float64(s.n)
	perDoc, onDisk := beside.Once(beside.Micros(peer)/n), beside.Once(float64(peerBytes)/n)
	settled := got.total + got.settle
	const floorIs, peerIs = "write and fsync of the bytes of a commit, a document", "git fast-import of the same commits, all fsynced at its end"
	ours := got.perDoc
	ours.Median = beside.Micros(got.total) / n
	s.rep.add(row{
		What: "import, a document", Docs: s.n, Unit: inMicros, Ours: ours, Floor: &got.floor, Peer: &perDoc, FloorIs: floorIs, PeerIs: peerIs,
		Note: fmt.Sprintf("mean of the whole import, p99 and n are of commits; every commit of %d is fsynced, large ones are stored and compressed in the background", batchDocs),
		At:   fmt.Sprintf("%.0f docs/s, peer %.0f docs/s", n/got.total.Seconds(), n/peer.Seconds()),
	}, target{advantage: 4})
	s.rep.add(row{
		What: "import and its compression, a document", Docs: s.n, Unit: inMicros, Ours: beside.Once(beside.Micros(settled) / n), Floor: &got.floor, Peer: &perDoc, FloorIs: floorIs, PeerIs: peerIs,
		Note: "until the maintenance has nothing to do",
		At:   fmt.Sprintf("%s after the last commit; %.0f docs/s", got.settle.Round(time.Millisecond), n/settled.Seconds()),
	}, target{advantage: 1.5})
	s.rep.add(row{
		What: "import, bytes a document on disk", Docs: s.n, Unit: inBytes, Ours: beside.Once(float64(got.settled) / n), Peer: &onDisk,
		PeerIs: "what fast-import left", Note: "ours after maintenance", At: fmt.Sprintf("in %d packs; %.0f B right after the import", got.packs, float64(got.fresh)/n),
	}, target{within: 1})
}

// fastImport lets real git import the documents, and returns how long it took.
func (s *site) fastImport(ctx context.Context) (peer cost, err error) {
	file := filepath.Join(s.dir, "stream")
	if err := stream(ctx, file, s.n); err != nil {
		return peer, err
	}
	if s.peer, err = initPeer(ctx, filepath.Join(s.dir, "peer")); err != nil {
		return peer, err
	}
	in, err := os.Open(file)
	if err != nil {
		return peer, err
	}
	cmd := s.peer.command(ctx, "fast-import", "--quiet")
	cmd.Stdin = in
	var said []byte
	peer.took, err = beside.Clock(func() (err error) { said, err = cmd.CombinedOutput(); return err })
	if err != nil {
		return peer, errors.Join(fmt.Errorf("git fast-import: %w: %s", err, said), in.Close())
	}
	peer.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return peer, errors.Join(in.Close(), os.Remove(file))
}

// aheadDocs is how many documents are made before the clock runs: the
// maintenance must not get time that an import would not give it.
const aheadDocs = 200 * batchDocs

// floorEvery is after how many commits the floor is measured once.
const floorEvery = 5

// importOurs commits n documents in batches to a new repository. Making the
// documents is not timed, nor is the floor.
func importOurs(ctx context.Context, dir string, n int, o gitrepo.Options) (got imported, err error) {
	err = withRepo(dir, o, func(r *gitrepo.Repo) (err error) {
		disk, err := newFloor(filepath.Dir(dir))
		if err != nil {
			return err
		}
		defer disk.close(&err)
		var times, floors []time.Duration
		for from := 0; from < n; from += aheadDocs {
			commits := ahead(from, min(from+aheadDocs, n))
			before := beside.ProcessorTime()
			for i, made := range commits {
				took, err := beside.Clock(func() error { _, err := r.Commit(ctx, input(made.changes)); return err })
				if err != nil {
					return err
				}
				got.total += took
				docs := time.Duration(made.docs)
				times = append(times, took/docs)
				if i%floorEvery == 0 {
					floor, err := disk.append(made.bytes)
					if err != nil {
						return err
					}
					floors = append(floors, floor/docs)
				}
			}
			got.cpu += beside.ProcessorTime() - before
		}
		got.perDoc, got.floor = beside.Summarize(times), beside.Summarize(floors)
		if got.fresh, _, err = objectBytes(dir); err != nil {
			return err
		}
		before := beside.ProcessorTime()
		if got.settle, err = beside.Clock(func() error { return r.Settle(ctx) }); err != nil {
			return err
		}
		got.cpu += beside.ProcessorTime() - before
		got.settled, got.packs, err = objectBytes(dir)
		return err
	})
	return got, err
}

// prepared is one commit of an import.
type prepared struct {
	changes     []gitrepo.Change
	docs, bytes int
}

// ahead makes the commits of the documents from..to.
func ahead(from, to int) (out []prepared) {
	for ; from < to; from += batchDocs {
		p := prepared{docs: min(batchDocs, to-from)}
		p.changes, p.bytes = batch(from, p.docs, 0)
		out = append(out, p)
	}
	return out
}
