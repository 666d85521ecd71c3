package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/caiatech/caiatop/bench/beside"
)

// The units of rows. Of all but rates less is better.
const (
	inMicros   = "us"
	inRate     = "documents/s"
	inBytes    = "B"
	inRatio    = "ratio"
	inRequests = "requests"
	inCommits  = "commits"
)

// targetDocs is the number of documents that the targets are made for.
const targetDocs = 100_000

// row is one line of the table.
type row struct {
	What    string  `json:"what"`
	Docs    int     `json:"docs"`
	Unit    string  `json:"unit"`
	Ours    figure  `json:"ours"`
	Floor   *figure `json:"floor,omitempty"`
	FloorIs string  `json:"floor_is,omitempty"`
	// Ratio is how many times the cost of the floor ours costs; 0 if there is no
	// floor.
	Ratio float64 `json:"ratio,omitempty"`
	// QuickRatio is that of the quick ones on both sides.
	QuickRatio float64 `json:"quick_ratio,omitempty"`
	Target     string  `json:"target,omitempty"`
	Reached    string  `json:"reached,omitempty"` // "yes", "no", "" if there is none
	Note       string  `json:"note,omitempty"`
}

// target is what a row should reach; 0 asks for nothing.
type target struct {
	most   float64 // of ours
	least  float64 // of ours
	within float64 // times the floor
	none   bool    // ours must be nothing
}

func (t target) String() string {
	var parts []string
	if t.most > 0 {
		parts = append(parts, fmt.Sprintf("<= %g", t.most))
	}
	if t.least > 0 {
		parts = append(parts, fmt.Sprintf(">= %g", t.least))
	}
	if t.within > 0 {
		parts = append(parts, fmt.Sprintf("<= %gx floor", t.within))
	}
	if t.none {
		parts = append(parts, "0")
	}
	return strings.Join(parts, ", ")
}

func (t target) reached(x row) bool {
	return (t.most == 0 || x.Ours.Median <= t.most) && (t.least == 0 || x.Ours.Median >= t.least) &&
		(t.within == 0 || x.Ratio <= t.within) && (!t.none || x.Ours.Median == 0)
}

type (
	figure = beside.Figure
	racer  = beside.Racer
)

// report is what a run leaves.
type report struct {
	Machine beside.Machine `json:"machine"`
	Took    float64        `json:"seconds"`
	Rows    []row          `json:"rows"`
	// Missing are rows that this build cannot measure, and why.
	Missing []string `json:"missing,omitempty"`
	// Unfinished says why rows are missing, "" if none is.
	Unfinished string `json:"unfinished,omitempty"`

	progress beside.Progress
}

// add completes a row with its ratio and keeps it.
func (r *report) add(line row, t target) {
	if line.Floor != nil {
		line.Ratio = ratio(line.Ours.Median, line.Floor.Median, line.Unit)
		line.QuickRatio = ratio(line.Ours.Quick, line.Floor.Quick, line.Unit)
	}
	if t != (target{}) {
		line.Target, line.Reached = t.String(), "no"
		if t.reached(line) {
			line.Reached = "yes"
		}
	}
	r.Rows = append(r.Rows, line)
}

// ratio is how many times as dear ours is, 0 if one was not measured.
func ratio(ours, floor float64, unit string) float64 {
	switch {
	case ours <= 0 || floor <= 0:
		return 0
	case unit == inRate:
		return floor / ours
	}
	return ours / floor
}

func (r *report) finish() {
	r.Machine.Finish()
	r.Took = r.progress.Seconds()
}

// print writes the table.
func (r *report) print(out io.Writer) error {
	m := r.Machine
	_, err := fmt.Fprintf(out, "%s, %d cores; Linux %s, %s; load %s before, %s after; %.0f s\n\n", m.CPU, m.Cores, m.Kernel, m.Go, m.LoadBefore, m.LoadAfter, r.Took)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { beside.Say(w, "%s\n", strings.Join(cells, "\t")) }
	line("docs", "what", "figure", "p99", "n", "floor", "ratio", "quick", "ratio", "processor", "ratio", "target", "reached")
	for _, x := range r.Rows {
		p99, floor, ratio, quick, least, processor, burden := "-", "-", "-", "-", "-", "-", "-"
		if x.Ours.Quick > 0 {
			quick = show(x.Ours.Quick, x.Unit)
		}
		if x.QuickRatio > 0 {
			least = fmt.Sprintf("%.2fx", x.QuickRatio)
		}
		if x.Ours.P99 > 0 {
			p99 = show(x.Ours.P99, x.Unit)
		}
		if x.Floor != nil && x.Floor.Count > 0 {
			floor, ratio = show(x.Floor.Median, x.Unit), fmt.Sprintf("%.2fx", x.Ratio)
		}
		if x.Ours.Processor > 0 {
			processor = show(x.Ours.Processor, inMicros)
			if x.Floor != nil && x.Floor.Processor > 0 {
				burden = fmt.Sprintf("%.2fx", x.Ours.Processor/x.Floor.Processor)
			}
		}
		line(beside.Count(x.Docs), x.What, show(x.Ours.Median, x.Unit), p99, strconv.Itoa(x.Ours.Count), floor, ratio, quick, least, processor, burden, beside.Dash(x.Target), beside.Dash(x.Reached))
	}
	err = errors.Join(err, w.Flush())
	for _, s := range r.Missing {
		beside.Say(out, "\nnot there: %s\n", s)
	}
	if r.Unfinished != "" {
		beside.Say(out, "\nunfinished: %s\n", r.Unfinished)
	}
	said := map[string]bool{}
	for _, x := range r.Rows {
		for _, note := range []string{x.FloorIs, x.Note} {
			if note != "" && !said[x.What+note] {
				said[x.What+note] = true
				beside.Say(out, "\n%s: %s", x.What, note)
			}
		}
	}
	_, e := fmt.Fprintln(out)
	return errors.Join(err, e)
}

// show writes a figure with its unit.
func show(v float64, unit string) string {
	switch {
	case unit == inMicros && v >= 10_000:
		return fmt.Sprintf("%.1f ms", v/1000)
	case unit == inMicros:
		return fmt.Sprintf("%.1f us", v)
	case unit == inRate:
		return fmt.Sprintf("%.0f/s", v)
	case unit == inBytes:
		return fmt.Sprintf("%.0f B", v)
	case unit == inRatio:
		return fmt.Sprintf("%.2fx", v)
	}
	return fmt.Sprintf("%g", v)
}
