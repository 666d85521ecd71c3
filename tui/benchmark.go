package tui

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// benchLimit ends a benchmark that does not.
const benchLimit = 15 * time.Minute

// askBench asks before the machine is kept busy.
func (m *Model) askBench(a action.Action) tea.Cmd {
	if m.o.Bench == nil {
		return m.onNotice(task.Warn("There is no benchmark in this console"))
	}
	m.push(&confirm{
		title: "Benchmark", yes: "start",
		text: []string{
			"This measures memory, git and govc beside the published figures and keeps the machine busy meanwhile.",
			"It works in repositories of its own, which are removed afterwards; your documents are not touched.",
		},
		command: a.Command, run: m.startBench,
	})
	return nil
}

// benchmark is the dialog of one run.
type benchmark struct {
	progress chan bench.Progress // capacity one, the newest; never closed
	ended    chan struct{}       // closed when the run is over
	now      bench.Progress
	what     termsafe.Text
	report   *bench.Report
	cancel   context.CancelFunc
}

type benchProgressMsg struct {
	run *benchmark
	bench.Progress
}

type benchDoneMsg struct {
	run    *benchmark
	report bench.Report
	err    error
}

func (m *Model) startBench() tea.Cmd {
	b := &benchmark{progress: make(chan bench.Progress, 1), ended: make(chan struct{})}
	run := m.o.Bench
	start, cancel := m.tasks.Start("the benchmark", benchLimit, func(ctx context.Context) tea.Msg {
		defer close(b.ended)
		report, err := run(ctx, b.advance)
		return benchDoneMsg{b, report, err}
	})
	b.cancel = cancel
	m.push(b)
	return tea.Batch(start, m.watchBench(b))
}

// advance replaces what was not shown yet. It never waits: of several calls at
// once one is shown.
func (b *benchmark) advance(p bench.Progress) {
	select {
	case <-b.progress:
	default:
	}
	select {
	case b.progress <- p:
	default:
	}
}

func (m *Model) watchBench(b *benchmark) tea.Cmd {
	return m.tasks.Go("watching the benchmark", 0, func(ctx context.Context) tea.Msg {
		select {
		case p := <-b.progress:
			return benchProgressMsg{b, p}
		case <-b.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	})
}

func (m *Model) onBenchProgress(msg benchProgressMsg) tea.Cmd {
	msg.run.now, msg.run.what = msg.Progress, termsafe.Line(msg.What)
	return m.watchBench(msg.run)
}

func (m *Model) onBenchDone(msg benchDoneMsg) tea.Cmd {
	if msg.err == nil {
		msg.run.report = &msg.report
		return m.onNotice(task.Result("The benchmark took %s", ui.Age(msg.report.Took)))
	}
	for i, d := range m.dialogs {
		if d == dialog(msg.run) {
			m.dialogs = append(m.dialogs[:i:i], m.dialogs[i+1:]...)
			break
		}
	}
	if errors.Is(msg.err, context.Canceled) {
		return m.onNotice(task.Result("The benchmark was stopped"))
	}
	return m.onNotice(task.Failure("the benchmark", msg.err))
}

func (b *benchmark) key(m *Model, msg tea.KeyMsg) tea.Cmd {
	if key.Matches(msg, m.answers.Leave) || (b.report != nil && key.Matches(msg, m.answers.Enter)) {
		b.cancel()
		m.pop()
	}
	return nil
}

func (b *benchmark) draw(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	if b.report != nil {
		return fitted(t, "Benchmark", reportLines(t, b.report, width-4), width, h)
	}
	what := b.what.String()
	if what == "" {
		what = "preparing"
	}
	count := fmt.Sprintf(" %s of %s", ui.Count(int64(b.now.Done)), ui.Count(int64(b.now.Total)))
	return fitted(t, "Benchmark", []string{
		what,
		t.Paint(ui.Accent, t.Bar(int64(b.now.Done), int64(b.now.Total), width-4-len(count))) + count,
		"",
		t.Paint(ui.Dim, "esc stops it"),
	}, width, h)
}

// reportLines is the table of what was measured beside what was published.
func reportLines(t *ui.Theme, r *bench.Report, w int) []string {
	table := ui.Table{
		{Title: "op", Width: 6},
		{Title: "store", Width: 6},
		{Title: "published", Width: 9, Right: true},
		{Title: "p50", Width: ui.DurationWidth + 1, Right: true},
		{Title: "p95", Width: ui.DurationWidth + 1, Right: true},
		{Title: "p99", Width: ui.DurationWidth + 1, Right: true},
		{Title: "n/s", Width: ui.RateWidth, Right: true},
		{Title: " to published"},
	}
	lines := []string{table.Head(t, w)}
	for _, row := range r.Rows {
		verdict, tone := ratio(row)
		cells := []string{
			termsafe.Line(row.Op).String(), termsafe.Line(row.Store).String(), ui.Duration(row.Published),
			ui.Unknown, ui.Unknown, ui.Unknown, ui.Unknown, " " + verdict,
		}
		if row.Count > 0 {
			cells[3], cells[4], cells[5], cells[6] = ui.Duration(row.P50), ui.Duration(row.P95), ui.Duration(row.P99), ui.Rate(row.Rate)
		}
		lines = append(lines, table.Row(t, w, cells, ui.Plain, ui.Plain, ui.Dim, ui.Plain, ui.Plain, ui.Plain, ui.Plain, tone))
	}
	set := fmt.Sprintf("%s documents of %s, one caller", ui.Count(int64(r.Documents)), bytesOf(r.DocBytes))
	return append(lines, "",
		t.Paint(ui.Dim, set), t.Paint(ui.Dim, termsafe.Line(r.Machine).String()), t.Paint(ui.Dim, "enter close"))
}

// ratio compares the measured median with the published figure.
func ratio(row bench.Row) (string, ui.Tone) {
	if row.Count == 0 || row.Published <= 0 || row.P50 <= 0 {
		return ui.Unknown, ui.Dim
	}
	r := float64(row.Published) / float64(row.P50)
	switch {
	case r >= 1.05:
		return fmt.Sprintf("%.1fx faster", r), ui.Good
	case r <= 1/1.05:
		return fmt.Sprintf("%.1fx slower", 1/r), ui.Warn
	}
	return "the same", ui.Plain
}

func bytesOf(n int) string {
	if n < 0 {
		return ui.Unknown
	}
	return fmt.Sprintf("%s bytes", ui.Count(int64(n)))
}
