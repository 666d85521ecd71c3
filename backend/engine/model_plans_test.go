package engine

import (
	"testing"
	"time"
)

// TestPlansThatBrokeAPromiseOnce are those that the drawing found.
func TestPlansThatBrokeAPromiseOnce(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, p := range map[string]plan{
		"written before the first look at the service": {serviceDurable, false, []step{{Do: "put"}, {Do: "burst", N: 2}}},
		"crash in the first attachment": {serviceMemory, false, []step{
			{Do: "burst", N: 6}, {Do: linkSlow, Wait: 20 * ms}, {Do: "put", Doc: 2}, {Do: "put"}, {Do: "put", Doc: 1}, {Do: "crash"},
		}},
		"a staged write is torn": {servicePlain, true, []step{
			{Do: "put", Doc: 1}, {Do: "put", Doc: 2}, {Do: linkLost}, {Do: "put", Doc: 1}, {Do: "put", Doc: 2}, {Do: "delete", Doc: 1}, {Do: "put", Doc: 1},
		}},
		"empty at the very end": {serviceMemory, true, []step{{Do: "burst", N: 4}, {Do: "wait", Wait: ms}, {Do: "service restarts"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := p.run(t); err != nil {
				t.Error(err)
			}
		})
	}
}
