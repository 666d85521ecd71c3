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

// changingWriterDir is the same for phase_crash_test.go.
const changingWriterDir = "CAIATOP_TEST_CHANGING_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashWriterDir); dir != "" {
		if err := crashWriter(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(changingWriterDir); dir != "" {
		fmt.Fprintln(os.Stderr, changingWriter(dir))
		os.Exit(1)
	}
	// The library that rotates log files never ends the goroutine that it begins
	// with each of them.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}
