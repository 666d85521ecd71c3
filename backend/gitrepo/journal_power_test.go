package gitrepo

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// chain is commit by the journal.
func (p *powered) chain(branch string, changes ...Change) Hash {
	p.t.Helper()
	h := chain(p.t, p.repo, branch, changes...)
	p.note(headsPrefix+branch, h)
	return h
}

func (p *powered) publish() {
	p.t.Helper()
	if err := p.repo.journal.publish(p.t.Context(), true); err != nil {
		p.t.Fatal(err)
	}
}

// The power fails at every step of commits by the journal, of publishing them
// in the middle of others, and of those that publish them first; and again at
// every step of opening what that left.
func TestPowerFailsInTheJournal(t *testing.T) {
	run := func(t *testing.T, seed uint64, stride, samples int) (cuts, again int) {
		t.Helper()
		p := newJournaledPower(t, seed, stride)
		p.commit(Main, p.doc(0, "first"))
		p.commit("side", p.doc(0, "aside"))
		for i := range 4 {
			p.chain(Main, p.doc(i, fmt.Sprint("text ", i)), p.doc(20+i, strings.Repeat("more ", 2000)))
		}
		p.chain("side", p.doc(9, "nine"))
		p.publish()
		p.chain(Main, p.doc(5, "five"))
		release := paused(p.repo)
		p.repo.journal.rotate() // two segments with records
		p.chain(Main, p.doc(6, "six"))
		p.chain("side", p.doc(10, "ten"))
		release()
		p.publish()
		p.chain(Main, p.doc(7, "seven"))
		p.commit(Main, p.doc(8, "the other way"))
		p.chain(Main, p.doc(9, "nine"))
		p.close()
		p.open()
		p.chain(Main, p.doc(11, "after a restart"))
		p.close()
		cuts = len(p.cuts)
		again = p.cutReplays(stride)
		if err := p.judge(samples); err != nil {
			t.Fatal(err)
		}
		return cuts, again
	}
	needGit(t)
	seeds, stride, samples := 1, 5, 4
	if raced {
		seeds, stride, samples = 1, 23, 1
	}
	if rounds := soakRounds(t); rounds > 0 {
		seeds, stride, samples = max(rounds/20, 1), 1, 40
	}
	cuts, again := 0, 0
	for seed := range seeds {
		c, a := run(t, uint64(seed), stride, samples) //nolint:gosec // small
		cuts, again = cuts+c, again+a
	}
	t.Logf("the power failed %d times, and %d times while what that left was opened", cuts, again)
	if cuts < 10 || again < 5 {
		t.Fatal("that is too little")
	}
}

func newJournaledPower(t testing.TB, seed uint64, stride int) *powered {
	t.Helper()
	p := newPowered(t, seed, stride)
	p.close()
	p.options.Journal = true
	p.open()
	return p
}

// cutReplays opens what each cut left with the power failing again, and adds
// what that leaves.
func (p *powered) cutReplays(stride int) (n int) {
	p.t.Helper()
	for _, c := range p.cuts {
		left := c.disk.Cut(rand.New(rand.NewPCG(c.seed, 2)))
		var cuts []cutOff
		left.Before(func(op powercut.Op) {
			at := left.Count(powercut.Change)
			if op.Kind >= powercut.Open || (at+int(c.seed))%stride != 0 { //nolint:gosec // any number
				return
			}
			seed := c.seed ^ uint64(at)<<16 //nolint:gosec // small
			cuts = append(cuts, cutOff{left.Cut(rand.New(rand.NewPCG(seed, 3))), c.before, c.after, c.at + fmt.Sprintf(", then before %s %s", op.Kind, op.Path), seed})
		})
		r, err := OpenDisk(p.dir, Options{Volume: left.Volume(), Journal: true})
		left.Before(nil)
		if err != nil {
			p.t.Fatalf("%s: %v", c.at, err)
		}
		closeRepo(p.t, r)
		p.cuts = append(p.cuts, cuts...)
		n += len(cuts)
	}
	return n
}

// Whatever change of the disk fails while a chain is made: the error is typed,
// what was refused is never there, not after a power cut either, and what was
// acknowledged is.
func TestEveryFaultOfTheJournalIsSurvived(t *testing.T) {
	stride := 2
	switch {
	case soakRounds(t) > 0:
		stride = 1
	case raced:
		stride = 13
	}
	for _, f := range []powercut.Fault{
		{Kind: powercut.Change, Err: syscall.EIO},
		{Kind: powercut.Change, Err: syscall.ENOSPC},
		{Kind: powercut.Write, Err: syscall.ENOSPC, Short: 3000},
		{Kind: powercut.Sync, Err: syscall.EIO},
	} {
		hit := 0
		for n := 1; ; n += stride {
			f.N = n
			if !journalFault(t, f) {
				break
			}
			hit++
		}
		if hit < 2 {
			t.Errorf("%s failed %d times only", f.Kind, hit)
		}
	}
}

func journalFault(t *testing.T, f powercut.Fault) bool {
	t.Helper()
	r, d := poweredJournal(t)
	first, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	history := []Hash{first}
	release := paused(r)
	defer release()
	history = append(history, chain(t, r, "", put(t, "before", "1")))
	release()
	d.Fail(f)
	for i := range 6 {
		h, err := inChain(r, "", put(t, "d", fmt.Sprint(i)))
		switch {
		case err == nil:
			history = append(history, h)
		case !errors.Is(err, f.Err) || errors.Is(err, durable.ErrUnsynced) || errors.Is(err, durable.ErrDiskFull) != (f.Err == syscall.ENOSPC):
			t.Fatalf("%+v: %v", f, err)
		}
		if i%2 == 1 {
			if err := r.journal.publish(t.Context(), true); err != nil && !errors.Is(err, f.Err) && !errors.Is(err, durable.ErrPoisoned) &&
				!strings.Contains(err.Error(), f.Err.Error()) {
				t.Fatalf("%+v: %v", f, err)
			}
		}
		if tip, err := r.Tip(""); err != nil || tip != history[len(history)-1] {
			t.Fatalf("%+v: %s, %v; acknowledged is %v", f, tip, err, history)
		}
		wantExactly(t, d.Cut(rand.New(rand.NewPCG(uint64(f.N), uint64(i)))), f, history) //nolint:gosec // small
	}
	happened := d.Mend()
	history = append(history, chain(t, r, "", put(t, "after", "1")))
	closeRepo(t, r)
	wantExactly(t, d.Cut(rand.New(rand.NewPCG(uint64(f.N), 9))), f, history) //nolint:gosec // small
	return happened
}

// wantExactly opens what the power left: exactly what was acknowledged is there.
func wantExactly(t *testing.T, d *powercut.Disk, f powercut.Fault, history []Hash) {
	t.Helper()
	r, err := OpenDisk(powerDir, Options{Volume: d.Volume(), Journal: true})
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	defer closeRepo(t, r)
	at, err := r.Tip("")
	for i := len(history) - 1; err == nil && i >= 0; i-- {
		if at != history[i] {
			t.Fatalf("%+v: %s is there, %d of %v", f, at, i, history)
		}
		var c Commit
		if c, err = r.ReadCommit(t.Context(), at); err == nil && len(c.Parents) > 0 {
			at = c.Parents[0]
		}
	}
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
}

// misled is a disk that says that a sync of the journal failed when all is on
// the platter, as often as fail says.
type misled struct {
	durable.FS
	fail *atomic.Int32
}

type misledFile struct {
	durable.Handle
	fail *atomic.Int32
}

func (m misled) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	f, err := m.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.Contains(name, journalPrefix) {
		return f, err
	}
	return misledFile{f, m.fail}, nil
}

func (f misledFile) WriteAt(b []byte, at int64) (int, error) {
	return f.Handle.(io.WriterAt).WriteAt(b, at) //nolint:forcetypeassert // of powercut
}

func (f misledFile) Sync() error {
	err := f.Handle.Sync()
	if f.fail.Add(-1) >= 0 {
		err = errors.Join(err, syscall.EIO)
	}
	return err
}

// A commit whose sync failed is refused, and is not there after a crash either,
// though all of it is on the disk: it must not be acknowledged by accident.
func TestARefusedCommitComesBackFromTheJournal(t *testing.T) {
	d, fail := powercut.New(), &atomic.Int32{}
	r, err := OpenDisk(powerDir, Options{Volume: durable.Volume{FS: misled{d, fail}}, Journal: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	history := []Hash{commit(t, r, put(t, "first", "1"))}
	for i := range 6 {
		name := fmt.Sprint("d/", i)
		for range i % 3 {
			history = append(history, chain(t, r, "", put(t, name, "acknowledged "+fmt.Sprint(len(history)))))
		}
		fail.Store(1)
		if h, err := inChain(r, "", put(t, name, "refused")); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s, %v; want EIO", h, err)
		}
		wantExactly(t, d.Cut(rand.New(rand.NewPCG(uint64(i), 1))), powercut.Fault{}, history) //nolint:gosec // small
		if tip, err := r.Tip(""); err != nil || tip != history[len(history)-1] {
			t.Fatalf("%s, %v; acknowledged is %v", tip, err, history)
		}
	}
	history = append(history, chain(t, r, "", put(t, "last", "1")))
	wantExactly(t, d.Cut(rand.New(rand.NewPCG(7, 1))), powercut.Fault{}, history)
}
