package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
)

// noticeFor is how long the result of a finished action is shown. Warnings and
// errors stay until something follows them.
const noticeFor = 15 * time.Second

// expiredMsg says that a notice has been shown long enough.
type expiredMsg struct{ told uint64 }

// agedMsg is a snapshot that was asked for because a shown age moved on.
type agedMsg struct{ stats *engine.Stats }

// pause waits, and reports whether it was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// later runs f once, after d; what was to run in the same slot before it does
// not any more.
func (m *Model) later(slot *context.CancelFunc, what string, d time.Duration, f func() tea.Msg) tea.Cmd {
	if *slot != nil {
		(*slot)()
	}
	wait := m.pause
	cmd, cancel := m.tasks.Start(what, 0, func(ctx context.Context) tea.Msg {
		if !wait(ctx, d) {
			return nil
		}
		return f()
	})
	*slot = cancel
	return cmd
}

// expire takes a result off the status line after a while.
func (m *Model) expire() tea.Cmd {
	told := m.told
	return m.later(&m.endNotice, "taking a notice away", noticeFor, func() tea.Msg { return expiredMsg{told} })
}

func (m *Model) onExpired(msg expiredMsg) {
	if msg.told == m.told {
		m.status = task.Notice{}
	}
}

// age asks for a snapshot when the next shown age moves on: once a second
// within the first minute, once a minute after it, never without an age.
func (m *Model) age(s *engine.Stats) tea.Cmd {
	var shown []time.Time
	if m.shown().name == action.PageSystem {
		shown = append(shown, m.o.Process.Started)
	}
	d := untilAged(s, shown...)
	if d == 0 {
		return nil
	}
	feed := m.o.Feed
	return m.later(&m.endAge, "reading the state", d, func() tea.Msg { return agedMsg{feed.Current()} })
}

// untilAged returns how long the ages that a snapshot shows, and those since more
// times, stay what they are, 0 if there are none.
func untilAged(s *engine.Stats, more ...time.Time) time.Duration {
	shown := append([]time.Time{s.Since, s.Outbox.Oldest}, more...)
	if h := s.Service.Health; !h.Up {
		shown = append(shown, h.Since)
	} else if h.Uptime > 0 {
		shown = append(shown, h.At.Add(-h.Uptime))
	}
	next := time.Duration(0)
	for _, t := range shown {
		if t.IsZero() {
			continue
		}
		age := max(s.At.Sub(t), 0)
		step := time.Minute
		if age < time.Minute {
			step = time.Second
		}
		if left := step - age%step; next == 0 || left < next {
			next = left
		}
	}
	return next
}
