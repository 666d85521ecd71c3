package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// change changes the report under its lock.
func (v *verifier) change(f func(r *Verification)) {
	v.e.verify.mu.Lock()
	f(&v.e.verify.report)
	v.e.verify.mu.Unlock()
	v.e.touch()
}

// expect says how much there is to look at in a part.
func (v *verifier) expect(part string, total int64) {
	v.change(func(r *Verification) { r.part(part).Total = total })
}

// checked counts what was looked at.
func (v *verifier) checked(part string, n int64) {
	v.change(func(r *Verification) {
		p := r.part(part)
		p.Checked += n
		p.Total = max(p.Total, p.Checked)
	})
}

// aside counts a document that is known not to be at a store.
func (v *verifier) aside(part string) {
	v.change(func(r *Verification) { r.part(part).Aside++ })
}

// unknown says that something of a part cannot be known.
func (v *verifier) unknown(part, why string) {
	v.change(func(r *Verification) {
		p := r.part(part)
		if p.Unknown != "" {
			why = p.Unknown + "; " + why
		}
		p.Unknown = cutText(why)
	})
}

// find records something that is wrong, and returns what to call once it is
// mended.
func (v *verifier) find(f Finding) (mended func()) {
	f.What = cutText(f.What)
	at := -1
	v.change(func(r *Verification) {
		r.Found++
		r.part(f.Part).Found++
		if len(r.Findings) < MaxFindings {
			at = len(r.Findings)
			r.Findings = append(r.Findings, f)
		}
	})
	once := sync.OnceFunc(func() {
		v.change(func(r *Verification) {
			r.Mended++
			r.part(f.Part).Mended++
			if at >= 0 {
				r.Findings[at].Mended, r.Findings[at].Next = true, ""
			}
		})
	})
	return once
}

func cutText(s string) string {
	if len(s) <= maxFindingText {
		return s
	}
	return strings.ToValidUTF8(s[:maxFindingText], "") + " …"
}

// each calls look with every document of the index, or those of the sample, in
// the order of identities.
func (v *verifier) each(ctx context.Context, part string, look func(row state.Row) error) error {
	total := v.e.o.State.Summary().Documents
	if v.sample != nil {
		total = int64(len(v.sample))
	}
	v.expect(part, total)
	for after := ""; ; {
		rows, err := v.e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		n := int64(0)
		for _, row := range rows {
			if _, chosen := v.sample[row.ID]; v.sample != nil && !chosen {
				continue
			}
			v.pace.wait(ctx)
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := look(row); err != nil {
				return err
			}
			n++
		}
		v.checked(part, n)
		v.e.gate.yield(ctx, textYieldMost)
		after = rows[len(rows)-1].ID.String()
	}
}

// still reports whether the index has the document as it was: else what was
// compared means nothing.
func (v *verifier) still(ctx context.Context, row state.Row) (bool, error) {
	now, err := v.e.o.State.Lookup(ctx, row.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && !now.Deleted && now.Seq == row.Seq, err
}

// pacer bounds how many documents are read in a second.
type pacer struct {
	rate int // documents a second
	now  func() time.Time
	next time.Time
}

// wait returns when the next document may be read.
func (p *pacer) wait(ctx context.Context) {
	if p.rate == 0 {
		return
	}
	const ahead = 20 * time.Millisecond // pauses are no shorter than this
	now := p.now()
	if p.next.Before(now.Add(-ahead)) {
		p.next = now.Add(-ahead)
	}
	p.next = p.next.Add(time.Second / time.Duration(p.rate))
	if early := p.next.Sub(now); early > ahead {
		pause(ctx, early, nil)
	}
}
