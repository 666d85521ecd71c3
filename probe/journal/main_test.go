package journal

import (
	"testing"

	"go.uber.org/goleak"
)

// The library that rotates files has a goroutine for each that never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}
