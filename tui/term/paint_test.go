package term

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hinshun/vt10x"
	"pgregory.net/rapid"
)

// plain is what an emulated screen of a size shows of a frame, without styles.
func plain(frame []string, size Size) string {
	var out strings.Builder
	for i := range size.Height {
		line := ""
		if i < len(frame) {
			line = frame[i]
		}
		fmt.Fprintf(&out, "%-*s\n", size.Width, line)
	}
	return strings.TrimRight(out.String(), "\n")
}

func TestTheTerminalShowsTheLastFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p painter
		size := Size{}
		screen := vt10x.New(vt10x.WithSize(80, 24))
		write(t, screen, enterModes)
		for range rapid.IntRange(1, 12).Draw(t, "frames") {
			if size == (Size{}) || rapid.IntRange(0, 4).Draw(t, "resize") == 0 {
				size = Size{rapid.IntRange(1, 30).Draw(t, "width"), rapid.IntRange(1, 8).Draw(t, "height")}
				screen.Resize(size.Width, size.Height)
				p.forget()
			}
			glyph := rapid.SampledFrom([]string{"a", "b", " ", "│", "é", "▁"})
			lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
				full := rapid.Bool().Draw(t, "full")
				n := size.Width
				if !full {
					n = rapid.IntRange(0, size.Width).Draw(t, "cells")
				}
				return strings.Join(rapid.SliceOfN(glyph, n, n).Draw(t, "line"), "")
			}), 0, size.Height+2).Draw(t, "lines")
			styled := make([]string, len(lines))
			for i, line := range lines {
				styled[i] = line
				if line != "" && rapid.Bool().Draw(t, "styled") {
					styled[i] = "\x1b[41;1m" + line + "\x1b[0m"
				}
			}
			write(t, screen, string(p.paint(strings.Join(styled, "\n"), size)))
			shown := strings.TrimRight(screen.String(), "\n")
			if want := plain(lines, size); shown != want {
				t.Fatalf("shown:\n%q\nwant:\n%q", shown, want)
			}
			for y := range size.Height {
				for x := range size.Width {
					if y >= len(styled) || styled[y] == lines[y] {
						if cell := screen.Cell(x, y); cell.BG != vt10x.DefaultBG {
							t.Fatalf("line %d, cell %d: a colour was left behind", y, x)
						}
					}
				}
			}
			if again := p.paint(strings.Join(styled, "\n"), size); len(again) != 0 {
				t.Fatalf("the same frame once more writes %q", again)
			}
		}
	})
}

func write(t interface{ Fatal(...any) }, screen vt10x.Terminal, s string) {
	if _, err := screen.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func TestOneChangedLineIsOneLine(t *testing.T) {
	var p painter
	size := Size{10, 3}
	p.paint("one\ntwo\nthree", size)
	got := string(p.paint("one\nTWO\nthree", size))
	if want := "\x1b[?2026h\x1b[2;1HTWO\x1b[m\x1b[K\x1b[?2026l"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A terminal may hold a wide glyph to be narrow: what stood on the last cell of
// a full line would stay.
func TestAFullLineOfDoubtfulWidthIsErasedFirst(t *testing.T) {
	var p painter
	got := string(p.paint("日本", Size{4, 1}))
	if want := "\x1b[1;1H\x1b[2K日本\x1b[m\x1b[?2026l"; !strings.HasSuffix(got, want) {
		t.Errorf("%q, want the end %q", got, want)
	}
	if got := string(p.paint("abcd", Size{4, 1})); strings.Contains(got, "K") {
		t.Errorf("%q erases on the last cell of a full line", got)
	}
}
