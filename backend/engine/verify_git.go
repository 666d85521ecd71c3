package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// git reads the whole repository, then compares every document of the index
// with the version that the branch holds.
func (v *verifier) git(ctx context.Context) error {
	v.pace = pacer{rate: verifyHereRate, now: v.e.o.Now}
	if !v.e.isKnown(gitReplica) {
		v.unknown(PartGit, "it is being mended now; look at it again later")
		return nil
	}
	g := &gitCheck{verifier: v, damage: map[gitrepo.Hash][]func(){}}
	if v.o.Sample > 0 {
		v.unknown(PartGit, "with a sample its objects and earlier versions are not read")
	} else if err := g.objects(ctx); err != nil {
		return err
	}
	if err := v.each(ctx, PartGit, func(row state.Row) error { return g.row(ctx, row) }); err != nil {
		return err
	}
	if v.o.Repair {
		return g.mend(ctx)
	}
	return nil
}

// gitCheck is the part of a run about git.
type gitCheck struct {
	*verifier
	damage map[gitrepo.Hash][]func() // findings about objects
	files  []func()                  // findings about files that hold objects
	lost   []lostVersion
	behind bool // the index does not know what was pushed
}

// lostVersion is a document of which the branch does not hold the version that it
// should.
type lostVersion struct {
	row    state.Row
	mended func()
}

// objects lets the repository look at itself: everything is read once.
func (g *gitCheck) objects(ctx context.Context) error {
	report, err := g.e.o.Git.Verify(ctx, func(done, total int64) {
		g.change(func(r *Verification) {
			p := r.part(PartGit)
			p.Checked, p.Total = done, total
		})
	})
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		mended := g.find(Finding{Part: PartGit, What: gitFinding(f), Next: damageAdvice})
		switch {
		case f.Problem == gitrepo.ProblemDamaged && f.Object != (gitrepo.Hash{}):
			g.damage[f.Object] = append(g.damage[f.Object], mended)
		case f.Problem == gitrepo.ProblemFile:
			g.files = append(g.files, mended)
		}
	}
	if more := report.Found - int64(len(report.Findings)); more > 0 {
		g.find(Finding{Part: PartGit, What: fmt.Sprintf("%d more findings in the repository", more), Next: damageAdvice})
	}
	if report.Found > 0 {
		signal(g.e.wakeGit) // which learns of the damage, shows it and fills what it can
	}
	g.change(func(r *Verification) { r.part(PartGit).Checked, r.part(PartGit).Total = 0, 0 })
	return nil
}

// gitFinding says what is wrong, with the object and the file that it is about.
func gitFinding(f gitrepo.Finding) string {
	text := string(f.Problem)
	if f.Object != (gitrepo.Hash{}) {
		text += fmt.Sprintf(": %s %s", cmp.Or(f.Kind, "object"), f.Object)
	}
	text += ": " + f.What
	if f.File != "" && !strings.Contains(f.What, f.File) {
		text += " (" + f.File + ")"
	}
	return text
}

// row compares one document.
func (g *gitCheck) row(ctx context.Context, row state.Row) error {
	if row.Seq > g.e.gitMark.now() {
		return nil // it is on its way
	}
	what, err := g.differs(ctx, row)
	if err != nil || what == "" {
		return err
	}
	// Somebody may have pushed what the index is about to learn, or the document
	// was written or deleted meanwhile.
	if err := g.meet(ctx, PartGit); err != nil {
		return err
	}
	if still, err := g.still(ctx, row); err != nil || !still || g.behind {
		return err
	}
	if what, err = g.differs(ctx, row); err != nil || what == "" {
		return err
	}
	parked, err := g.e.o.State.ParkedAt(ctx, row.ID)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == gitReplica })
	_, dropped, err := g.e.o.State.Dropped(ctx, gitReplica, row.ID)
	if err != nil {
		return err
	}
	if dropped {
		g.aside(PartGit)
		return nil
	}
	next := repairAdvice
	if known {
		g.aside(PartGit)
		next = gitMissingAdvice
	}
	mended := g.find(Finding{Part: PartGit, Document: row.ID.String(), What: what, Next: next})
	g.lost = append(g.lost, lostVersion{row, mended})
	return nil
}

// differs says what is wrong with the branch's version of a document, "" if it
// is the one of the index. What keeps git from answering at all is an error.
func (g *gitCheck) differs(ctx context.Context, row state.Row) (string, error) {
	started := g.e.o.Now()
	doc, err := g.e.o.Git.Get(ctx, store.Key{ID: row.ID, Folder: row.Folder})
	if err == nil {
		err = matches(doc, row.Hash)
	}
	g.e.o.Recorder.Observe(probe.Verify, probe.Git, g.e.o.Now().Sub(started), err)
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, store.ErrNotFound):
		return "git does not hold it", nil
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, document.ErrInvalid):
		return "git holds it damaged, or as another version: " + err.Error(), nil
	}
	return "", err
}

// meet waits until the index knows what others pushed up to now. Where that
// takes long it cannot be known yet what is wrong, and what was pushed only.
func (g *gitCheck) meet(ctx context.Context, part string) error {
	if g.behind {
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, mendQuiet)
	defer cancel()
	g.e.meetPushed(limited)
	if limited.Err() != nil && ctx.Err() == nil {
		g.behind = true
		g.unknown(part, "the index has not taken over yet what others pushed to git, or git does not let it be told")
	}
	return ctx.Err()
}

// mend brings what the branch lacks from wherever it still is. Of a document
// that no store has as the index knows it, the version that git holds is taken.
func (g *gitCheck) mend(ctx context.Context) error {
	through := g.e.gitMark.now()
	var parked []state.Parked
	for i, l := range g.lost {
		key := store.Key{ID: l.row.ID, Folder: l.row.Folder}
		_, err := g.e.anywhere(ctx, l.row, key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			took, err := g.takeVersion(ctx, l.row, key)
			if err != nil {
				return err
			}
			if took {
				l.mended()
				g.lost[i].mended = func() {}
				continue
			}
		}
		detail := "found by a verification"
		if err != nil {
			detail = err.Error()
		}
		parked = append(parked, state.Parked{
			Store: gitReplica, ID: l.row.ID, Seq: min(l.row.Seq, through), Reason: parkedMissing, Detail: detail, At: g.e.o.Now(),
		})
	}
	if err := g.e.parkMissing(ctx, parked, through); err != nil {
		return err
	}
	if len(parked) > 0 {
		g.e.gitFill.Store(true)
	}
	signal(g.e.wakeGit)
	if err := g.awaitFilled(ctx); err != nil {
		return err
	}
	return g.healed(ctx)
}

// takeVersion makes git's version of a document that of the index, whose own
// exists nowhere.
func (g *gitCheck) takeVersion(ctx context.Context, row state.Row, key store.Key) (bool, error) {
	doc, err := g.e.o.Git.Get(ctx, key)
	if err != nil {
		return false, nil //nolint:nilerr // then there is nothing to take
	}
	err = g.e.inbound(ctx, key, &doc, gitReplica, row.Hash)
	if errors.Is(err, store.ErrConflict) {
		return true, nil // a caller wrote it meanwhile
	}
	if err == nil {
		g.e.event(Warning, verifyKind, fmt.Sprintf("No store held the version of %q that the index named: the one in git takes its place", row.ID), "Read it, and compare it with its history (caiatop history)")
	}
	return err == nil, err
}

// awaitFilled waits until the goroutine that writes to git has brought what it
// can, as long as it gets on.
func (g *gitCheck) awaitFilled(ctx context.Context) error {
	began, left := g.e.o.Now(), -1
	for {
		waiting := 0
		for i := range g.lost {
			l := &g.lost[i]
			if l.mended == nil {
				continue
			}
			what, err := g.differs(ctx, l.row)
			if err != nil {
				return err
			}
			if what != "" {
				if still, err := g.still(ctx, l.row); err != nil || still {
					if err != nil {
						return err
					}
					waiting++
					continue
				}
			}
			if err := g.e.o.State.Undrop(ctx, gitReplica, l.row.ID); err != nil {
				return err
			}
			l.mended()
			l.mended = nil
		}
		if waiting == 0 {
			return nil
		}
		if waiting != left {
			began, left = g.e.o.Now(), waiting
		}
		if g.e.o.Now().Sub(began) > g.patience() || ctx.Err() != nil {
			return ctx.Err()
		}
		pause(ctx, mendLook, nil)
	}
}

// patience is short once it is known that nothing more can come.
func (g *gitCheck) patience() time.Duration {
	if g.e.gitFill.Load() {
		return mendPatience
	}
	return mendQuiet
}

// healed marks what was found of objects and is not damaged any more: it was
// written again. A file whose objects are all whole elsewhere needs no mending.
func (g *gitCheck) healed(ctx context.Context) error {
	if len(g.damage) == 0 && len(g.files) == 0 {
		return nil
	}
	damaged := map[gitrepo.Hash]bool{}
	anyFile := false
	for _, d := range g.e.o.Git.Damage() {
		damaged[d.Object] = true
		anyFile = anyFile || d.Object == (gitrepo.Hash{})
	}
	for h, findings := range g.damage {
		if damaged[h] {
			continue
		}
		for _, mended := range findings {
			mended()
		}
	}
	if len(damaged) == 0 || (!anyFile && len(g.damage) == 0) {
		for _, mended := range g.files {
			mended()
		}
	}
	return ctx.Err()
}
