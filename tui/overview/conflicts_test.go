package overview

import (
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/engine"
)

// TestOpenConflictsHaveALine while there are some, in every state and at every
// size that has panes.
func TestOpenConflictsHaveALine(t *testing.T) {
	p := newPage()
	for _, n := range []int64{0, 2} {
		for _, state := range []engine.State{engine.StatePrimary, engine.StateReplaying, engine.StateFallback, engine.StateNone} {
			for _, size := range [][2]int{{40, 12}, {80, 21}, {120, 37}, {200, 57}} {
				p.SetSize(size[0], size[1])
				p.SetStats(&engine.Stats{At: noon, State: state, Documents: 5, Writes: 1, Conflicts: n, Backup: backup.Status{Target: "/x"}})
				view := strings.Join(p.View(), "\n")
				if shown := strings.Contains(view, "conflicts 2"); shown != (n > 0) {
					t.Errorf("%v, %s: conflicts %d:\n%s", size, state, n, view)
				}
			}
		}
	}
}
