package audit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// small makes a few entries rotate.
var small = Options{MaxFile: MaxLine, Keep: 100}

// acknowledged remembers what Append reported as recorded.
type acknowledged struct {
	mu   sync.Mutex
	done map[string]bool
}

func (a *acknowledged) names() map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]bool, len(a.done))
	for name := range a.done {
		out[name] = true
	}
	return out
}

func (a *acknowledged) add(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[name] = true
}

// wantAll opens what a power cut left, appends once more, and fails unless it
// holds all that was acknowledged.
func wantAll(t *testing.T, v durable.Volume, want map[string]bool, when string) {
	t.Helper()
	o := small
	o.Volume, o.Now = v, (&clock{noon}).now
	l, err := Open("/audit", o)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	must(t, l.Append(Entry{What: "after"}))
	must(t, l.Close())
	all, _ := read(t, v, "/audit")
	found := make(map[string]bool)
	for _, e := range all {
		if e.Who != "" && found[e.Who] && e.What != Repaired {
			t.Errorf("%s: %s is there twice", when, e.Who)
		}
		found[e.Who] = true
	}
	for name := range want {
		if !found[name] {
			t.Fatalf("%s: %s was acknowledged and is lost", when, name)
		}
	}
	if all[len(all)-1].What != "after" {
		t.Errorf("%s: the last is %+v", when, all[len(all)-1])
	}
}

// TestPowerFailsAtEveryStep cuts the power before every operation on the disk,
// several times each, while goroutines append and files rotate.
func TestPowerFailsAtEveryStep(t *testing.T) {
	disk := powercut.New()
	acked := &acknowledged{done: make(map[string]bool)}
	type cut struct {
		disk *powercut.Disk
		want map[string]bool
		when string
	}
	var mu sync.Mutex
	var cuts []cut
	steps := uint64(0)
	disk.Before(func(op powercut.Op) {
		if op.Kind >= powercut.Open {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		steps++
		for seed := range uint64(2) {
			want := acked.names()
			cuts = append(cuts, cut{disk.Cut(rand.New(rand.NewPCG(steps, seed))), want, fmt.Sprintf("%v %s, step %d, seed %d", op.Kind, op.Path, steps, seed)})
		}
	})
	for start := range 2 {
		o := small
		o.Volume = disk.Volume()
		l := open(t, "/audit", o)
		for round := range 7 {
			var all sync.WaitGroup
			for i := range 4 {
				name := fmt.Sprintf("%d.%d.%d", start, round, i)
				all.Go(func() {
					must(t, l.Append(Entry{Who: name, What: "x", Path: strings.Repeat("p", 900)}))
					acked.add(name)
				})
			}
			all.Wait()
		}
		shut(t, l)
	}
	disk.Before(nil)
	for _, c := range cuts {
		wantAll(t, c.disk.Volume(), c.want, c.when)
	}
	if len(cuts) < 60 {
		t.Errorf("only %d cuts", len(cuts))
	}
}

// TestEveryFaultOfTheDisk lets each operation fail once, or for a while, then
// cuts the power: whatever was acknowledged before, meanwhile and after is there.
func TestEveryFaultOfTheDisk(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		for n := 1; ; n++ {
			if happened := faultAt(t, n, lasting); !happened {
				if n < 20 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
	}
}

func faultAt(t *testing.T, n int, lasting bool) bool {
	t.Helper()
	disk := powercut.New()
	at := &clock{noon}
	o := small
	o.Volume, o.Now = disk.Volume(), at.now
	l := open(t, "/audit", o)
	want := make(map[string]bool)
	put := func(name string) error {
		err := l.Append(Entry{Who: name, What: "x", Path: strings.Repeat("p", 1000)})
		if err == nil {
			want[name] = true
		}
		return err
	}
	disk.Fail(powercut.Fault{Kind: powercut.Change, N: n, Err: syscall.ENOSPC, Short: 700, Lasting: lasting})
	failed := 0
	for i := range 20 {
		if err := put(fmt.Sprint(i)); err != nil {
			failed++
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("fault %d: %v", n, err)
			}
		}
		at.at = at.at.Add(retryAfter / 2)
	}
	happened := disk.Mend()
	at.at = at.at.Add(retryAfter)
	must(t, put("mended"))
	if err := l.Failed(); err != nil {
		t.Errorf("fault %d: still %v", n, err)
	}
	if happened && failed == 0 {
		t.Errorf("fault %d was not told", n)
	}
	wantAll(t, disk.Cut(rand.New(rand.NewPCG(uint64(n), 1))).Volume(), want, fmt.Sprintf("fault %d (lasting %v)", n, lasting))
	return happened
}

// TestAFailingDiskIsNotAskedForEveryEntry: after a fault it rests for a second.
func TestAFailingDiskIsNotAskedForEveryEntry(t *testing.T) {
	disk := powercut.New()
	at := &clock{noon}
	l := open(t, "/audit", Options{Volume: disk.Volume(), Now: at.now})
	disk.Fail(powercut.Fault{Kind: powercut.Sync, N: 1, Err: syscall.EIO})
	if err := l.Append(Entry{What: "x"}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	before := disk.Count(powercut.Change)
	for range 10 {
		if err := l.Append(Entry{What: "x"}); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
	if got := disk.Count(powercut.Change); got != before || l.Failed() == nil {
		t.Errorf("%d changes of the disk", got-before)
	}
	at.at = at.at.Add(time.Second)
	must(t, l.Append(Entry{What: "x"}))
}
