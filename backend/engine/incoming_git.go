package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Times of a push that is coming in.
const (
	// incomingMost is how long commits wait for one push. They are in the outbox
	// meanwhile.
	incomingMost = 15 * time.Second
	incomingLook = 5 * time.Millisecond
	// incomingGrace is how long after a push is there git may need to move the
	// branch.
	incomingGrace = 250 * time.Millisecond
	// incomingAgain is how long commits wait for a push that was refused to be
	// made again, and incomingRest how long they do not wait for another one.
	incomingAgain = 15 * time.Second
	incomingRest  = time.Minute
)

// incomingMarks begin the names of the folders in which git keeps what a push
// brings until all of it is there and looked through.
var incomingMarks = []string{"tmp_objdir-incoming-", "incoming-"}

// incoming lets pushes be done. git refuses one if the branch moved since it
// began; so nobody could push much to a repository that is always written to.
// A push shows nothing in the repository while the other side compresses what
// it will send: that of a large one is refused once, and then the branch stays
// where it is for a while, so that it can be made again. It belongs to the
// goroutine that writes to git.
type incoming struct {
	objects string // the folder
	now     func() time.Time
	// overdue are pushes that were waited for long enough, or were killed and
	// left their folder.
	overdue map[string]struct{}
	// moved says whether somebody moved the branch; refused is told of a push
	// that did not. Nil for both looks for no refusals.
	moved   func(context.Context) bool
	refused func()
	held    time.Time // when commits waited for a push to be made again
}

// await waits until no push comes in, but no longer than incomingMost; after
// one that was refused, until it came in again, but no longer than
// incomingAgain, and that at most once in incomingRest.
func (in *incoming) await(ctx context.Context) {
	if !in.arrive(ctx) || in.moved == nil || in.poll(ctx, incomingGrace, in.moved) {
		return
	}
	if ctx.Err() != nil || (!in.held.IsZero() && in.now().Sub(in.held) < incomingRest) {
		return
	}
	in.held = in.now()
	in.refused()
	again := func(ctx context.Context) bool { return in.coming() || in.moved(ctx) }
	if in.poll(ctx, incomingAgain, again) && in.arrive(ctx) {
		in.poll(ctx, incomingGrace, in.moved)
	}
}

// poll looks until something holds, and reports whether it does.
func (in *incoming) poll(ctx context.Context, most time.Duration, holds func(context.Context) bool) bool {
	for began := in.now(); ctx.Err() == nil; pause(ctx, incomingLook, nil) {
		if holds(ctx) {
			return true
		}
		if in.now().Sub(began) >= most {
			return false
		}
	}
	return false
}

// coming reports whether a push comes in that is not overdue.
func (in *incoming) coming() bool {
	for name := range in.names() {
		if _, late := in.overdue[name]; !late {
			return true
		}
	}
	return false
}

// arrive waits until no push comes in, and reports whether one did that is
// there now.
func (in *incoming) arrive(ctx context.Context) (came bool) {
	began := in.now()
	for {
		names := in.names()
		for name := range in.overdue {
			if _, there := names[name]; there {
				delete(names, name)
			} else {
				delete(in.overdue, name)
			}
		}
		if len(names) == 0 {
			return came
		}
		came = true
		if in.now().Sub(began) >= incomingMost {
			in.overdue = names
			return false
		}
		if pause(ctx, incomingLook, nil); ctx.Err() != nil {
			return false
		}
	}
}

// names are the pushes that come in now. A folder that cannot be read has none:
// the commit will say what is wrong with it.
func (in *incoming) names() map[string]struct{} {
	entries, err := os.ReadDir(in.objects)
	if err != nil {
		return nil
	}
	var names map[string]struct{}
	for _, entry := range entries {
		for _, mark := range incomingMarks {
			if strings.HasPrefix(entry.Name(), mark) {
				if names == nil {
					names = map[string]struct{}{}
				}
				names[entry.Name()] = struct{}{}
			}
		}
	}
	return names
}

func newIncoming(gitDir string, now func() time.Time) incoming {
	return incoming{objects: filepath.Join(gitDir, "objects"), now: now}
}

// pushed reports whether the branch is not where this process left it, cannot
// be looked at, or has to be brought up to date before an end: each ends waiting.
func (e *Engine) pushed(ctx context.Context) bool {
	if e.closing.Load() {
		return true
	}
	tip, err := e.o.Git.Look(ctx)
	return err != nil || e.onto(tip) != nil
}

func (e *Engine) tellRefused() {
	e.event(Info, "git", fmt.Sprintf("A push to git has ended and main is where it was: commits to git wait for up to %s now", incomingAgain),
		"If git refused it because main had moved, push again; writes are taken meanwhile and follow")
}
