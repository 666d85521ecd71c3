package engine

import (
	"fmt"
	"sync"
	"time"
)

// breaker decides from the outcomes of calls and probes when the primary is to
// be left: after tripConsecutive failures in a row, or when half of at least
// tripCalls calls within tripWindow failed.
type breaker struct {
	mu          sync.Mutex
	consecutive int
	slots       [int(tripWindow / time.Second)]outcomes
}

type outcomes struct {
	second     int64
	ok, failed int
}

// report counts one outcome and returns why the primary is to be left, or "".
func (b *breaker) report(now time.Time, failed bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	second := now.Unix()
	slot := &b.slots[int(second%int64(len(b.slots)))]
	if slot.second != second {
		*slot = outcomes{second: second}
	}
	if !failed {
		b.consecutive = 0
		slot.ok++
		return ""
	}
	b.consecutive++
	slot.failed++
	if b.consecutive >= tripConsecutive {
		return fmt.Sprintf("%d calls in a row failed", b.consecutive)
	}
	ok, bad := 0, 0
	for _, s := range b.slots {
		if s.second > second-int64(len(b.slots)) && s.second <= second {
			ok += s.ok
			bad += s.failed
		}
	}
	if ok+bad >= tripCalls && bad >= ok {
		return fmt.Sprintf("%d of %d calls within %s failed", bad, ok+bad, tripWindow)
	}
	return ""
}

// clear forgets everything: the primary was just found good.
func (b *breaker) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consecutive = 0
	b.slots = [len(b.slots)]outcomes{}
}
