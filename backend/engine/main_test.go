package engine

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// crashWriterDir makes the test binary act as the process that is killed, see
// crash_test.go.
const crashWriterDir = "CAIATOP_TEST_CRASH_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashWriterDir); dir != "" {
		if err := crashWriter(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// The library that rotates log files never ends the goroutine that it begins
	// with each of them.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}
