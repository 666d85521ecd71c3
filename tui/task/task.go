// Package task runs what takes time outside of Update and View.
//
// Every function runs as a Bubble Tea command with a deadline, under a context
// that ends with the session. A panic becomes a Notice, never a broken
// terminal. Wait returns when the last function has. The package also says how
// results and errors are told to the operator: what, why, what to do.
package task

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/termsafe"
)

// Runner starts the functions of one session.
type Runner struct {
	// The session's context is kept here because Bubble Tea's commands take
	// none.
	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	closed bool
	active sync.WaitGroup
}

// New returns a runner whose functions are cancelled when ctx ends.
func New(ctx context.Context) *Runner {
	ctx, stop := context.WithCancel(ctx)
	return &Runner{ctx: ctx, stop: stop}
}

// Close cancels every function, and waits for them. Commands that run
// afterwards do nothing.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.active.Wait()
}

// Go returns a command that calls f with a context that ends after limit, or
// never before the session if limit is zero. What says in a few words what f
// does; it is shown if f panics.
func (r *Runner) Go(what string, limit time.Duration, f func(context.Context) tea.Msg) tea.Cmd {
	cmd, _ := r.Start(what, limit, f)
	return cmd
}

// Start is Go with a way to cancel f early.
func (r *Runner) Start(what string, limit time.Duration, f func(context.Context) tea.Msg) (tea.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.ctx)
	return func() (msg tea.Msg) {
		defer cancel()
		if !r.begin() {
			return nil
		}
		defer r.active.Done()
		defer func() {
			if reason := recover(); reason != nil {
				msg = Panicked(what, reason, debug.Stack())
			}
		}()
		if limit > 0 {
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, limit)
			defer end()
		}
		return f(ctx)
	}, cancel
}

func (r *Runner) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.active.Add(1)
	return true
}

// Level grades a Notice.
type Level int

// The levels.
const (
	Done Level = iota
	Careful
	Failed
)

// Notice tells the operator how something went. It is a message for Update.
type Notice struct {
	Level Level
	Text  termsafe.Text   // what happened, why, what to do
	Full  []termsafe.Text // everything that is known, if that is more
}

// Result is a Notice that something was done.
func Result(format string, args ...any) Notice {
	return Notice{Level: Done, Text: termsafe.Line(fmt.Sprintf(format, args...))}
}

// Warn is a Notice that something needs attention.
func Warn(format string, args ...any) Notice {
	return Notice{Level: Careful, Text: termsafe.Line(fmt.Sprintf(format, args...))}
}

// maxFull bounds the lines of a Notice's full text.
const maxFull = 60

// Panicked is a Notice that a defect was met and contained.
func Panicked(what string, reason any, stack []byte) Notice {
	return Notice{
		Level: Failed,
		Text:  termsafe.Line(capital(what) + fmt.Sprintf(" failed: a defect in caiatop (%v); nothing else is affected, please report it", reason)),
		Full:  termsafe.Lines(string(stack), maxFull),
	}
}

// capital makes the first letter of a sentence.
func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// Failure is a Notice about an error: what was being done, in a few words.
func Failure(what string, err error) Notice {
	return Notice{
		Level: Failed,
		Text:  termsafe.Line(fmt.Sprintf("%s failed: %s. %s", capital(what), Reason(err), Advice(err))),
		Full:  termsafe.Lines(err.Error(), maxFull),
	}
}
