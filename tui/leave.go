package tui

import (
	"context"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/documents"
	"github.com/caiatech/caiatop/tui/task"
)

// keepLimit is how long a console that has to end waits for a page to keep what
// is unsaved.
const keepLimit = 2 * time.Second

// keeping is a page that may hold text that would be lost with it.
type keeping interface {
	Unsaved() bool
	// Keep returns a command that puts the text where it is found again. Its
	// message is a documents.Kept, which says whether that was possible.
	Keep() tea.Cmd
}

// leaving is what is known about the end of a session.
type leaving struct {
	asked  *confirm // the dialog that asks whether to leave
	busy   bool     // text is being kept
	forced bool     // the operator did not want to be asked again
	done   bool     // the text is kept, or given up
	late   context.CancelFunc
}

// keptMsg is all that came of keeping.
type keptMsg struct{ msgs []tea.Msg }

// lateMsg says that keeping took too long.
type lateMsg struct{}

// unsaved returns the commands that keep what pages hold.
func (m *Model) unsaved() []tea.Cmd {
	var cmds []tea.Cmd
	for _, t := range m.tabs {
		if k, ok := t.page.(keeping); ok && k.Unsaved() {
			cmds = append(cmds, k.Keep())
		}
	}
	return cmds
}

// holds reports whether a page holds unsaved text.
func (m *Model) holds() bool {
	return slices.ContainsFunc(m.tabs, func(t tab) bool {
		k, ok := t.page.(keeping)
		return ok && k.Unsaved()
	})
}

// leave ends the session, after a question if text is unsaved. Asked a second
// time it keeps the text and ends, whatever becomes of that.
func (m *Model) leave() tea.Cmd {
	l := &m.leaving
	switch {
	case l.busy:
		return m.force()
	case !m.holds():
		return tea.Quit
	case l.asked != nil && slices.Contains(m.dialogs, dialog(l.asked)):
		return tea.Batch(m.force(), m.keep())
	}
	if m.o.Drafts == nil {
		l.asked = &confirm{
			title: "Unsaved text", yes: "quit without it", run: func() tea.Cmd { return tea.Quit },
			text: []string{"There is text that was not saved, and this console keeps no drafts: what was typed is lost."},
		}
		m.push(l.asked)
		return nil
	}
	l.asked = &confirm{
		title: "Unsaved text", yes: "keep draft and quit",
		text: []string{
			"There is text that was not saved. It can be kept as a draft, which is offered again when the document is edited the next time.",
			"ctrl+c again does that at once.",
		},
		run: m.keep,
	}
	m.push(l.asked)
	return nil
}

// force ends the session in a moment, even if nothing could be kept.
func (m *Model) force() tea.Cmd {
	l := &m.leaving
	if l.forced {
		return nil
	}
	l.forced = true
	return m.later(&l.late, "keeping what is unsaved", keepLimit, func() tea.Msg { return lateMsg{} })
}

// keep has the pages keep what they hold.
func (m *Model) keep() tea.Cmd {
	m.leaving.busy = true
	m.status = task.Result("Keeping the draft …")
	cmds := m.unsaved()
	return m.tasks.Go("keeping what is unsaved", 0, func(ctx context.Context) tea.Msg {
		return keptMsg{run(ctx, cmds)}
	})
}

// run runs commands one after the other and returns their messages.
func run(ctx context.Context, cmds []tea.Cmd) []tea.Msg {
	var out []tea.Msg
	for _, cmd := range cmds {
		if cmd == nil || ctx.Err() != nil {
			continue
		}
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			out = append(out, run(ctx, msg)...)
		default:
			out = append(out, msg)
		}
	}
	return out
}

// onKept passes on what came of keeping, and ends the session. If text could
// not be kept the session goes on, unless it has to end.
func (m *Model) onKept(msg keptMsg) tea.Cmd {
	l := &m.leaving
	failed := false
	var cmds []tea.Cmd
	for _, inner := range msg.msgs {
		switch inner := inner.(type) {
		case documents.Kept:
			failed = failed || inner.Err != nil
		case task.Notice: // of a defect
			failed = failed || inner.Level == task.Failed
		}
		_, cmd := m.Update(inner)
		cmds = append(cmds, cmd)
	}
	l.busy = false
	if failed && !l.forced {
		m.status = task.Notice{}
		return tea.Batch(cmds...)
	}
	l.done = true
	return tea.Quit
}

// onLate ends a session that waited long enough.
func (m *Model) onLate() tea.Cmd {
	m.leaving.done = true
	return tea.Quit
}

// Close keeps what is unsaved where the session was ended from outside, cancels
// what is under way and waits for it.
func (m *Model) Close() {
	if cmds := m.lastWords(); len(cmds) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), keepLimit)
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			run(ctx, cmds)
		}()
		select {
		case <-kept:
		case <-ctx.Done():
		}
		cancel()
		// What still runs is cancelled with the tasks, of which it is one.
		defer func() { <-kept }()
	}
	m.tasks.Close()
}

// lastWords returns the commands that keep what was neither kept nor given up.
// Where a defect ended the session, another one must not hide it.
func (m *Model) lastWords() (cmds []tea.Cmd) {
	if m.leaving.done || m.o.Drafts == nil {
		return nil
	}
	m.leaving.done = true
	defer func() {
		if recover() != nil {
			cmds = nil
		}
	}()
	return m.unsaved()
}
