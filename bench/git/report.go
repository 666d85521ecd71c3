package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/caiatech/caiatop/bench/beside"
)

// The units of rows.
const (
	inMicros = "us"
	inBytes  = "B"
	inPacks  = "packs"
	inRatio  = "ratio"
)

// targetDocs is the number of documents that the targets are made for; less is
// measured to see how cost grows.
const targetDocs = 100_000

// row is one line of the table. All figures are costs: less is better.
type row struct {
	What    string  `json:"what"`
	Docs    int     `json:"docs"`
	Unit    string  `json:"unit"`
	Ours    figure  `json:"ours"`
	Floor   *figure `json:"floor,omitempty"`
	FloorIs string  `json:"floor_is,omitempty"`
	Peer    *figure `json:"peer,omitempty"`
	PeerIs  string  `json:"peer_is,omitempty"`
	// PerFloor is ours/floor, Advantage is peer/ours; 0 if there is none.
	PerFloor  float64 `json:"ours_per_floor,omitempty"`
	Advantage float64 `json:"peer_per_ours,omitempty"`
	Target    string  `json:"target,omitempty"`
	Reached   string  `json:"reached,omitempty"` // "yes", "no", "" if there is none
	Note      string  `json:"note,omitempty"`    // true at every size
	At        string  `json:"at,omitempty"`      // true at this one
}

// target is what a row should reach; 0 asks for nothing.
type target struct {
	most      float64 // of ours, in the unit of the row
	advantage float64 // at least that many times cheaper than the peer
	within    float64 // at most that many times the peer
	all       bool    // at every size, not only from targetDocs on
}

func (t target) String(unit string) string {
	var parts []string
	if t.most > 0 {
		parts = append(parts, "<= "+show(t.most, unit))
	}
	if t.advantage > 0 {
		parts = append(parts, fmt.Sprintf("peer >= %gx", t.advantage))
	}
	if t.within > 0 {
		parts = append(parts, fmt.Sprintf("<= %gx peer", t.within))
	}
	return strings.Join(parts, ", ")
}

// reached reports whether a row is as it should be.
func (t target) reached(x row) bool {
	return (t.most == 0 || x.Ours.Median <= t.most) && (t.advantage == 0 || x.Advantage >= t.advantage) &&
		(t.within == 0 || x.Advantage*t.within >= 1)
}

// report is what a run leaves.
type report struct {
	Machine facts    `json:"machine"`
	Took    float64  `json:"seconds"`
	Rows    []row    `json:"rows"`
	Skipped []string `json:"skipped,omitempty"`
	// Unfinished says why rows are missing, "" if none is.
	Unfinished string `json:"unfinished,omitempty"`

	progress beside.Progress
}

// add completes a row with its ratios and keeps it.
func (r *report) add(line row, t target) {
	if line.Floor != nil && line.Floor.Median > 0 {
		line.PerFloor = line.Ours.Median / line.Floor.Median
	}
	if line.Peer != nil && line.Ours.Median > 0 {
		line.Advantage = line.Peer.Median / line.Ours.Median
	}
	if t != (target{}) && (t.all || line.Docs >= targetDocs) {
		line.Target, line.Reached = t.String(line.Unit), "no"
		if t.reached(line) {
			line.Reached = "yes"
		}
	}
	r.Rows = append(r.Rows, line)
}

func (r *report) skip(n int, what string) {
	r.Skipped = append(r.Skipped, beside.Count(n)+" documents: "+what)
}

// growth compares the cost at the target's size with that at the smallest one.
func (r *report) growth(sizes []int) {
	small := sizes[0]
	if small >= targetDocs || !slices.Contains(sizes, targetDocs) {
		return
	}
	for _, g := range []struct {
		what string
		most float64
	}{{whatMemoryCommit, 2}, {whatDiskCommit, 1.5}, {whatDiskBatch, 0}, {whatColdRead, 0}} {
		find := func(n int) float64 {
			i := slices.IndexFunc(r.Rows, func(x row) bool { return x.What == g.what && x.Docs == n })
			if i < 0 {
				return 0
			}
			return r.Rows[i].Ours.Median
		}
		if a, b := find(small), find(targetDocs); a > 0 && b > 0 {
			what := fmt.Sprintf("%s: cost(%s)/cost(%s)", g.what, beside.Count(targetDocs), beside.Count(small))
			r.add(row{What: what, Docs: targetDocs, Unit: inRatio, Ours: beside.Once(b / a)}, target{most: g.most})
		}
	}
}

func (r *report) finish() {
	r.Machine.Finish()
	r.Took = r.progress.Seconds()
}

// print writes the table.
func (r *report) print(out io.Writer) error {
	m := r.Machine
	_, err := fmt.Fprintf(out, "%s\n%d cores, %s; %s, %s; %s on %s, %s free; load %s before, %s after; %.0f s\n\n",
		m.CPU, m.Cores, m.Memory, m.Go, m.Git, m.FileSystem, m.Kernel, show(float64(m.FreeBytes), inBytes), m.LoadBefore, m.LoadAfter, r.Took)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { beside.Say(w, "%s\n", strings.Join(cells, "\t")) }
	line("docs", "what", "ours", "p99", "n", "floor", "peer", "n", "ours/floor", "peer/ours", "target", "reached")
	for _, x := range r.Rows {
		line(beside.Count(x.Docs), x.What, show(x.Ours.Median, x.Unit), show(x.Ours.P99, x.Unit), samples(&x.Ours), median(x.Floor, x.Unit), median(x.Peer, x.Unit),
			samples(x.Peer), times(x.PerFloor), times(x.Advantage), beside.Dash(x.Target), beside.Dash(x.Reached))
	}
	err = errors.Join(err, w.Flush())
	if r.Unfinished != "" {
		beside.Say(out, "\nunfinished: %s", r.Unfinished)
	}
	for _, s := range r.Skipped {
		beside.Say(out, "\nskipped: %s", s)
	}
	_, e := fmt.Fprintf(out, "\n%s\n", strings.Join(r.notes(), "\n"))
	return errors.Join(err, e)
}

// notes explains the rows: what is true at every size once, then what is not.
func (r *report) notes() (notes []string) {
	said := make(map[string]bool)
	tell := func(what, note string) {
		if note != "" && !said[what+note] {
			said[what+note] = true
			notes = append(notes, what+": "+note)
		}
	}
	for _, x := range r.Rows {
		if x.FloorIs != "" {
			tell(x.What, "floor is "+x.FloorIs)
		}
		if x.PeerIs != "" {
			tell(x.What, "peer is "+x.PeerIs)
		}
		tell(x.What, x.Note)
		if x.At != "" {
			tell(x.What+" at "+beside.Count(x.Docs), x.At)
		}
	}
	return notes
}

func median(f *figure, unit string) string {
	if f == nil || f.Count == 0 {
		return "-"
	}
	return show(f.Median, unit)
}

func samples(f *figure) string {
	if f == nil || f.Count == 0 {
		return "-"
	}
	return fmt.Sprint(f.Count)
}

func times(ratio float64) string {
	switch {
	case ratio == 0:
		return "-"
	case ratio >= 100:
		return fmt.Sprintf("%.0fx", ratio)
	}
	return fmt.Sprintf("%.2fx", ratio)
}

// show writes a figure with three digits.
func show(v float64, unit string) string {
	scale := func(step float64, names ...string) string {
		i := 0
		for v >= step && i < len(names)-1 {
			v, i = v/step, i+1
		}
		return fmt.Sprintf("%.3g %s", v, names[i])
	}
	switch {
	case v == 0:
		return "-"
	case unit == inMicros && v < 1:
		return fmt.Sprintf("%.0f ns", v*1000)
	case unit == inMicros:
		return scale(1000, "us", "ms", "s")
	case unit == inBytes && v < 10_000:
		return fmt.Sprintf("%.0f B", v)
	case unit == inBytes:
		return scale(1024, "B", "KiB", "MiB", "GiB")
	}
	return fmt.Sprintf("%.4g", v)
}
