package govcd

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// MaxAreas bounds the staging areas of clients in one repository; more
	// answer 507.
	MaxAreas = 256
	// areaIdle is how long the staging area of a client is kept without use.
	areaIdle = 15 * time.Minute
	// sweepPause is the least time between two looks for idle areas.
	sweepPause = time.Minute
	// maxKnown bounds the folders remembered to exist.
	maxKnown = 4096
)

// change is what is staged at one path.
type change struct {
	path    document.Path
	data    []byte
	deleted bool
	// base, if set, is the blob that the commit below must still have at the
	// path, zero for none: the change was staged on a condition.
	base *gitrepo.Hash
}

// area is what is staged in one scope. The repository's mu guards it.
type area struct {
	index   map[string]change
	taken   map[string]change // being committed
	written map[string]change // by PUT: seen by reads, not staged
	folders map[string]int    // staged additions below each folder
	known   map[string]struct{}
	charged int64        // bytes counted for what is not committed
	used    atomic.Int64 // when, in nanoseconds since 1970
}

// noArea has nothing staged. It is only read.
var noArea = &area{}

// areaAt returns the area of a scope for reading; the caller holds mu, or
// shares it.
func (r *repo) areaAt(sc scope) *area {
	a, ok := r.areas[sc]
	if !ok || r.idle(sc, a) {
		return noArea
	}
	a.used.Store(r.service.now().UnixNano())
	return a
}

func (r *repo) idle(sc scope, a *area) bool {
	return sc.stage != "" && a.taken == nil && r.service.now().UnixNano()-a.used.Load() > int64(areaIdle)
}

// openArea returns the area of a scope for staging; the caller holds mu.
func (r *repo) openArea(sc scope) (*area, error) {
	r.sweep()
	if a, ok := r.areas[sc]; ok {
		if !r.idle(sc, a) {
			a.used.Store(r.service.now().UnixNano())
			return a, nil
		}
		r.dropArea(sc)
	}
	named := 0
	for other := range r.areas {
		if other.stage != "" {
			named++
		}
	}
	if sc.stage != "" && named >= MaxAreas {
		return nil, fail(http.StatusInsufficientStorage, "STAGING_FULL",
			fmt.Sprintf("%d clients have staged files; commit, or stage without %s", MaxAreas, headerStage))
	}
	a := &area{
		index: map[string]change{}, written: map[string]change{}, folders: map[string]int{}, known: map[string]struct{}{},
	}
	a.used.Store(r.service.now().UnixNano())
	r.areas[sc] = a
	return a, nil
}

// sweep drops areas that nobody used for long, now and then; the caller holds
// mu.
func (r *repo) sweep() {
	now := r.service.now()
	if now.Sub(r.swept) < sweepPause {
		return
	}
	r.swept = now
	for sc, a := range r.areas {
		if r.idle(sc, a) {
			r.dropArea(sc)
		}
	}
}

// dropArea forgets what is staged in a scope; the caller holds mu.
func (r *repo) dropArea(sc scope) {
	if a, ok := r.areas[sc]; ok {
		r.refund(a.charged)
		delete(r.areas, sc)
	}
}

// dropEmpty forgets the area of a client that has nothing staged any more;
// the caller holds mu.
func (r *repo) dropEmpty(sc scope) {
	if a, ok := r.areas[sc]; ok && sc.stage != "" && len(a.index)+len(a.written)+len(a.taken) == 0 {
		r.dropArea(sc)
	}
}

// pending returns what is not committed at a path.
func (a *area) pending(p string) (change, bool) {
	for _, layer := range []map[string]change{a.written, a.index, a.taken} {
		if c, ok := layer[p]; ok {
			return c, true
		}
	}
	return change{}, false
}

// stage puts a change into the index.
func (a *area) stage(name string, c change) {
	if earlier, ok := a.index[name]; ok {
		if !earlier.deleted {
			a.count(name, -1)
		}
		if earlier.base != nil {
			c.base = earlier.base // what was promised earlier still holds
		}
	}
	if !c.deleted {
		a.count(name, 1)
	}
	a.index[name] = c
}

// count keeps the number of staged additions below each folder of a path.
func (a *area) count(name string, by int) {
	for folder := range parents(name) {
		if a.folders[folder] += by; a.folders[folder] == 0 {
			delete(a.folders, folder)
		}
	}
}

// remember notes that the folders of a path exist. That some commit removed
// them since does no harm: a commit looks again.
func (a *area) remember(name string) {
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	for folder := range parents(name) {
		a.known[folder] = struct{}{}
	}
}

// unstage drops what is staged or written at or below a path and returns how
// many files that were, and what was charged for them.
func (a *area) unstage(name string) (dropped int, freed int64) {
	drop := func(layer map[string]change, p string) {
		if c, ok := layer[p]; ok && !c.deleted {
			delete(layer, p)
			dropped++
			freed += c.cost()
		}
	}
	below := func(layer map[string]change) {
		for p := range layer {
			if strings.HasPrefix(p, name+"/") {
				drop(layer, p)
			}
		}
	}
	drop(a.written, name)
	below(a.written)
	before := len(a.index)
	drop(a.index, name)
	if a.folders[name] > 0 {
		below(a.index)
	}
	if len(a.index) != before {
		a.recount()
	}
	return dropped, freed
}

// recount rebuilds the folders of staged additions.
func (a *area) recount() {
	clear(a.folders)
	for _, layer := range []map[string]change{a.index, a.taken} {
		for p, c := range layer {
			if !c.deleted {
				a.count(p, 1)
			}
		}
	}
}

// checkStaged refuses a file where something staged needs a folder, and the
// other way round.
func (a *area) checkStaged(name string) error {
	if a.folders[name] > 0 {
		return placeTaken(name, "is a folder")
	}
	for folder := range parents(name) {
		if c, ok := a.pending(folder); ok && !c.deleted {
			return placeTaken(folder, "is a file")
		}
	}
	return nil
}

// parents yields the folders above a path, nearest first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
			name = name[:i]
			if !yield(name) {
				return
			}
		}
	}
}
