package govcd

import (
	"fmt"
	"testing"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// TestFeedIsBounded: what it remembers, what a reader may be behind, and how
// many read.
func TestFeedIsBounded(t *testing.T) {
	var f feed
	name := func(i int) gitrepo.Hash { return blobHash([]byte(fmt.Sprint(i))) }
	for i := range 5 * MaxBacklog {
		f.add(move{after: name(i)})
		if len(f.latest) > 2*MaxBacklog {
			t.Fatalf("%d moves are kept", len(f.latest))
		}
	}
	l, earlier, ok := f.listen()
	if !ok || len(earlier) != MaxBacklog || earlier[MaxBacklog-1].after != name(5*MaxBacklog-1) {
		t.Errorf("%d moves are told", len(earlier))
	}
	for range MaxBacklog {
		f.add(move{})
	}
	select {
	case <-l.slow:
		t.Error("a reader within the limit is cut")
	default:
	}
	f.add(move{})
	<-l.slow
	f.leave(l)
	for i := range MaxStreams + 1 {
		if _, _, ok := f.listen(); ok != (i < MaxStreams) {
			t.Errorf("stream %d: %v", i, ok)
		}
	}
	f.close()
	if _, _, ok := f.listen(); ok {
		t.Error("a closed repository is listened to")
	}
}
