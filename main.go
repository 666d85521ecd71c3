// Command caiatop is the operations console of a document storage layer: it
// runs the storage engine and shows it live.
package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui"
	"github.com/caiatech/caiatop/tui/cli"
	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/system"
	"github.com/caiatech/caiatop/tui/term"
)

// version is stamped by the linker in release builds.
var version = ""

// started is when this process began, but for the runtime's own start.
var started = time.Now()

func main() {
	if term.Guarding() {
		os.Exit(term.RunGuard())
	}
	os.Exit(run())
}

func run() int {
	// The first signal drains; from then on the next one ends at once.
	ctx, stop := term.Ending(context.Background())
	defer stop()
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

// owner is whose drafts those of the terminal of this process are.
const owner = "local"

// console shows the engine on the terminal of this process.
func console(ctx context.Context, host *engine.Host, cfg config.Config) error {
	kept, err := drafts.Open(filepath.Join(cfg.StatePath(), "drafts"))
	if err != nil {
		return err
	}
	socket, err := httpapi.SocketPath(cfg.StatePath())
	if err != nil {
		return err
	}
	session, err := term.Local(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	live := tui.NewLive(host.Engine)
	defer live.Close()
	return errors.Join(session.Guard(), tui.Run(ctx, tui.Options{
		Feed: live, Documents: live, Control: live, Events: host.Journal(), Drafts: kept, Owner: owner, Version: stamp(),
		Process: system.Process{
			Version: stamp(), Go: runtime.Version(), PID: os.Getpid(), Started: started, Memory: system.Memory,
			Socket: socket, HTTP: cfg.HTTP.Addr, Log: filepath.Join(cfg.StatePath(), engine.LogFile),
		},
		Settings: cfg.Origins(), SettingsFile: cfg.File,
		Bench: func(ctx context.Context, progress func(bench.Progress)) (bench.Report, error) {
			return bench.Run(ctx, bench.Options{}, progress)
		},
	}, session), session.Close())
}
