package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// Attributes of a cell.
const (
	bold = 1 << iota
	dim
	underline
	reverse
)

// style is how a cell is drawn: colours as "#rrggbb", "" for the terminal's own.
type style struct {
	fg, bg string
	attrs  int
}

// cell is one place of the screen. A wide character stands in its first cell
// and leaves the next one empty.
type cell struct {
	text  string
	width int // 0 for the second half of a wide character
	style style
}

// basic are the 16 colours of the pictures, of a dark theme whose greys can be
// read.
var basic = [16]string{
	"#20262e", "#f0757c", "#8fd18a", "#f0c674", "#6cb6ff", "#d2a8ff", "#5ccfcf", "#d3dae3",
	"#8b96a5", "#ff8f96", "#a9e5a3", "#ffd98f", "#8fcaff", "#e2c5ff", "#85e5e5", "#ffffff",
}

// indexed returns one of the 256 colours.
func indexed(n int) string {
	switch {
	case n < 0 || n > 255:
		return ""
	case n < 16:
		return basic[n]
	case n >= 232:
		grey := 8 + 10*(n-232)
		return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
	}
	level := func(i int) int {
		if i == 0 {
			return 0
		}
		return 55 + 40*i
	}
	n -= 16
	return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
}

// apply changes a style by the parameters of one SGR sequence.
func (s *style) apply(params string) {
	var codes []int
	for field := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ':' }) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return
		}
		codes = append(codes, n)
	}
	if len(codes) == 0 {
		*s = style{}
	}
	for i := 0; i < len(codes); i++ {
		switch n := codes[i]; {
		case n == 38 || n == 48:
			colour, used := extended(codes[i+1:])
			i += used
			if n == 38 {
				s.fg = colour
			} else {
				s.bg = colour
			}
		case n >= 30 && n <= 37:
			s.fg = basic[n-30]
		case n >= 90 && n <= 97:
			s.fg = basic[n-90+8]
		case n >= 40 && n <= 47:
			s.bg = basic[n-40]
		case n >= 100 && n <= 107:
			s.bg = basic[n-100+8]
		default:
			s.attribute(n)
		}
	}
}

func (s *style) attribute(n int) {
	switch n {
	case 0:
		*s = style{}
	case 1:
		s.attrs |= bold
	case 2:
		s.attrs |= dim
	case 4:
		s.attrs |= underline
	case 7:
		s.attrs |= reverse
	case 22:
		s.attrs &^= bold | dim
	case 24:
		s.attrs &^= underline
	case 27:
		s.attrs &^= reverse
	case 39:
		s.fg = ""
	case 49:
		s.bg = ""
	}
}

// extended reads what follows 38 or 48.
func extended(codes []int) (colour string, used int) {
	switch {
	case len(codes) >= 2 && codes[0] == 5:
		return indexed(codes[1]), 2
	case len(codes) >= 4 && codes[0] == 2:
		return fmt.Sprintf("#%02x%02x%02x", codes[1]&255, codes[2]&255, codes[3]&255), 4
	}
	return "", len(codes)
}

var sgr = regexp.MustCompile(`^\x1b\[([0-9;:]*)m`)

// parse reads what `tmux capture-pane -e` wrote into a grid of w by h cells.
func parse(capture string, w, h int) ([][]cell, error) {
	grid := make([][]cell, h)
	var now style
	lines := strings.Split(strings.TrimSuffix(capture, "\n"), "\n")
	if len(lines) > h {
		return nil, fmt.Errorf("%d lines for a grid of %d", len(lines), h)
	}
	for y := range grid {
		rest := ""
		if y < len(lines) {
			rest = lines[y]
		}
		for rest != "" {
			if found := sgr.FindStringSubmatch(rest); found != nil {
				now.apply(found[1])
				rest = rest[len(found[0]):]
				continue
			}
			if rest[0] < ' ' {
				return nil, fmt.Errorf("line %d: an unknown sequence: %.20q", y+1, rest)
			}
			text, n := ansi.FirstGraphemeCluster(rest, ansi.GraphemeWidth)
			grid[y] = append(grid[y], cell{text, n, now})
			for range n - 1 {
				grid[y] = append(grid[y], cell{style: now})
			}
			rest = rest[len(text):]
		}
		if len(grid[y]) > w {
			return nil, fmt.Errorf("line %d has %d cells of %d", y+1, len(grid[y]), w)
		}
		for len(grid[y]) < w {
			grid[y] = append(grid[y], cell{" ", 1, style{}})
		}
	}
	return grid, nil
}

func TestGrid(t *testing.T) {
	red, plain := style{fg: basic[1], attrs: bold}, style{}
	for _, test := range []struct {
		name, capture string
		want          []cell
	}{
		{"plain is filled up", "ab", []cell{{"a", 1, plain}, {"b", 1, plain}, {" ", 1, plain}, {" ", 1, plain}}},
		{"bold and reset", "\x1b[1m\x1b[31mab\x1b[0mcd", []cell{{"a", 1, red}, {"b", 1, red}, {"c", 1, plain}, {"d", 1, plain}}},
		{"wide", "日\x1b[39mx", []cell{{"日", 2, plain}, {"", 0, plain}, {"x", 1, plain}, {" ", 1, plain}}},
		{"256 colours", "\x1b[38;5;196ma\x1b[48;5;244mb\x1b[49;39mc", []cell{
			{"a", 1, style{fg: "#ff0000"}}, {"b", 1, style{fg: "#ff0000", bg: "#808080"}}, {"c", 1, plain}, {" ", 1, plain},
		}},
		{"true colour, reverse, dim", "\x1b[38;2;1;2;3;7ma\x1b[27;2mb\x1b[22;94mc", []cell{
			{"a", 1, style{"#010203", "", reverse}}, {"b", 1, style{"#010203", "", dim}}, {"c", 1, style{fg: basic[12]}}, {" ", 1, style{}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			grid, err := parse(test.capture, 4, 1)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(grid[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", grid[0], test.want)
			}
		})
	}
	for _, bad := range []string{"too wide", "\x1b]0;t\a", "a\nb"} {
		if _, err := parse(bad, 4, 1); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
