package term

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the process that guards a terminal, and the one whose
// terminal is guarded.
func TestMain(m *testing.M) {
	if Guarding() {
		os.Exit(RunGuard())
	}
	if how := os.Getenv(victimVariable); how != "" {
		if err := victim(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
