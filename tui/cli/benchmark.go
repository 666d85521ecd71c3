package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// measured is what bench answers with --json, times in milliseconds.
type measured struct {
	At        time.Time      `json:"at"`
	Seconds   float64        `json:"seconds"`
	Documents int            `json:"documents"`
	DocBytes  int            `json:"doc_bytes"`
	Machine   string         `json:"machine"`
	Rows      []measuredLine `json:"rows"`
}

type measuredLine struct {
	Op          string  `json:"op"`
	Store       string  `json:"store"`
	PublishedMS float64 `json:"published_ms"`
	Count       int     `json:"count"` // 0: not measured
	P50MS       float64 `json:"p50_ms"`
	P95MS       float64 `json:"p95_ms"`
	P99MS       float64 `json:"p99_ms"`
	MaxMS       float64 `json:"max_ms"`
	Rate        float64 `json:"rate"`
}

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure memory, git and govc beside the published figures",
		Long: "Measures writes, reads and merges, one caller at a time, in repositories of its own that are\n" +
			"removed afterwards. No document and no service of yours is touched; the machine is kept busy.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			line := &progressLine{app: a, on: a.IsTerminal(a.Stderr)}
			const job = "A benchmark by command"
			start := a.Now()
			a.withEvents(cmd, func(ctx context.Context, to httpapi.Facts) { a.begins(ctx, to, job) })
			report, err := a.Bench(cmd.Context(), func(p bench.Progress) {
				line.tell(fmt.Sprintf("%s, %d of %d", p.What, p.Done, p.Total))
			})
			line.clear()
			err = fault("the benchmark did not end", err)
			a.withEvents(cmd, func(ctx context.Context, to httpapi.Facts) {
				a.ended(ctx, to, job, fmt.Sprintf("%.1f s", a.Now().Sub(start).Seconds()), err, "Nothing of it is left; run it again with: caiatop bench")
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(a.Stdout, toMeasured(report))
			}
			return a.printBench(report)
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func toMeasured(r bench.Report) measured {
	out := measured{At: r.At.UTC(), Seconds: r.Took.Seconds(), Documents: r.Documents, DocBytes: r.DocBytes, Machine: r.Machine}
	for _, row := range r.Rows {
		out.Rows = append(out.Rows, measuredLine{
			Op: row.Op, Store: row.Store, PublishedMS: exactMillis(row.Published), Count: row.Count,
			P50MS: exactMillis(row.P50), P95MS: exactMillis(row.P95), P99MS: exactMillis(row.P99), MaxMS: exactMillis(row.Max), Rate: row.Rate,
		})
	}
	return out
}

func exactMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (a *app) printBench(r bench.Report) error {
	rows := [][]string{{"operation", "store", "published", "p50", "p95", "p99", "per s", "to published"}}
	for _, row := range r.Rows {
		line := []string{row.Op, row.Store, short(row.Published), ui.Unknown, ui.Unknown, ui.Unknown, ui.Unknown, ui.Unknown}
		if row.Count > 0 {
			line = []string{row.Op, row.Store, short(row.Published), short(row.P50), short(row.P95), short(row.P99), strings.TrimSpace(ui.Rate(row.Rate)), ratio(row)}
		}
		rows = append(rows, line)
	}
	if err := table(a.Stdout, rows); err != nil {
		return err
	}
	return emit(a.Stdout, "\n%s of %s bytes in each store, one caller, %.1f s on %s\n",
		count(r.Documents, "document"), ui.Count(int64(r.DocBytes)), r.Took.Seconds(), safe(r.Machine))
}

func short(d time.Duration) string {
	if d <= 0 {
		return ui.Unknown
	}
	return strings.TrimSpace(ui.Duration(d))
}

// ratio compares the median with what was published; within a twentieth they
// are the same.
func ratio(row bench.Row) string {
	const same = 1.05
	if row.Published <= 0 || row.P50 <= 0 {
		return ui.Unknown
	}
	r := float64(row.Published) / float64(row.P50)
	switch {
	case r >= same:
		return fmt.Sprintf("%.1fx faster", r)
	case r <= 1/same:
		return fmt.Sprintf("%.1fx slower", 1/r)
	}
	return "the same"
}
