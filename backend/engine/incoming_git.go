package engine

import (
	"context"
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
)

// incomingMarks begin the names of the folders in which git keeps what a push
// brings until all of it is there and looked through.
var incomingMarks = []string{"tmp_objdir-incoming-", "incoming-"}

// incoming lets pushes be done. git refuses one if the branch moved since it
// began; so nobody could push much to a repository that is always written to.
// It belongs to the goroutine that writes to git.
type incoming struct {
	objects string // the folder
	now     func() time.Time
	// overdue are pushes that were waited for long enough, or were killed and
	// left their folder.
	overdue map[string]struct{}
}

// await waits until no push comes in, but no longer than incomingMost.
func (in *incoming) await(ctx context.Context) {
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
			return
		}
		if in.now().Sub(began) >= incomingMost {
			in.overdue = names
			return
		}
		if pause(ctx, incomingLook, nil); ctx.Err() != nil {
			return
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
