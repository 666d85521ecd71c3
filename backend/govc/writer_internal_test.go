package govc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestWriterLock: folders are given as a whole, to one at a time, in the order in
// which they were asked for; who gives up is in nobody's way.
func TestWriterLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &writerLock{}
		got := make(chan string, 10)
		ask := func(ctx context.Context, name string, folders []string, hold chan struct{}) {
			go func() {
				unlock, err := l.lock(ctx, folders)
				if err != nil {
					got <- name + " gives up"
					return
				}
				got <- name
				<-hold
				unlock()
			}()
			synctest.Wait()
		}
		want := func(names ...string) {
			t.Helper()
			synctest.Wait()
			for _, name := range names {
				select {
				case had := <-got:
					if had != name {
						t.Errorf("%s, want %s", had, name)
					}
				default:
					t.Errorf("%s waits", name)
				}
			}
			select {
			case had := <-got:
				t.Errorf("%s does not wait", had)
			default:
			}
		}
		ab, bc, d, all, cd, impatient := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
		ctx := t.Context()
		short, cancel := context.WithCancel(ctx)
		ask(ctx, "ab", []string{"a", "b"}, ab)
		ask(ctx, "bc", []string{"b", "c"}, bc) // waits for ab
		ask(ctx, "d", []string{"d"}, d)
		want("ab", "d")
		ask(short, "impatient", nil, impatient)
		ask(ctx, "e", []string{"e"}, ab) // waits for who wants all
		want()
		cancel()
		want("impatient gives up", "e")
		ask(ctx, "all", nil, all)
		ask(ctx, "cd", []string{"c", "d"}, cd) // would be first, but for bc and all
		want()
		close(ab)
		want("bc")
		close(d)
		want()
		close(bc)
		want("all")
		close(all)
		want("cd")
		close(cd)
		synctest.Wait()
		if len(l.held.named) > 0 || l.held.all > 0 || len(l.waiting) > 0 {
			t.Errorf("something is held: %+v", l)
		}
		if _, err := l.lock(short, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended: %v", err)
		}
	})
}
