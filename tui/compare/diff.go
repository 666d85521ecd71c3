package compare

import (
	"slices"
	"sort"

	"github.com/aymanbagabas/go-udiff/lcs"
)

const (
	// smallDiff is how many lines together the library compares exactly: with
	// more, it may give up in the middle.
	smallDiff = 100
	// maxDepth bounds how often what lies between common lines is searched for
	// further ones.
	maxDepth = 8
)

// edit says that lines of a became lines of b.
type edit struct{ aFrom, aTo, bFrom, bTo int }

// diff returns what turns a into b, from top to bottom. No two edits touch.
func diff(a, b []string) []edit {
	names := map[string]rune{}
	d := differ{a: name(names, a), b: name(names, b), count: make([][2]int, len(names)), place: make([]int, len(names))}
	d.run(0, len(a), 0, len(b), 0)
	return slide(d.a, d.b, d.edits)
}

// name gives equal lines equal numbers, so that comparing them costs the same
// whatever their length.
func name(names map[string]rune, lines []string) []rune {
	out := make([]rune, len(lines))
	for i, line := range lines {
		n, ok := names[line]
		if !ok {
			n = rune(len(names))
			names[line] = n
		}
		out[i] = n
	}
	return out
}

type differ struct {
	a, b  []rune
	edits []edit
	count [][2]int // how often a line is in either part; all zero between calls
	place []int    // where a line is in b
}

// run compares two parts: what is alike at both ends first, then around lines
// that both have once, and what is left by the library.
func (d *differ) run(aFrom, aTo, bFrom, bTo, depth int) {
	for aFrom < aTo && bFrom < bTo && d.a[aFrom] == d.b[bFrom] {
		aFrom, bFrom = aFrom+1, bFrom+1
	}
	for aFrom < aTo && bFrom < bTo && d.a[aTo-1] == d.b[bTo-1] {
		aTo, bTo = aTo-1, bTo-1
	}
	if aFrom == aTo || bFrom == bTo {
		d.add(edit{aFrom, aTo, bFrom, bTo})
		return
	}
	if aTo-aFrom+bTo-bFrom > smallDiff && depth < maxDepth {
		if anchors := d.anchors(aFrom, aTo, bFrom, bTo); len(anchors) > 0 {
			for _, at := range anchors {
				d.run(aFrom, at[0], bFrom, at[1], depth+1)
				aFrom, bFrom = at[0]+1, at[1]+1
			}
			d.run(aFrom, aTo, bFrom, bTo, depth+1)
			return
		}
	}
	for _, e := range lcs.DiffRunes(d.a[aFrom:aTo], d.b[bFrom:bTo]) {
		d.add(edit{aFrom + e.Start, aFrom + e.End, bFrom + e.ReplStart, bFrom + e.ReplEnd})
	}
}

// add appends an edit, joined with the one before if they touch.
func (d *differ) add(e edit) {
	if e.aFrom == e.aTo && e.bFrom == e.bTo {
		return
	}
	if n := len(d.edits); n > 0 && d.edits[n-1].aTo == e.aFrom && d.edits[n-1].bTo == e.bFrom {
		d.edits[n-1].aTo, d.edits[n-1].bTo = e.aTo, e.bTo
		return
	}
	d.edits = append(d.edits, e)
}

// anchors returns the longest row of lines, as places in a and b, that both
// parts have exactly once and in the same order.
func (d *differ) anchors(aFrom, aTo, bFrom, bTo int) [][2]int {
	for _, n := range d.a[aFrom:aTo] {
		d.count[n][0]++
	}
	for i, n := range d.b[bFrom:bTo] {
		d.count[n][1]++
		d.place[n] = bFrom + i
	}
	var once [][2]int // in the order of a
	for i, n := range d.a[aFrom:aTo] {
		if d.count[n] == [2]int{1, 1} {
			once = append(once, [2]int{aFrom + i, d.place[n]})
		}
	}
	for _, n := range d.a[aFrom:aTo] {
		d.count[n] = [2]int{}
	}
	for _, n := range d.b[bFrom:bTo] {
		d.count[n] = [2]int{}
	}
	return rising(once)
}

// rising returns the longest part of points whose second places rise.
func rising(points [][2]int) [][2]int {
	var ends []int // of the rows of each length, the point with the lowest end
	before := make([]int, len(points))
	for i, p := range points {
		n := sort.Search(len(ends), func(n int) bool { return points[ends[n]][1] >= p[1] })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	if len(ends) == 0 {
		return nil
	}
	var out [][2]int
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		out = append(out, points[i])
	}
	slices.Reverse(out)
	return out
}

// slide moves what was only added or only removed down as far as the text reads
// the same, as git does: of equal lines the last ones are taken to be new. Edits
// that then touch become one.
func slide(a, b []rune, edits []edit) []edit {
	var out []edit // from bottom to top
	for _, e := range slices.Backward(edits) {
		for {
			limit := len(a)
			if n := len(out); n > 0 {
				limit = out[n-1].aFrom
			}
			for e.aTo < limit && slides(a, b, e) {
				e.aFrom, e.aTo, e.bFrom, e.bTo = e.aFrom+1, e.aTo+1, e.bFrom+1, e.bTo+1
			}
			if n := len(out); n == 0 || e.aTo < out[n-1].aFrom {
				break
			}
			below := out[len(out)-1]
			out = out[:len(out)-1]
			e.aTo, e.bTo = below.aTo, below.bTo
		}
		out = append(out, e)
	}
	slices.Reverse(out)
	return out
}

// slides reports whether an edit means the same one line further down.
func slides(a, b []rune, e edit) bool {
	switch {
	case e.aFrom == e.aTo:
		return b[e.bFrom] == a[e.aTo]
	case e.bFrom == e.bTo:
		return a[e.aFrom] == a[e.aTo]
	}
	return false
}
