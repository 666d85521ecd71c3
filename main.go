// Command caiatop is the operations console of a document storage layer: it
// runs the storage engine and shows it live.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/tui"
	"github.com/caiatech/caiatop/tui/cli"
	"github.com/caiatech/caiatop/tui/term" // also settles the background before anybody asks the terminal
)

// version is stamped by the linker in release builds.
var version = ""

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	// The first signal drains; from then on the next one ends at once.
	context.AfterFunc(ctx, stop)
	return cli.Run(ctx, cli.Program(stamp(), console), os.Args[1:])
}

// stamp names this build.
func stamp() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// console shows the engine on the terminal of this process.
func console(ctx context.Context, host *engine.Host, _ config.Config) error {
	live := tui.NewLive(host.Engine)
	defer live.Close()
	terminal := term.Abilities(os.Getenv)
	return tui.Run(ctx, tui.Options{
		Feed: live, Documents: live, Control: live, Version: stamp(),
		ASCII: terminal.ASCII, Mono: terminal.Mono,
		Bench: func(ctx context.Context, progress func(bench.Progress)) (bench.Report, error) {
			return bench.Run(ctx, bench.Options{}, progress)
		},
	}, os.Stdin, os.Stdout)
}
