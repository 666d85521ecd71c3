package e2e

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

// The measures of a picture, in pixels. The width of a cell is the advance of
// DejaVu Sans Mono (1233 of 2048 units) at the font's size.
const (
	fontSize   = 16.0
	cellWidth  = fontSize * 1233 / 2048
	cellHeight = 20.0
	baseline   = 15.0
	border     = 14.0

	foreground = "#d3dae3"
	background = "#12161c"
)

// colours returns what a style is drawn with: reverse exchanges them.
func (s style) colours() (fg, bg string) {
	fg, bg = s.fg, s.bg
	if fg == "" {
		fg = foreground
	}
	if s.attrs&reverse != 0 {
		if bg == "" {
			bg = background
		}
		return bg, fg
	}
	return fg, bg
}

// drawing collects the elements of an SVG.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.Builder, format, args...) }

func (d *drawing) rect(x, y, w, h float64, fill string, opacity float64) {
	// Without smoothing, neighbours leave no seam.
	d.add(`<rect x="%.3f" y="%.3f" width="%.3f" height="%.3f" shape-rendering="crispEdges" fill="%s"`, x, y, w, h, fill)
	if opacity < 1 {
		d.add(` fill-opacity="%.2f"`, opacity)
	}
	d.add("/>\n")
}

// svg draws a grid. Backgrounds come first, so that no glyph is cut by the
// cell beside it.
func svg(grid [][]cell) string {
	width := 2*border + cellWidth*float64(len(grid[0]))
	height := 2*border + cellHeight*float64(len(grid))
	d := &drawing{}
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.3f %.3f">`+"\n", width, height, width, height)
	d.add(`<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", background)
	d.add(`<g font-family="DejaVu Sans Mono" font-size="%g" xml:space="preserve">`+"\n", fontSize)
	for y, row := range grid {
		runs(row, func(x int, run []cell) {
			if _, bg := run[0].style.colours(); bg != "" {
				d.rect(border+cellWidth*float64(x), border+cellHeight*float64(y), cellWidth*float64(len(run)), cellHeight, bg, 1)
			}
		})
	}
	for y, row := range grid {
		runs(row, func(x int, run []cell) { d.run(x, y, run) })
	}
	d.add("</g>\n</svg>\n")
	return d.String()
}

// runs calls draw for each run of cells of one style.
func runs(row []cell, draw func(x int, run []cell)) {
	for x := 0; x < len(row); {
		end := x + 1
		for end < len(row) && row[end].style == row[x].style {
			end++
		}
		draw(x, row[x:end])
		x = end
	}
}

// run draws the text of one style. Lines and blocks are drawn as shapes so that
// they join, and what follows a space gap or a wide character begins anew at
// its exact place.
func (d *drawing) run(x, y int, run []cell) {
	fg, _ := run[0].style.colours()
	start, text := 0, ""
	flush := func(next int) {
		if strings.TrimSpace(text) != "" {
			d.text(x+start, y, text, fg, run[0].style)
		}
		start, text = next, ""
	}
	for i, c := range run {
		if c.width == 1 && !d.shape(x+i, y, c.text, fg) {
			text += c.text
			continue
		}
		flush(i)
		if c.width == 2 {
			text = c.text
		}
		if c.width != 2 {
			start = i + 1
		}
	}
	flush(len(run))
	if run[0].style.attrs&underline != 0 {
		d.rect(border+cellWidth*float64(x), border+cellHeight*float64(y)+baseline+2, cellWidth*float64(len(run)), 1, fg, 1)
	}
}

func (d *drawing) text(x, y int, text, fg string, s style) {
	d.add(`<text x="%.3f" y="%.3f" fill="%s"`, border+cellWidth*float64(x), border+cellHeight*float64(y)+baseline, fg)
	if s.attrs&bold != 0 {
		d.add(` font-weight="bold"`)
	}
	if s.attrs&dim != 0 {
		d.add(` fill-opacity="0.6"`)
	}
	d.add(">")
	if err := xml.EscapeText(&d.Builder, []byte(text)); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	d.add("</text>\n")
}

// shape draws what must join with its neighbours. It reports whether text was
// such a character.
func (d *drawing) shape(x, y int, text, fg string) bool {
	left, top := border+cellWidth*float64(x), border+cellHeight*float64(y)
	right, bottom := left+cellWidth, top+cellHeight
	midX, midY := left+cellWidth/2, top+cellHeight/2
	path := ""
	const r = 4.0
	switch text {
	case "─":
		path = fmt.Sprintf("M%.3f %.3fH%.3f", left, midY, right)
	case "│":
		path = fmt.Sprintf("M%.3f %.3fV%.3f", midX, top, bottom)
	case "╭":
		path = fmt.Sprintf("M%.3f %.3fV%.3fQ%.3f %.3f %.3f %.3fH%.3f", midX, bottom, midY+r, midX, midY, midX+r, midY, right)
	case "╮":
		path = fmt.Sprintf("M%.3f %.3fV%.3fQ%.3f %.3f %.3f %.3fH%.3f", midX, bottom, midY+r, midX, midY, midX-r, midY, left)
	case "╰":
		path = fmt.Sprintf("M%.3f %.3fV%.3fQ%.3f %.3f %.3f %.3fH%.3f", midX, top, midY-r, midX, midY, midX+r, midY, right)
	case "╯":
		path = fmt.Sprintf("M%.3f %.3fV%.3fQ%.3f %.3f %.3f %.3fH%.3f", midX, top, midY-r, midX, midY, midX-r, midY, left)
	case "▏":
		d.rect(left, top, cellWidth/4, cellHeight, fg, 1)
		return true
	case "░", "▒", "▓":
		d.rect(left, top, cellWidth, cellHeight, fg, map[string]float64{"░": 0.25, "▒": 0.5, "▓": 0.75}[text])
		return true
	default:
		char := []rune(text)
		if len(char) != 1 || char[0] < '▁' || char[0] > '█' {
			return false
		}
		height := cellHeight * float64(char[0]-'▁'+1) / 8
		d.rect(left, bottom-height, cellWidth, height, fg, 1)
		return true
	}
	d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.2"/>`+"\n", path, fg)
	return true
}

func TestSVG(t *testing.T) {
	grid, err := parse("\x1b[7m<a&b>\x1b[0m│\x1b[1m日x\x1b[0m█", 12, 1)
	if err != nil {
		t.Fatal(err)
	}
	picture := svg(grid)
	at := func(x int) string { return fmt.Sprintf(`x="%.3f"`, border+cellWidth*float64(x)) }
	for _, want := range []string{
		`<rect ` + at(0) + fmt.Sprintf(` y="14.000" width="%.3f" height="20.000" shape-rendering="crispEdges" fill="%s"/>`, 5*cellWidth, foreground),
		`<text ` + at(0) + ` y="29.000" fill="` + background + `">&lt;a&amp;b&gt;</text>`,
		`<text ` + at(6) + ` y="29.000" fill="` + foreground + `" font-weight="bold">日</text>`,
		`<text ` + at(8) + ` y="29.000" fill="` + foreground + `" font-weight="bold">x</text>`,
		`<rect ` + at(9) + ` y="14.000"`,
		`<path d="M`,
	} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture has no %s:\n%s", want, picture)
		}
	}
	if err := xml.Unmarshal([]byte(picture), new(struct {
		XMLName xml.Name `xml:"svg"`
	})); err != nil {
		t.Errorf("the picture is no XML: %v", err)
	}
}
