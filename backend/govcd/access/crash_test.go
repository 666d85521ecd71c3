package access

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// history makes changes one after the other; step is called after each.
func history(t testing.TB, r Register, step func(done int, err error)) {
	ctx := context.Background()
	for i := range 6 {
		var err error
		switch i {
		case 0:
			_, _, err = r.CreateKey(ctx, KeyRequest{Name: "ci", Scopes: []Scope{{"docs", Read}}})
		case 5:
			_, err = r.RevokeKey(ctx, "ci")
		default:
			err = r.Grant(ctx, fmt.Sprint("s", i), Scope{"docs", Write})
		}
		step(i+1, err)
	}
}

// found says how many changes of the history a file has; they must be the first
// ones.
func found(t testing.TB, r Register, when string) int {
	t.Helper()
	c, err := r.read()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	n := len(c.Keys) + len(c.Grants)
	for i, g := range c.Grants {
		if g.Subject != fmt.Sprint("s", i+1) {
			t.Errorf("%s: grant %d is of %s", when, i, g.Subject)
		}
	}
	if len(c.Keys) > 0 && !c.Keys[0].Revoked.IsZero() {
		n++
	}
	return n
}

// TestPowerFailsWhileAccessChanges cuts the power before every operation of the
// disk: what was reported as done is there, and nothing by halves. A revoked key
// does not come back.
func TestPowerFailsWhileAccessChanges(t *testing.T) {
	disk := powercut.New()
	r := Register{Dir: "/data/x", Volume: disk.Volume(), Now: newClock().now}
	done, steps := 0, uint64(0)
	cut := func(when string) {
		steps++
		for seed := range uint64(8) {
			left := r
			left.Volume = disk.Cut(rand.New(rand.NewPCG(steps, seed))).Volume()
			if n := found(t, left, when); n != done && n != done+1 {
				t.Errorf("%s, seed %d: %d changes are there, %d were made", when, seed, n, done)
			}
		}
	}
	disk.Before(func(op powercut.Op) {
		if op.Kind < powercut.Open {
			cut(fmt.Sprintf("%v %s", op.Kind, op.Path))
		}
	})
	history(t, r, func(n int, err error) {
		must(t, err)
		done = n
		cut("after it")
	})
	if steps < 30 || done != 6 {
		t.Errorf("%d cuts", steps)
	}
}

// TestEveryFaultWhileAccessChanges: a change that failed is told, and what was
// done before stays; then the next one works.
func TestEveryFaultWhileAccessChanges(t *testing.T) {
	for n := 1; ; n++ {
		disk := powercut.New()
		r := Register{Dir: "/data/x", Volume: disk.Volume(), Now: newClock().now}
		failed := false
		disk.Fail(powercut.Fault{Kind: powercut.Change, N: n, Err: syscall.EIO})
		history(t, r, func(done int, err error) {
			if err == nil || failed {
				return
			}
			failed = true
			left := r
			left.Volume = disk.Cut(rand.New(rand.NewPCG(uint64(n), 1))).Volume()
			if has := found(t, left, "fault"); has != done-1 && has != done {
				t.Errorf("fault %d: %d changes are there, %d were made", n, has, done-1)
			}
			disk.Mend()
			if err := r.Grant(t.Context(), "next", Scope{"docs", Read}); err != nil {
				t.Errorf("fault %d, mended: %v", n, err)
			}
			if _, err := r.Withdraw(t.Context(), "next"); err != nil {
				t.Errorf("fault %d, mended: %v", n, err)
			}
		})
		if !failed {
			if n < 20 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}
