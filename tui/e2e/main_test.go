package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// scratch holds the program and the sockets of the tmux servers. Its name is
// short: the path of a Unix socket has at most 107 bytes.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ct")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a scratch folder is needed:", err)
		os.Exit(1)
	}
	scratch = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "the scratch folder was not removed:", err)
			code = 1
		}
		os.Exit(code)
	}))
}

// program builds caiatop for the first test that needs it.
var program = sync.OnceValues(func() (string, error) {
	name := filepath.Join(scratch, "bin", "caiatop")
	build := exec.Command("go", "build", "-o", name, "github.com/caiatech/caiatop")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return name, nil
})
