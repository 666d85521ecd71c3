package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
	"github.com/go-git/go-git/v5/plumbing"
)

// soakRounds is how many rounds `make soak` asks for, 0 in a quick run.
func soakRounds(t testing.TB) int {
	t.Helper()
	n := os.Getenv("CAIATOP_SOAK_ROUNDS")
	if n == "" {
		return 0
	}
	rounds, err := strconv.Atoi(n)
	if err != nil {
		t.Fatalf("CAIATOP_SOAK_ROUNDS=%q: %v", n, err)
	}
	return rounds
}

const powerDir = "/srv/repo.git"

// ledger is what a history has acknowledged: for each reference all that it
// pointed to, in order, the zero hash where it was deleted.
type ledger struct {
	mu   sync.Mutex
	refs map[string][]Hash
	off  bool // somebody damages the disk on purpose
}

func (l *ledger) note(ref string, h Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs[ref] = append(l.refs[ref], h)
}

// counts says how many states of each reference are acknowledged.
func (l *ledger) counts() (map[string]int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]int, len(l.refs))
	for ref, states := range l.refs {
		out[ref] = len(states)
	}
	return out, !l.off
}

func (l *ledger) pause(off bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = off
}

// cutOff is a disk that lost its power, and what was acknowledged before and
// after that moment.
type cutOff struct {
	disk          *powercut.Disk
	before, after map[string]int
	at            string
	seed          uint64
}

// powered is a repository on a disk whose power fails at every step, over and
// over.
type powered struct {
	t      testing.TB
	disk   *powercut.Disk
	volume durable.Volume
	repo   *Repo
	dir    string
	clock  int
	// options are those of the repository, but for its disk.
	options Options
	ledger

	seed   uint64
	stride int // every so many changes of the disk
	seen   sync.Mutex
	cuts   []cutOff
}

func newPowered(t testing.TB, seed uint64, stride int) *powered {
	t.Helper()
	return newPoweredOn(t, seed, stride, func(d *powercut.Disk) durable.Volume { return d.Volume() })
}

// newPoweredOn is newPowered with something between repository and disk.
func newPoweredOn(t testing.TB, seed uint64, stride int, over func(*powercut.Disk) durable.Volume) *powered {
	t.Helper()
	p := &powered{t: t, disk: powercut.New(), dir: powerDir, seed: seed, stride: stride}
	p.volume = over(p.disk)
	p.refs = make(map[string][]Hash)
	p.disk.Before(func(op powercut.Op) {
		if op.Kind < powercut.Open {
			p.cut(op)
		}
	})
	p.open()
	return p
}

// cut takes what the power leaves before an operation.
func (p *powered) cut(op powercut.Op) {
	n := p.disk.Count(powercut.Change)
	if (n+int(p.seed))%p.stride != 0 {
		return
	}
	before, on := p.counts()
	if !on {
		return
	}
	seed := p.seed<<32 + uint64(n)
	left := p.disk.Cut(rand.New(rand.NewPCG(seed, 0)))
	after, _ := p.counts()
	p.seen.Lock()
	defer p.seen.Unlock()
	p.cuts = append(p.cuts, cutOff{left, before, after, fmt.Sprintf("before %s %s %s (change %d, seed %d)", op.Kind, op.Path, op.To, n, seed), seed})
}

func (p *powered) open() {
	p.t.Helper()
	o := p.options
	o.Volume, o.CacheBytes = p.volume, 1<<16
	r, err := OpenDisk(p.dir, o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.repo = r
}

func (p *powered) close() {
	p.t.Helper()
	closeRepo(p.t, p.repo)
}

func (p *powered) commit(branch string, changes ...Change) Hash {
	p.t.Helper()
	p.clock++
	if p.clock%2 == 0 { // else they may be there or not
		spared(p.t, p.repo)
	}
	h, err := p.repo.Commit(context.Background(), CommitInput{
		Branch: branch, Changes: changes, Message: "change", Author: ann, At: when.Add(secondsOf(p.clock)),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.note(headsPrefix+branch, h)
	return h
}

func (p *powered) doc(i int, text string) Change {
	return put(p.t, fmt.Sprintf("documents/text/2026-11/%x/%x/d%d/content.txt", i%3, i%2, i), text)
}

// spared makes sure that the next commit finds all spare files.
func spared(t testing.TB, r *Repo) {
	t.Helper()
	s, ok := r.objects.(*packStore)
	if !ok {
		t.Fatal("not on disk")
	}
	s.spares.refill()
	s.spares.mu.Lock()
	defer s.spares.mu.Unlock()
	if packs, locks := len(s.spares.packs.files), len(s.spares.locks.files); packs != sparePacks || locks != spareLocks {
		t.Fatalf("%d and %d spare files", packs, locks)
	}
}

// consolidateAll makes one pack of all.
func consolidateAll(t testing.TB, r *Repo) {
	t.Helper()
	if did, err := consolidateOnce(r); err != nil || !did {
		t.Fatalf("%t, %v", did, err)
	}
}

// judge opens what every cut left, checks that nothing acknowledged is lost and
// nothing torn is seen, and goes on with it. Real git sees a sample.
func (p *powered) judge(samples int) error {
	every := max(1, len(p.cuts)/max(samples, 1))
	for i, c := range p.cuts {
		if err := p.judgeOne(c, samples > 0 && i%every == 0); err != nil {
			return fmt.Errorf("%s: %w", c.at, err)
		}
	}
	return nil
}

func (p *powered) judgeOne(c cutOff, sample bool) error {
	if sample && len(c.before) > 0 {
		if err := p.fsckCut(c.disk); err != nil { // before we mend anything
			return err
		}
	}
	h, err := p.goOn(c)
	if err != nil {
		return err
	}
	again := c.disk.Cut(rand.New(rand.NewPCG(c.seed, 1)))
	r, err := p.openLeft(again)
	if err != nil {
		return fmt.Errorf("open once more: %w", err)
	}
	defer closeRepo(p.t, r)
	if tip, err := r.Tip(""); err != nil || tip != h {
		return fmt.Errorf("the commit after it, %s: %s, %w", h, tip, err)
	}
	if err := readable(r, h); err != nil {
		return fmt.Errorf("after it: %w", err)
	}
	if sample {
		return p.fsckCut(again)
	}
	return nil
}

func (p *powered) openLeft(d *powercut.Disk) (*Repo, error) {
	o := p.options
	o.Volume = d.Volume()
	return OpenDisk(p.dir, o)
}

// goOn opens what a cut left, checks it, and makes one more commit there.
func (p *powered) goOn(c cutOff) (h Hash, err error) {
	r, err := p.openLeft(c.disk)
	if err != nil {
		return Hash{}, fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for ref, states := range p.refs {
		tip, err := r.Ref(ref)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Hash{}, err
		}
		if !allowed(states, c.before[ref], c.after[ref], tip) {
			return Hash{}, fmt.Errorf("%s is at %s, acknowledged were %d to %d of %v", ref, tip, c.before[ref], c.after[ref], states)
		}
		if !tip.IsZero() {
			if err := readable(r, tip); err != nil {
				return Hash{}, fmt.Errorf("%s at %s: %w", ref, tip, err)
			}
		}
	}
	if left := leftovers(c.disk, p.dir); len(left) > 0 {
		return Hash{}, fmt.Errorf("left behind: %v", left)
	}
	return r.Commit(context.Background(), CommitInput{Changes: []Change{put(p.t, "after", c.at)}, Message: "after", Author: ann, At: when})
}

// allowed: the last acknowledged state, or one that was being made.
func allowed(states []Hash, before, after int, tip Hash) bool {
	if before == 0 && tip.IsZero() {
		return true
	}
	for i := max(before-1, 0); i <= after && i < len(states); i++ {
		if states[i] == tip {
			return true
		}
	}
	return false
}

// readable reads everything that a commit is made of, and that it is what its
// name says.
func readable(r *Repo, tip Hash) error {
	seen := map[Hash]bool{}
	queue := []Hash{tip}
	add := func(h Hash, _ plumbing.ObjectType) {
		if !seen[h] {
			seen[h] = true
			queue = append(queue, h)
		}
	}
	for len(queue) > 0 {
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		o, err := r.objects.object(h)
		if err != nil {
			return err
		}
		if got := hashObject(o.kind, o.data); got != h {
			return fmt.Errorf("%s holds %s", h, got)
		}
		if err := parts(h, o, add); err != nil {
			return err
		}
	}
	return nil
}

// leftovers are the temporary files that are still there.
func leftovers(d *powercut.Disk, dir string) []string {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			out = append(out, leftovers(d, path)...)
		case strings.HasPrefix(e.Name(), "tmp_") || strings.Contains(e.Name(), ".tmp-") || e.Name() == nextRef:
			out = append(out, path)
		}
	}
	return out
}

// fsckCut lets real git check a repository on a disk.
func (p *powered) fsckCut(d *powercut.Disk) error {
	to := filepath.Join(p.t.TempDir(), "cut.git")
	if err := d.Export(p.dir, to); err != nil {
		return err
	}
	if out, err := tryGit(to, "fsck", "--strict", "--full", "--no-dangling", "--no-progress"); err != nil || judged(out) != "" {
		return fmt.Errorf("git fsck: %s (%w)", out, err)
	}
	return nil
}

// judged leaves out what git says of a repository without a branch yet.
func judged(out string) string {
	var kept []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "notice: HEAD points to an unborn branch") && !strings.HasPrefix(line, "notice: No default references") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
