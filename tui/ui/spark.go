package ui

import "strings"

// Spark draws the newest values of a series, oldest first, in exactly width
// cells, scaled to the highest value shown. Zero is a space, so that it cannot
// be taken for little, and the highest value leaves a gap to the line above, so
// that series under each other stay apart. More values than cells are folded,
// the highest of each group counts; fewer are drawn at the right.
func (t *Theme) Spark(values []float64, width int) string {
	if width <= 0 {
		return ""
	}
	folded := fold(values, width)
	highest := 0.0
	for _, v := range folded {
		highest = max(highest, v)
	}
	var out strings.Builder
	out.WriteString(strings.Repeat(" ", width-len(folded)))
	levels := t.Glyphs.Spark[:len(t.Glyphs.Spark)-1]
	for _, v := range folded {
		if v <= 0 {
			out.WriteByte(' ')
			continue
		}
		level := int(v / highest * float64(len(levels)))
		out.WriteRune(levels[min(level, len(levels)-1)])
	}
	return out.String()
}

// Chart draws a series as columns of h lines in exactly width cells, like
// Spark but as high as the lines are.
func (t *Theme) Chart(values []float64, width, h int) []string {
	if width <= 0 || h <= 0 {
		return nil
	}
	folded := fold(values, width)
	highest := 0.0
	for _, v := range folded {
		highest = max(highest, v)
	}
	levels := t.Glyphs.Spark
	out := make([]string, h)
	for line := range out {
		below := (h - 1 - line) * len(levels)
		var b strings.Builder
		b.WriteString(strings.Repeat(" ", width-len(folded)))
		for _, v := range folded {
			level := 0
			if v > 0 {
				level = max(int(v/highest*float64(h*len(levels))+0.5), 1)
			}
			switch over := level - below; {
			case over <= 0:
				b.WriteByte(' ')
			default:
				b.WriteRune(levels[min(over, len(levels))-1])
			}
		}
		out[line] = b.String()
	}
	return out
}

// fold returns at most width values. Groups are counted from the newest, so
// that every group but the oldest is whole.
func fold(values []float64, width int) []float64 {
	size := (len(values) + width - 1) / width
	if size <= 1 {
		return values
	}
	groups := (len(values) + size - 1) / size
	out := make([]float64, groups)
	for i, v := range values {
		g := groups - 1 - (len(values)-1-i)/size
		out[g] = max(out[g], v)
	}
	return out
}

// Bar draws how much of total is done in exactly width cells.
func (t *Theme) Bar(done, total int64, width int) string {
	if width <= 0 {
		return ""
	}
	full := 0
	if total > 0 {
		full = int(float64(width) * min(max(float64(done)/float64(total), 0), 1))
	}
	return strings.Repeat(t.Glyphs.BarFull, full) + strings.Repeat(t.Glyphs.BarRest, width-full)
}
