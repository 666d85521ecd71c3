package tui

import (
	"context"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
)

// adder is a source of events that takes further ones.
type adder interface {
	Add(e journal.Entry) journal.Entry
}

// consoleKind is the kind of the events that a console adds.
const consoleKind = "console"

// notedMsg says that a failure became an event.
type notedMsg struct{ seq uint64 }

// maxMessages bounds what help shows of earlier results.
const maxMessages = 50

// onNotice tells how something went. Failures become events as well, where
// their full text can be read.
func (m *Model) onNotice(n task.Notice) tea.Cmd {
	m.status = n
	m.told++
	m.messages = append([]task.Notice{n}, m.messages...)
	m.messages = m.messages[:min(len(m.messages), maxMessages)]
	switch n.Level {
	case task.Done:
		return m.expire()
	case task.Failed:
		return m.note(n)
	case task.Careful:
	}
	return nil
}

// note makes an event of a failure.
func (m *Model) note(n task.Notice) tea.Cmd {
	events, ok := m.o.Events.(adder)
	if !ok {
		return nil
	}
	now := m.o.Now
	return m.tasks.Go("noting a failure", 0, func(context.Context) tea.Msg {
		e := events.Add(journal.Entry{At: now(), Level: journal.Error, Kind: consoleKind, Text: fullText(n)})
		return notedMsg{e.Seq}
	})
}

// fullText is everything that is known of a notice. The advice to read it leads
// here, and is left out.
func fullText(n task.Notice) string {
	text := strings.TrimSuffix(n.Text.String(), ". "+task.FullText)
	full := make([]string, 0, len(n.Full))
	for _, line := range n.Full {
		full = append(full, line.String())
	}
	if rest := strings.Join(full, "\n"); !strings.Contains(text, rest) {
		text += "\n" + rest
	}
	return text
}

// forgive takes an error off the status line, since the operator moved on. Help
// and events keep it.
func (m *Model) forgive() {
	if m.status.Level == task.Failed {
		m.status = task.Notice{}
	}
}

// settleStatus takes off the status line what was done or failed.
func (m *Model) settleStatus() {
	m.forgive()
	if m.status.Level == task.Done && m.told > 0 {
		m.status = task.Notice{}
	}
}

// greet says once which service this is, if it is the embedded one.
func (m *Model) greet() {
	if !m.stats.Service.Embedded {
		return
	}
	hint := m.o.ConfigHint
	if hint == "" {
		hint = "Embedded service. For a real one: GOVC_SERVICE_URL=http://host:8080 caiatop"
	}
	m.status = task.Notice{Level: task.Done, Text: termsafe.Line(hint)}
}
