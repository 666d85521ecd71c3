package tui

import (
	"testing"

	"go.uber.org/goleak"
)

// The library that rotates log files has a goroutine for each that never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}
