package overview

import (
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/engine"
)

// TestTheBackupHasALine where one is set up, at every size that has panes.
func TestTheBackupHasALine(t *testing.T) {
	p := newPage()
	for want, b := range map[string]backup.Status{
		"":                         {State: backup.Off},
		"backup ● in step":         {Target: "/x", State: backup.Idle},
		"backup - unknown now":     {Target: "/x", State: backup.Idle, Lag: -1},
		"behind by 12 for 3m":      {Target: "/x", State: backup.Pushing, Lag: 12, Oldest: noon.Add(-3 * time.Minute)},
		"failing, made 2h 00m ago": {Target: "/x", State: backup.Failing, Lag: 12, LastSuccess: noon.Add(-2 * time.Hour)},
		"failing, never made":      {Target: "/x", State: backup.Failing, Lag: -1},
		"backup ◆ pushing":         {Target: "/x", State: backup.Pushing, Lag: -1},
	} {
		for _, state := range []engine.State{engine.StatePrimary, engine.StateFallback} {
			for _, size := range [][2]int{{80, 21}, {120, 37}, {200, 57}} {
				p.SetSize(size[0], size[1])
				p.SetStats(&engine.Stats{At: noon, State: state, Documents: 5, Writes: 1, Backup: b})
				view := strings.Join(p.View(), "\n")
				if shown := strings.Contains(view, "backup "); want == "" && shown || want != "" && !strings.Contains(view, want) {
					t.Errorf("%v, %s: %q is not shown:\n%s", size, state, want, view)
				}
			}
		}
	}
}
