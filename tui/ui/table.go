package ui

import "strings"

// Column describes one column of a table.
type Column struct {
	Title string
	// Width in cells. The first column with 0 takes what is left.
	Width int
	Right bool // aligned to the right
}

// Table lays out cells in columns that are one cell apart.
type Table []Column

// Row returns the cells in exactly w cells. A tone applies to the cell of the
// same index; there may be fewer tones than cells.
func (t Table) Row(theme *Theme, w int, cells []string, tones ...Tone) string {
	var out strings.Builder
	for i, column := range t {
		if i > 0 {
			out.WriteByte(' ')
		}
		width := column.Width
		if width == 0 {
			width = t.flexible(w)
		}
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		if column.Right {
			cell = Left(cell, width)
		}
		tone := Plain
		if i < len(tones) {
			tone = tones[i]
		}
		out.WriteString(theme.Paint(tone, Fit(cell, width)))
	}
	return Fit(out.String(), w)
}

// Head returns the line of titles.
func (t Table) Head(theme *Theme, w int) string {
	cells := make([]string, len(t))
	tones := make([]Tone, len(t))
	for i, column := range t {
		cells[i], tones[i] = column.Title, Dim
	}
	return t.Row(theme, w, cells, tones...)
}

// flexible returns the width of the column that takes what is left.
func (t Table) flexible(w int) int {
	rest := w - (len(t) - 1)
	for _, column := range t {
		rest -= column.Width
	}
	return max(rest, 0)
}
