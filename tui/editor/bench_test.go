package editor

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

// randomBytes are a text in which every byte is shown by a sign, or begins one.
func randomBytes() string {
	out := make([]byte, MaxBytes-64)
	x := uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x>>24) | 0x80
	}
	return string(out)
}

func BenchmarkEditor(b *testing.B) {
	long := strings.Repeat("0123456789abcdef", MaxBytes/16-64)
	for _, bb := range []struct{ name, text string }{{"100000 lines", lines100k()}, {"10 MiB in one line", long}, {"10 MiB of random bytes", randomBytes()}, {"10 lines", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj"}} {
		middle := func() *Editor {
			e := open(bb.text)
			e.SetSize(200, 60)
			e.moveTo(len(bb.text) / 2)
			e.reveal()
			return e
		}
		for _, keys := range [][]string{{"x", "backspace"}, {"enter", "backspace"}, {"down", "up"}, {"pgdown", "pgup"}, {"ctrl+home", "ctrl+end"}} {
			b.Run(bb.name+"/"+strings.Join(keys, " "), func(b *testing.B) {
				e := middle()
				var msgs []tea.KeyMsg
				for _, k := range keys {
					msgs = append(msgs, message(k))
				}
				for i := 0; b.Loop(); i++ {
					e.Key(msgs[i%len(msgs)])
				}
			})
		}
		b.Run(bb.name+"/View", func(b *testing.B) {
			e := middle()
			for b.Loop() {
				e.View()
			}
		})
		b.Run(bb.name+"/modified View", func(b *testing.B) {
			e := middle()
			press(b, e, "x", "left", "delete", "y")
			for i := 0; b.Loop(); i++ {
				e.Key(message([]string{"x", "backspace"}[i%2]))
				e.View()
			}
		})
		b.Run(bb.name+"/find nothing", func(b *testing.B) {
			e := middle()
			press(b, e, "ctrl+f", "zebraz")
			for b.Loop() {
				e.Key(message("enter"))
			}
		})
		b.Run(bb.name+"/find nothing backward", func(b *testing.B) {
			e := middle()
			press(b, e, "ctrl+f", "zebraz")
			for b.Loop() {
				e.Key(message("ctrl+p"))
			}
		})
		b.Run(bb.name+"/New", func(b *testing.B) {
			for b.Loop() {
				open(bb.text)
			}
		})
	}
}
