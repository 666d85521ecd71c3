package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"sync"
	"syscall"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
)

// framesPerSecond bounds how often the terminal is drawn.
const framesPerSecond = 30

// Run shows the console on a terminal until the operator leaves, ctx ends, or
// the process is told to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT); none of these is an
// error. The terminal is as it was before in every case, and nothing that Run
// started is left when it returns.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	// A second signal is not for the console any more.
	context.AfterFunc(ctx, stop)
	if o.Renderer == nil {
		o.Renderer = lipgloss.NewRenderer(out)
	}
	m := New(ctx, o)
	defer m.Close()
	program := tea.NewProgram(m,
		tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen(), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())

	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
			program.Quit()
		case <-ended:
		}
	})
	defer watch.Wait()
	defer close(ended)

	if _, err := program.Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}
