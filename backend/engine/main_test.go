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
	goleak.VerifyTestMain(m)
}
