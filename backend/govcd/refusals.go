package govcd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caiatech/caiatop/backend/audit"
)

// The audit is bounded, so whoever can have something recorded at will can push
// out what was recorded before. Refusals are what strangers can have recorded.
const (
	// refusalBurst refusals are recorded each by itself, and one more with every
	// refusalEvery; all others are counted and recorded as sums.
	refusalBurst = 256
	refusalEvery = 10 * time.Second
	// refusalWindow is how long refusals are counted before their sums are
	// recorded, with the next request or at the end.
	refusalWindow = time.Minute
	// maxSums bounds the sums of one window; the rest is one more.
	maxSums = 8
	// maxRefused bounds what is told apart within a window.
	maxRefused = 1024
	// refusalsFolded is what sums are recorded as.
	refusalsFolded = "refusals"
)

// refusal is what makes two refusals the same one, once more.
type refusal struct{ who, via, from, what, repo, result string }

// refusals decides which refusals are recorded each by itself. The first of each
// kind in a window is, as long as there is room; those after it are counted.
type refusals struct {
	mu     sync.Mutex
	budget *rate.Limiter
	due    time.Time // of the sums; zero if nothing was refused
	seen   map[refusal]struct{}
	folded map[refusal]int // what and repo are empty
}

func newRefusals() *refusals {
	return &refusals{
		budget: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst), seen: map[refusal]struct{}{}, folded: map[refusal]int{},
	}
}

// take reports whether a refusal is to be recorded by itself; else it is counted.
func (f *refusals) take(e audit.Entry, now time.Time) bool {
	k := refusal{e.Who, e.Via, e.From, e.What, e.Repo, e.Result}
	if e.Who == "" {
		k.repo = "" // a stranger can name as many as he likes
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due.IsZero() {
		f.due = now.Add(refusalWindow)
	}
	if _, again := f.seen[k]; !again && len(f.seen) < maxRefused && f.budget.AllowN(now, 1) {
		f.seen[k] = struct{}{}
		return true
	}
	k.what, k.repo = "", ""
	if _, again := f.folded[k]; !again && len(f.folded) >= maxRefused {
		k = refusal{}
	}
	f.folded[k]++
	return false
}

// sums returns what is to be recorded of the refusals that were counted, if
// their window is over or all is asked for.
func (f *refusals) sums(now time.Time, all bool) []audit.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due.IsZero() || (!all && now.Before(f.due)) {
		return nil
	}
	folded := f.folded
	f.due, f.seen, f.folded = time.Time{}, map[refusal]struct{}{}, map[refusal]int{}
	order := slices.SortedFunc(maps.Keys(folded), func(a, b refusal) int {
		return cmp.Or(cmp.Compare(folded[b], folded[a]), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	var out []audit.Entry
	rest := 0
	for _, k := range order {
		if len(out) == maxSums || k == (refusal{}) {
			rest += folded[k]
			continue
		}
		out = append(out, audit.Entry{Who: k.who, Via: k.via, From: k.from, What: refusalsFolded, Result: k.result, Count: folded[k]})
	}
	if rest > 0 {
		out = append(out, audit.Entry{What: refusalsFolded, Result: "REFUSED", Count: rest})
	}
	return out
}

// recordSums records what was counted. It is called with every request, so that
// no goroutine is needed for it.
func (s *Service) recordSums(all bool) {
	if s.audit == nil {
		return
	}
	for _, e := range s.refused.sums(s.now(), all) {
		if err := s.append(e); err != nil {
			s.log.Error("refusals that were counted are not in the audit", "from", e.From, "result", e.Result, "count", e.Count, "error", err)
		}
	}
}
