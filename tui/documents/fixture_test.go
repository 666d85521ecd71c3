package documents

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// desk is a page whose commands run at once.
type desk struct {
	*Page
	t       testing.TB
	shelf   *shelf
	drawer  *drawer
	now     time.Time
	told    []string
	holding bool      // replies are not delivered
	held    []tea.Msg // those replies
	ticks   []tea.Msg // held back until they are sent
	program func(c *exec.Cmd) error
}

func newDesk(t testing.TB, s *shelf) *desk {
	return sizedDesk(t, s, &drawer{kept: map[string]drafts.Draft{}}, 100, 22)
}

func sizedDesk(t testing.TB, s *shelf, dr *drawer, w, h int) *desk {
	t.Helper()
	var kept Drafts
	if dr != nil {
		kept = dr
	}
	d := deskOn(t, s, kept, w, h)
	d.shelf, d.drawer = s, dr
	return d
}

// deskOn is a page that is looked at.
func deskOn(t testing.TB, source Source, kept Drafts, w, h int) *desk {
	t.Helper()
	tasks := task.New(context.Background())
	t.Cleanup(tasks.Close)
	d := &desk{t: t, now: noon.Add(time.Hour)}
	d.Page = New(Options{
		Source: source, Tasks: tasks, Theme: plainTheme(), Location: time.UTC, Now: func() time.Time { return d.now }, Drafts: kept, Owner: "ada",
		Exec: func(c *exec.Cmd, done func(error) tea.Msg) tea.Cmd {
			return func() tea.Msg { return done(d.program(c)) }
		},
	})
	d.pause = func(context.Context, time.Duration) bool { return true }
	d.run(d.SetSize(w, h))
	d.run(d.SetVisible(true))
	return d
}

func (d *desk) run(cmd tea.Cmd) {
	d.t.Helper()
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			d.run(c)
		}
	case task.Notice:
		d.told = append(d.told, msg.Text.String())
	case tickMsg:
		d.ticks = append(d.ticks, msg)
	default:
		if d.holding {
			d.held = append(d.held, msg)
			return
		}
		d.send(msg)
	}
	d.check()
}

func (d *desk) send(msg tea.Msg) {
	d.t.Helper()
	cmd, mine := d.Update(msg)
	if !mine {
		d.t.Fatalf("nobody takes %T", msg)
	}
	d.run(cmd)
}

// tick delivers the ticks that are due, n times.
func (d *desk) tick(n int) {
	d.t.Helper()
	for range n {
		due := d.ticks
		d.ticks = nil
		for _, msg := range due {
			d.send(msg)
		}
	}
}

// release delivers what was held.
func (d *desk) release() {
	d.t.Helper()
	d.holding = false
	for _, msg := range d.held {
		d.send(msg)
	}
	d.held = nil
}

var keyTypes = map[string]tea.KeyType{
	"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab, "up": tea.KeyUp, "down": tea.KeyDown,
	"left": tea.KeyLeft, "right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd,
	"ctrl+s": tea.KeyCtrlS, "ctrl+u": tea.KeyCtrlU, "ctrl+n": tea.KeyCtrlN, "ctrl+d": tea.KeyCtrlD, "ctrl+z": tea.KeyCtrlZ,
	"ctrl+f": tea.KeyCtrlF, "ctrl+g": tea.KeyCtrlG, "backspace": tea.KeyBackspace, "f2": tea.KeyF2, "ctrl+end": tea.KeyCtrlEnd, "delete": tea.KeyDelete,
}

// press sends keys as the root model does: to Type where keys are text, else to
// the action that they stand for.
func (d *desk) press(keys ...string) {
	d.t.Helper()
	for _, k := range keys {
		if k == "wait" {
			d.wait()
			continue
		}
		for _, msg := range messages(k) {
			d.key(msg)
		}
	}
}

func (d *desk) key(msg tea.KeyMsg) {
	d.t.Helper()
	if d.Typing() {
		d.run(d.Type(msg))
		return
	}
	if a, ok := d.keys.Action(msg); ok {
		d.run(d.Do(a.Name))
	}
}

// wait lets the time go by in which what opened by itself is deaf.
func (d *desk) wait() { d.now = d.now.Add(deafFor) }

func (d *desk) paste(s string) { d.t.Helper(); d.run(d.Type(pasted(s))) }

// screen is what is shown, and checks that it fits.
func (d *desk) screen() string {
	d.t.Helper()
	lines := d.View()
	if len(lines) != d.h {
		d.t.Fatalf("%d lines on %d", len(lines), d.h)
	}
	for i, line := range lines {
		if n := ansi.StringWidth(line); n != d.w {
			d.t.Fatalf("line %d has %d cells of %d: %q", i, n, d.w, line)
		}
		for _, r := range ansi.Strip(line) {
			if r < ' ' || (r >= 0x7f && r < 0xa0) || (r >= 0x202a && r <= 0x202e) {
				d.t.Fatalf("line %d holds %U: %q", i, r, line)
			}
		}
	}
	return strings.Join(lines, "\n")
}

func (d *desk) check() { d.t.Helper(); d.screen() }

func (d *desk) see(want ...string) {
	d.t.Helper()
	got := d.screen()
	for _, w := range want {
		if !strings.Contains(got, w) {
			d.t.Fatalf("%q is not shown:\n%s\ntold: %q", w, got, d.told)
		}
	}
}

func (d *desk) miss(unwanted ...string) {
	d.t.Helper()
	got := d.screen()
	for _, w := range unwanted {
		if strings.Contains(got, w) {
			d.t.Fatalf("%q is shown:\n%s", w, got)
		}
	}
}

// heard reports the newest notice.
func (d *desk) heard(want string) {
	d.t.Helper()
	for _, told := range d.told {
		if strings.Contains(told, want) {
			return
		}
	}
	d.t.Fatalf("%q was not told, but %q\n%s", want, d.told, d.screen())
}

// wrote checks the writes so far.
func (d *desk) wrote(want ...string) {
	d.t.Helper()
	if !reflect.DeepEqual(d.shelf.writes, want) && len(d.shelf.writes)+len(want) > 0 {
		d.t.Fatalf("wrote %q, want %q\n%s\ntold: %q", d.shelf.writes, want, d.screen(), d.told)
	}
}

// hands checks the ids of the drafts that are kept.
func (d *desk) hands(want ...string) {
	d.t.Helper()
	var got []string
	for k := range d.drawer.kept {
		got = append(got, strings.TrimSuffix(k, "/ada"))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		d.t.Fatalf("drafts %q, want %q", got, want)
	}
}

func pasted(s string) tea.KeyMsg {
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s), Paste: true}
}

func plainTheme() *ui.Theme { return ui.NewTheme(lipgloss.NewRenderer(io.Discard), ui.ASCII()) }

var errBroken = errors.New("disk on fire")

// messages are the keys that a name or a text stands for.
func messages(k string) []tea.KeyMsg {
	if kind, ok := keyTypes[k]; ok {
		return []tea.KeyMsg{{Type: kind}}
	}
	var out []tea.KeyMsg
	for _, r := range k {
		out = append(out, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
	}
	return out
}
