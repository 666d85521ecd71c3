package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime/debug"
	"sync"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/term"
)

// Defect is a panic in Update, View or a command of a console, which ended it.
type Defect struct {
	Reason any
	Trace  []byte // where it happened
}

// Error says what happened, without the trace.
func (d *Defect) Error() string {
	return fmt.Sprintf("a defect in caiatop ended the console: %v", d.Reason)
}

// Run shows the console in a session until the operator leaves, ctx ends, or
// nothing can be typed any more; none of these is an error. A panic is: a
// *Defect, whose trace has been written to stderr by then. The session is left
// in every case, and nothing that Run started goes on when it returns, but for a
// write that a connection does not take and that its end ends.
func Run(ctx context.Context, o Options, s *term.Session) error {
	ability := s.Abilities()
	o.ASCII, o.Mono = o.ASCII || ability.ASCII, o.Mono || ability.Mono
	if o.Renderer == nil {
		o.Renderer = renderer(s)
	}
	if s.Local() {
		o.Exec = lending(ctx, s)
	}
	m := New(ctx, o)
	defer m.Close()
	return show(ctx, m, s)
}

// renderer makes the colours of a session from what its environment says. The
// terminal itself is not asked.
func renderer(s *term.Session) *lipgloss.Renderer {
	r := lipgloss.NewRenderer(nothing{}, termenv.WithEnvironment(environment{s}), termenv.WithTTY(true))
	r.SetHasDarkBackground(true)
	return r
}

// environment is that of a session's client.
type environment struct{ *term.Session }

// Environ is not needed for colours.
func (environment) Environ() []string { return nil }

// nothing is what a renderer that only makes text writes to.
type nothing struct{}

func (nothing) Write(b []byte) (int, error) { return len(b), nil }

// show runs a model in a session.
func show(ctx context.Context, m tea.Model, s *term.Session) (err error) {
	if err := s.Enter(); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	screen := term.NewScreen(s)
	face := &face{model: m, session: s, screen: screen, suspend: suspending(ctx, s)}
	defer func() { err = face.end(err) }()
	// Bubble Tea reads the keys and runs the model. It neither draws nor changes
	// the terminal, and meets no panic.
	program := tea.NewProgram(face, tea.WithInput(s.In()), tea.WithOutput(nothing{}),
		tea.WithoutRenderer(), tea.WithoutSignalHandler(), tea.WithoutCatchPanics())
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { attend(ctx, s, program, ended) })
	_, err = program.Run()
	close(ended)
	watch.Wait()
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// attend tells the program what happens to the session.
func attend(ctx context.Context, s *term.Session, program *tea.Program, ended <-chan struct{}) {
	resizes, jobs := s.Resizes(), s.Jobs()
	for {
		select {
		case size, ok := <-resizes:
			if !ok {
				resizes = nil
				continue
			}
			program.Send(sized(size))
		case job, ok := <-jobs:
			if !ok {
				jobs = nil
				continue
			}
			program.Send(job)
		case <-s.Lost():
			program.Quit()
			return
		case <-ctx.Done():
			program.Quit()
			return
		case <-ended:
			return
		}
	}
}

func sized(s term.Size) tea.WindowSizeMsg { return tea.WindowSizeMsg{Width: s.Width, Height: s.Height} }

// face draws what a model shows.
type face struct {
	model   tea.Model
	session *term.Session
	screen  *term.Screen
	suspend tea.Cmd
	size    term.Size
	failed  error // ends the console; the model is not used any more
}

// backMsg says that the terminal was away and is here again. What follows is for
// the model.
type backMsg struct{ then tea.Msg }

// Init starts the model.
func (f *face) Init() (cmd tea.Cmd) {
	defer f.contain(&cmd)
	first := sized(f.session.Size())
	return tea.Batch(f.guarded(f.model.Init()), func() tea.Msg { return first })
}

// Update gives the model a message and draws what it shows then.
func (f *face) Update(msg tea.Msg) (self tea.Model, cmd tea.Cmd) {
	self = f // also after a panic
	defer f.contain(&cmd)
	if f.failed != nil {
		return f, tea.Quit
	}
	switch m := msg.(type) {
	case *Defect:
		return f, f.fail(m)
	case tea.KeyMsg:
		if m.Type == tea.KeyCtrlZ && f.session.Local() && !f.typing() {
			return f, f.suspend
		}
	case term.Job:
		if m == term.Stop {
			return f, f.suspend
		}
		return f, f.again(f.session.Refresh())
	case backMsg:
		if cmd := f.again(f.session.Enter()); cmd != nil || m.then == nil {
			return f, cmd
		}
		msg = m.then
	case tea.WindowSizeMsg:
		f.size = term.Size{Width: m.Width, Height: m.Height}
		f.screen.Forget()
	}
	var next tea.Cmd
	f.model, next = f.model.Update(msg)
	f.screen.Draw(f.model.View(), f.size)
	return f, f.guarded(next)
}

// typing says that the model takes every key as text: there ctrl+z is undo.
func (f *face) typing() bool {
	m, ok := f.model.(interface{ Typing() bool })
	return ok && m.Typing()
}

// View is not drawn by Bubble Tea.
func (*face) View() string { return "" }

// again draws everything anew, if the terminal is to be had.
func (f *face) again(err error) tea.Cmd {
	if err != nil {
		return f.fail(err)
	}
	f.screen.Forget()
	return nil
}

func (f *face) fail(err error) tea.Cmd {
	f.failed = err
	return tea.Quit
}

// contain ends the console where a panic would take the process with it.
func (f *face) contain(cmd *tea.Cmd) {
	if reason := recover(); reason != nil {
		*cmd = f.fail(&Defect{reason, debug.Stack()})
	}
}

// guarded returns cmd, and all that it leads to, with panics as messages.
func (f *face) guarded(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer func() {
			if reason := recover(); reason != nil {
				msg = &Defect{reason, debug.Stack()}
			}
		}()
		msg = cmd()
		// A batch or a sequence: Bubble Tea runs what is in it by itself.
		list := reflect.ValueOf(msg)
		if list.Kind() != reflect.Slice || list.Type().Elem() != reflect.TypeFor[tea.Cmd]() {
			return msg
		}
		for i := range list.Len() {
			inner, _ := list.Index(i).Interface().(tea.Cmd)
			list.Index(i).Set(reflect.ValueOf(f.guarded(inner)))
		}
		return msg
	}
}

// end leaves the session and tells what ended the console.
func (f *face) end(err error) error {
	left := f.session.Leave()
	f.screen.Close()
	if d, ok := f.failed.(*Defect); ok {
		fmt.Fprintf(os.Stderr, "%v\n\n%s\n", d, d.Trace)
	}
	select {
	case <-f.session.Lost(): // what cannot be given back is gone
		left = nil
	default:
	}
	return errors.Join(f.failed, err, left)
}

// errand is what runs while the session does not have the terminal. Bubble Tea
// reads no keys meanwhile, and Update waits.
type errand func() error

// Run carries it out.
func (e errand) Run() error { return e() }

// SetStdin is not needed: an errand knows the terminal.
func (errand) SetStdin(io.Reader) {}

// SetStdout is not needed either.
func (errand) SetStdout(io.Writer) {}

// SetStderr is not needed either.
func (errand) SetStderr(io.Writer) {}

// suspending returns the command that gives the terminal back to the shell.
func suspending(ctx context.Context, s *term.Session) tea.Cmd {
	return tea.Exec(errand(func() error { return s.Suspend(ctx) }), func(err error) tea.Msg {
		if err != nil {
			return backMsg{task.Failure("stopping", err)}
		}
		return backMsg{}
	})
}

// lending returns what runs programs on the terminal of a session.
func lending(ctx context.Context, s *term.Session) task.Exec {
	return func(c *exec.Cmd, done func(error) tea.Msg) tea.Cmd {
		return tea.Exec(errand(func() error { return s.Lend(ctx, c) }), func(err error) tea.Msg {
			return backMsg{done(err)}
		})
	}
}
