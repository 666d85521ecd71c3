package engine_test

import (
	"net/http/httptest"
	"testing"

	"github.com/caiatech/caiatop/backend/govc/wiretest"
)

// TestTheServiceTestsHoldAtAnyGovc: they hold at both dialects of services that
// can do less than ours, and nothing is asked there that must not be.
func TestTheServiceTestsHoldAtAnyGovc(t *testing.T) {
	for dialect, o := range map[string]wiretest.EmulatorOptions{"new": {Fragile: true}, "legacy": {Legacy: true}} {
		for name, story := range stories {
			t.Run(dialect+"/"+name, func(t *testing.T) {
				t.Parallel()
				// One each: a client that only begins asks what another one's writes
				// must not meet.
				emulator := wiretest.NewEmulator(o)
				watch := wiretest.NewWatch(emulator, "caiatop")
				server := httptest.NewServer(watch)
				t.Cleanup(func() {
					server.Close()
					for _, broken := range watch.Broken() {
						t.Error(broken)
					}
					if dead := emulator.Dead(); dead != "" {
						t.Errorf("the service ended at %s", dead)
					}
				})
				story(t, target{url: server.URL, repository: ownRepository("")})
			})
		}
	}
}
