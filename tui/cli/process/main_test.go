package process_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/tui/cli"
	_ "github.com/caiatech/caiatop/tui/term" // as in the program: nobody asks the terminal for its colours
)

// leakless fails the tests when one of them leaves a goroutine behind.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestMain is also the program: tests start it as a process of its own by the
// name caiatop.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"caiatop": caiatop})
}

// caiatop is the real wiring, with a console that says that it runs and waits.
func caiatop() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Program("1.2.3", func(ctx context.Context, _ *engine.Host, _ config.Config) error {
		fmt.Println("the console runs")
		<-ctx.Done()
		return nil
	}), os.Args[1:]))
}
