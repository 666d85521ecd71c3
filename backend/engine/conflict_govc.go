package engine

import (
	"github.com/caiatech/caiatop/backend/state"
)

// maxCollided bounds the conflicts that are remembered for those who wait for the
// acknowledgement of what met them.
const maxCollided = 4096

// collision is the newest conflict about a document, and the operations that it
// was about: those after and up to through.
type collision struct {
	MetConflict
	after, through int64
}

// noteConflict remembers a conflict for whoever waits for the operation.
func (e *Engine) noteConflict(w wanted, c MetConflict) {
	after := e.govcMark.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.collided[c.ID]; !known && len(e.collided) >= maxCollided {
		for other := range e.collided {
			delete(e.collided, other)
			break
		}
	}
	e.collided[c.ID] = collision{c, after, w.newest.Seq}
}

// conflictsOf returns the conflicts that these operations met at the primary.
func (e *Engine) conflictsOf(ops []state.Operation, issued []state.Issued) (met []MetConflict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, op := range ops {
		c, known := e.collided[op.Key.ID]
		if known && c.after < issued[i].Seq && issued[i].Seq <= c.through {
			met = append(met, c.MetConflict)
		}
	}
	return met
}
