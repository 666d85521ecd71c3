package overview

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// operations and stores in the order in which they are shown.
var (
	operations = []probe.Op{probe.Write, probe.Read, probe.Delete, probe.Search}
	places     = []probe.Store{probe.Engine, probe.Govc, probe.Git, probe.State, probe.Memory}
)

// latency is the table of what was measured, one line an operation and store.
// Operations that did not happen within the window are left out, but writes and
// reads of callers always stand there, so that the first lines never move.
func (p *Page) latency(w, h int) []string {
	const fixed = 7 + 1 + 7 + 1 + 4*(ui.DurationWidth+2) + ui.RateWidth + 3
	spark := min(max(w-fixed, 0), probe.SparkPoints)
	title := "last 5 min"
	if spark < len(title) {
		spark, title = 0, ""
	}
	table := ui.Table{
		{Title: "op", Width: 7},
		{Title: "store", Width: 7},
		{Title: "p50", Width: ui.DurationWidth + 1, Right: true},
		{Title: "p95", Width: ui.DurationWidth + 1, Right: true},
		{Title: "p99", Width: ui.DurationWidth + 1, Right: true},
		{Title: "max", Width: ui.DurationWidth + 1, Right: true},
		{Title: "n/s", Width: ui.RateWidth, Right: true},
		{Title: " " + title},
	}
	out := []string{table.Head(p.theme, w)}
	for _, op := range p.measured() {
		cells := []string{
			termsafe.Line(string(op.Op)).String(), termsafe.Line(string(op.Store)).String(),
			ui.Duration(op.P50), ui.Duration(op.P95), ui.Duration(op.P99), ui.Duration(op.Max),
			ui.Rate(op.Rate), " " + p.theme.Spark(latencies(op), spark),
		}
		tones := make([]ui.Tone, len(cells))
		tones[len(tones)-1] = ui.Accent
		if op.Count == 0 {
			cells[6] = ui.Unknown
			for i := range tones {
				tones[i] = ui.Dim
			}
		}
		out = append(out, table.Row(p.theme, w, cells, tones...))
	}
	return out[:min(len(out), max(h, 0))]
}

// measured returns the lines of the latency table, sorted.
func (p *Page) measured() []probe.OpStats {
	var out []probe.OpStats
	for _, op := range []probe.Op{probe.Write, probe.Read} {
		if s, ok := p.find(op, probe.Engine); !ok || s.Count == 0 {
			out = append(out, probe.OpStats{Op: op, Store: probe.Engine})
		}
	}
	for _, s := range p.stats.Ops {
		if s.Count > 0 {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b probe.OpStats) int {
		return cmp.Or(
			cmp.Compare(slices.Index(operations, a.Op), slices.Index(operations, b.Op)),
			cmp.Compare(slices.Index(places, a.Store), slices.Index(places, b.Store)),
		)
	})
	return out
}

func (p *Page) find(op probe.Op, store probe.Store) (probe.OpStats, bool) {
	for _, s := range p.stats.Ops {
		if s.Op == op && s.Store == store {
			return s, true
		}
	}
	return probe.OpStats{Op: op, Store: store}, false
}

func latencies(s probe.OpStats) []float64 {
	out := make([]float64, len(s.LatencySeries))
	for i, d := range s.LatencySeries {
		out[i] = float64(d)
	}
	return out
}

// throughput shows what callers did. Probes are never counted.
func (p *Page) throughput(w int) []string {
	var out []string
	failed := int64(0)
	for _, op := range []probe.Op{probe.Write, probe.Read, probe.Search} {
		s, _ := p.find(op, probe.Engine)
		head := fmt.Sprintf("%-6s%s  ", op, ui.Rate(s.Rate))
		out = append(out, head+p.theme.Paint(ui.Accent, p.theme.Spark(s.RateSeries[:], min(w-len(head), probe.SparkPoints))))
	}
	for _, s := range p.stats.Ops {
		if s.Store == probe.Engine {
			failed += s.Errors
		}
	}
	line := fmt.Sprintf("failed %s in 5 min", ui.Left(ui.Count(failed), ui.RateWidth-1))
	if failed > 0 {
		line = p.theme.Paint(ui.Bad, line)
	}
	return append(out, line)
}

// chart draws how many operations a second there were over the window, above
// the highest of them.
func (p *Page) chart(op probe.Op, w, h int) []string {
	s, _ := p.find(op, probe.Engine)
	highest := 0.0
	for _, rate := range s.RateSeries {
		highest = max(highest, rate)
	}
	inner := min(w-4, probe.SparkPoints)
	lines := []string{p.theme.Paint(ui.Dim, "highest "+strings.TrimSpace(ui.Rate(highest))+"/s")}
	for _, line := range p.theme.Chart(s.RateSeries[:], inner, h-3) {
		lines = append(lines, p.theme.Paint(ui.Accent, line))
	}
	return p.theme.Box(string(op)+"s  last 5 min", lines, w, h, false)
}

// charted says that there is something to chart.
func (p *Page) charted() bool {
	for _, op := range []probe.Op{probe.Write, probe.Read} {
		s, _ := p.find(op, probe.Engine)
		for _, rate := range s.RateSeries {
			if rate > 0 {
				return true
			}
		}
	}
	return false
}

// rates is throughput in one line.
func (p *Page) rates() string {
	write, _ := p.find(probe.Write, probe.Engine)
	read, _ := p.find(probe.Read, probe.Engine)
	return fmt.Sprintf("write %s/s   read %s/s", strings.TrimSpace(ui.Rate(write.Rate)), strings.TrimSpace(ui.Rate(read.Rate)))
}
