package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/term"
)

// broken is a model that panics where it is told to.
type broken struct{ where, typed string }

func (b broken) Init() tea.Cmd {
	if b.where == "Init" {
		panic("boom in Init")
	}
	return nil
}

func (b broken) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	key, ok := msg.(tea.KeyMsg)
	if !ok {
		return b, nil
	}
	b.typed += key.String()
	boom := func() tea.Msg { panic("boom in " + b.where) }
	fine := func() tea.Msg { return nil }
	switch b.where {
	case "Update":
		panic("boom in Update")
	case "a command":
		return b, boom
	case "a batch":
		return b, tea.Batch(fine, tea.Batch(boom, fine))
	case "a sequence":
		return b, tea.Sequence(fine, tea.Sequence(fine, boom))
	}
	return b, nil
}

func (b broken) View() string {
	if b.where == "View" && b.typed != "" {
		panic("boom in View")
	}
	return "ready " + b.typed
}

// capture returns what f writes to stderr.
func capture(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = w
	defer func() { os.Stderr = stderr }()
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	f()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return <-text
}

func TestAPanicLeavesACleanTerminalAndATrace(t *testing.T) {
	for _, where := range []string{"Init", "Update", "View", "a command", "a batch", "a sequence"} {
		t.Run(where, func(t *testing.T) {
			told := capture(t, func() {
				c := openWith(t, func(ctx context.Context, _ *console, s *term.Session) error {
					return show(ctx, broken{where: where}, s)
				})
				if where != "Init" {
					c.await("ready")
					c.press("x")
				}
				err := c.result()
				defect, ok := errors.AsType[*Defect](err)
				if !ok || defect.Reason != "boom in "+where {
					t.Errorf("ended with %v", err)
				}
				if where != "Init" {
					c.clean()
				}
			})
			if !strings.Contains(told, "boom in "+where) || !strings.Contains(told, "run_ends_test.go") {
				t.Errorf("the trace that was told:\n%s", told)
			}
		})
	}
}

// editing runs a program at each key.
type editing struct {
	exec  func(*exec.Cmd, func(error) tea.Msg) tea.Cmd
	shows []string
}

func (e editing) Init() tea.Cmd { return nil }

func (e editing) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		script := map[string]string{"e": "printf 'in the editor'; read line; printf $line >&2", "s": "exec sleep 1000"}[msg.String()]
		return e, e.exec(exec.Command("/bin/sh", "-c", script), func(err error) tea.Msg { return err })
	case error:
		e.shows = append(slices.Clone(e.shows), "it failed: "+msg.Error())
	case nil:
	}
	return e, nil
}

func (e editing) View() string { return "ready " + strings.Join(e.shows, " ") }

func TestAnEditorHasTheTerminalAndGivesItBack(t *testing.T) {
	c := openWith(t, func(ctx context.Context, _ *console, s *term.Session) error {
		return show(ctx, editing{exec: lending(ctx, s)}, s)
	})
	c.await("ready")
	c.press("e")
	c.await("in the editor")
	if !strings.HasPrefix(c.shown(), before) {
		t.Errorf("the editor was not started on the main screen:\n%s", c.shown())
	}
	c.press("text\n")
	c.until("the console again", func() bool { return strings.HasPrefix(c.shown(), "ready") })
	// The end of the console ends the editor.
	c.press("s")
	c.until("the editor", func() bool { return strings.HasPrefix(c.shown(), before) })
	c.stop()
	c.wait()
}

// A terminal that stopped reading neither holds up the model nor its end.
func TestQuitOnATerminalThatTakesNothing(t *testing.T) {
	hold, stuck := make(chan struct{}), make(chan struct{}, 1000)
	updated := make(chan struct{}, 1000)
	keys, typed := io.Pipe()
	s := term.New(term.Streams{In: keys, Out: writer(func(b []byte) (int, error) {
		stuck <- struct{}{}
		<-hold
		return len(b), nil
	})})
	ended := make(chan error, 1)
	go func() { ended <- show(t.Context(), counting{updated: updated}, s) }()
	for range 100 {
		if _, err := io.WriteString(typed, "x"); err != nil {
			t.Fatal(err)
		}
		<-updated
	}
	<-stuck // what was never written need not be taken back
	if _, err := io.WriteString(typed, "q"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, term.ErrStuck) {
			t.Errorf("ended with %v, want that the terminal took nothing", err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	close(hold)
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
}

type counting struct {
	updated chan<- struct{}
	n       int
}

func (c counting) Init() tea.Cmd { return nil }

func (c counting) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if key, ok := msg.(tea.KeyMsg); ok {
		if key.String() == "q" {
			return c, tea.Quit
		}
		c.n++
		c.updated <- struct{}{}
	}
	return c, nil
}

func (c counting) View() string { return strings.Repeat("x", c.n) }
