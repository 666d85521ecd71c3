package gitrepo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

func secondsOf(n int) time.Duration { return time.Duration(n) * time.Second }

// poweredRuns runs a history with the power failing at every step (a share of
// them in a quick run), and judges what was left.
func poweredRuns(t *testing.T, stride, samples int, history func(p *powered)) {
	t.Helper()
	needGit(t)
	seeds := 1
	if raced {
		stride, samples = 4*stride, 1
	}
	if rounds := soakRounds(t); rounds > 0 {
		seeds, stride, samples = max(rounds/20, 1), 1, 40
	}
	total := 0
	for seed := range seeds {
		p := newPowered(t, uint64(seed), stride) //nolint:gosec // small
		history(p)
		p.close()
		if err := p.judge(samples); err != nil {
			t.Fatal(err)
		}
		total += len(p.cuts)
	}
	if total < 5 {
		t.Fatalf("the power failed %d times only", total)
	}
	t.Logf("the power failed %d times", total)
}

func TestPowerFailsWhileCommitting(t *testing.T) {
	poweredRuns(t, 4, 5, func(p *powered) {
		for i := range 6 {
			p.commit(Main, p.doc(i, fmt.Sprint("text ", i)))
		}
		var batch []Change
		for i := range 30 {
			batch = append(batch, p.doc(100+i, strings.Repeat(fmt.Sprint("line ", i, "\n"), i)))
		}
		p.commit(Main, batch...)
		p.commit(Main, del(p.t, "documents/text/2026-11/0"), p.doc(1, "changed"))
		p.close()
		p.open()
		p.commit(Main, p.doc(7, "after a restart"))
	})
}

func TestPowerFailsWhileBranching(t *testing.T) {
	poweredRuns(t, 4, 5, func(p *powered) {
		ctx := context.Background()
		first := p.commit(Main, p.doc(1, "one"))
		for _, name := range []string{"side", "deep/er/side"} {
			if err := p.repo.CreateBranch(name, first); err != nil {
				p.t.Fatal(err)
			}
			p.note(headsPrefix+name, first)
		}
		p.commit("side", p.doc(2, "side"))
		p.commit("deep/er/side", p.doc(3, "deep"))
		p.commit(Main, p.doc(4, "main"))
		for _, from := range []string{"side", "deep/er/side"} {
			h, err := p.repo.Merge(ctx, MergeInput{From: from, Author: ann, At: when})
			if err != nil {
				p.t.Fatal(err)
			}
			p.note(headsPrefix+Main, h)
		}
		tip := p.refs[headsPrefix+Main][len(p.refs[headsPrefix+Main])-1]
		if h, err := p.repo.Merge(ctx, MergeInput{Into: "side", From: Main, Author: ann, At: when}); err != nil || h != tip {
			p.t.Fatalf("fast-forward: %s, %v", h, err)
		}
		p.note(headsPrefix+"side", tip)
		for _, to := range []Hash{first, tip} {
			if err := p.repo.SetRef(ctx, "refs/caiatop/last", to); err != nil {
				p.t.Fatal(err)
			}
			p.note("refs/caiatop/last", to)
		}
		if err := p.repo.DeleteBranch("deep/er/side"); err != nil {
			p.t.Fatal(err)
		}
		p.note(headsPrefix+"deep/er/side", Hash{})
		p.commit("deep", p.doc(5, "where folders were"))
	})
}

// Marks that move with the branch, tags, and a commit that is taken back.
func TestPowerFailsWhileMarkingAndTagging(t *testing.T) {
	const mark = "refs/caiatop/last"
	poweredRuns(t, 4, 5, func(p *powered) {
		ctx := context.Background()
		var tip Hash
		var err error
		moved := func() {
			p.t.Helper()
			if err != nil {
				p.t.Fatal(err)
			}
			p.note(mark, tip)
			p.note(headsPrefix+Main, tip)
		}
		for i := range 4 {
			if i%2 == 0 {
				spared(p.t, p.repo)
			}
			tip, err = p.repo.Commit(ctx, CommitInput{
				Changes: []Change{p.doc(i, "text")}, Message: "marked", Author: ann, At: when.Add(secondsOf(i)), Mark: mark,
			})
			moved()
		}
		for name, message := range map[string]string{"light": "", "heavy": "a message"} {
			if err := p.repo.CreateTag(ctx, TagInput{Name: name, Commit: tip, Message: message, Tagger: ann, At: when}); err != nil {
				p.t.Fatal(err)
			}
			at, err := p.repo.Ref("refs/tags/" + name)
			if err != nil {
				p.t.Fatal(err)
			}
			p.note("refs/tags/"+name, at)
		}
		tip, err = p.repo.Revert(ctx, RevertInput{Commit: tip, Author: ann, At: when, Mark: mark})
		moved()
		if err := p.repo.DeleteTag(ctx, "light"); err != nil {
			p.t.Fatal(err)
		}
		p.note("refs/tags/light", Hash{})
	})
}

// Consolidation at every turn: by hand, and by the maintenance beside commits.
func TestPowerFailsWhileConsolidating(t *testing.T) {
	poweredRuns(t, 9, 5, func(p *powered) {
		for i := range 5 {
			p.commit(Main, p.doc(i, fmt.Sprint("text ", i)))
		}
		consolidateAll(p.t, p.repo)
		for i := range maxPacks + 3 {
			p.commit(Main, p.doc(i%4, fmt.Sprint("version ", i)))
		}
		if m := drained(p.t, p.repo, 1); m.Err != nil {
			p.t.Fatal(m.Err)
		}
		p.commit(Main, p.doc(1, "last"))
	})
}

// Packs that were deleted are written again from the files that are open, and
// from then on a cut loses nothing.
func TestPowerFailsAfterARestore(t *testing.T) {
	poweredRuns(t, 2, 5, func(p *powered) {
		var tip Hash
		for i := range 3 {
			tip = p.commit(Main, p.doc(i, fmt.Sprint("text ", i)))
		}
		p.pause(true)
		packs := p.dir + "/objects/pack"
		entries, err := p.disk.ReadDir(packs)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range entries {
			if err := p.disk.Remove(packs + "/" + e.Name()); err != nil {
				p.t.Fatal(err)
			}
		}
		done, err := p.repo.Restore(context.Background(), Main, tip, "")
		if err != nil || !done.Whole || !done.Written {
			p.t.Fatalf("%+v, %v", done, err)
		}
		p.pause(false)
		for i := range 2 {
			p.commit(Main, p.doc(i, fmt.Sprint("again ", i)))
		}
	})
}

// liar is a disk that says that it synced, and did not.
type liar struct {
	*powercut.Disk
	files, folders bool
}

type lyingHandle struct{ durable.Handle }

func (lyingHandle) Sync() error { return nil }

func (l liar) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	h, err := l.Disk.OpenFile(name, flag, perm)
	if err == nil && l.files {
		h = lyingHandle{h}
	}
	return h, err
}

type lyingUnnamed struct{ durable.Unnamed }

func (lyingUnnamed) Sync() error { return nil }

func (l liar) OpenUnnamed(dir string, perm os.FileMode) (durable.Unnamed, error) {
	h, err := l.Disk.OpenUnnamed(dir, perm)
	if err == nil && l.files {
		h = lyingUnnamed{h}
	}
	return h, err
}

func (l liar) SyncDir(name string) error {
	if l.folders {
		return nil
	}
	return l.Disk.SyncDir(name)
}

// What judges the cuts sees a sync that is missing: it can fail.
func TestAMissingSyncIsNoticed(t *testing.T) {
	for name, over := range map[string]liar{"of files": {files: true}, "of folders": {folders: true}} {
		t.Run(name, func(t *testing.T) {
			p := newPoweredOn(t, 1, 3, func(d *powercut.Disk) durable.Volume {
				over.Disk = d
				return durable.Volume{FS: over}
			})
			for i := range 5 {
				p.commit(Main, p.doc(i, "text"))
			}
			p.close()
			if err := p.judge(0); err == nil {
				t.Fatal("nobody noticed")
			}
		})
	}
}
