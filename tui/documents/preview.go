package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// What a preview shows of a document at most.
const (
	maxTextBytes = 256 << 10
	maxTextLines = 2000
	maxFields    = 50
	maxValue     = 2000 // bytes of one metadata value
	rawHead      = 256  // bytes
	rawLine      = 8    // bytes a line
)

// preview shows one document.
type preview struct {
	seq     uint64
	id      document.ID
	title   termsafe.Text
	lines   []termsafe.Text // nil while it is being read
	top     int
	cancel  context.CancelFunc
	width   int
	wrapped []string // lines at width
}

type detailMsg struct {
	seq   uint64
	lines []termsafe.Text
	err   error
}

// open reads the document that the cursor is on.
func (p *Page) open() tea.Cmd {
	id, _, ok := p.selected()
	if !ok {
		return nil
	}
	seq := p.next()
	source, location := p.o.Source, p.o.Location
	cmd, cancel := p.o.Tasks.Start("reading a document", readLimit, func(ctx context.Context) tea.Msg {
		found, err := source.Get(ctx, id)
		if err != nil {
			return detailMsg{seq: seq, err: err}
		}
		return detailMsg{seq: seq, lines: detail(found, location)}
	})
	p.preview = &preview{seq: seq, id: id, title: termsafe.Line(id.String()), cancel: cancel}
	return cmd
}

func (p *Page) closePreview() {
	if p.preview != nil {
		p.preview.cancel()
		p.preview = nil
	}
}

func (p *Page) onDetail(msg detailMsg) tea.Cmd {
	if p.preview == nil || p.preview.seq != msg.seq {
		return nil
	}
	p.revision++
	if msg.err == nil {
		p.preview.lines = msg.lines
		return nil
	}
	title := p.preview.title
	p.closePreview()
	p.list.stale = p.list.stale || errors.Is(msg.err, store.ErrNotFound)
	return tea.Batch(tell(task.Failure("reading "+title.String(), msg.err)), p.changed())
}

// detail lists what is known of a document, then its text, then its raw bytes.
func detail(f engine.Found, location *time.Location) []termsafe.Text {
	d := f.Document
	var out []termsafe.Text
	field := func(name, value string) {
		if value == "" {
			value = ui.Unknown
		}
		out = append(out, termsafe.Line(fmt.Sprintf("%-10s %s", name, value)))
	}
	clock := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(location).Format("2006-01-02 15:04:05")
	}
	served := string(f.ServedBy)
	if f.Pending {
		served += ", still on its way to other stores"
	}
	field("id", d.ID.String())
	field("type", d.Source.Type.String())
	field("served by", served)
	field("created", clock(d.CreatedAt))
	field("updated", clock(d.UpdatedAt))
	if d.Source.URL != "" || d.Source.Path != "" {
		field("source", strings.TrimSpace(d.Source.URL+" "+d.Source.Path))
	}
	field("folder", f.Folder.String())
	field("hash", f.Hash.String()[:16])
	out = append(out, metadata(d.Content.Metadata)...)
	out = append(out, termsafe.Text{}, termsafe.Line(fmt.Sprintf("text  %s", strings.TrimSpace(ui.Bytes(int64(len(d.Content.Text)))))))
	out = append(out, textLines(d.Content.Text)...)
	return append(out, rawLines(d.Content.Raw)...)
}

func metadata(m map[string]any) []termsafe.Text {
	if len(m) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(m))
	out := []termsafe.Text{{}, termsafe.Line("metadata")}
	for _, name := range names[:min(len(names), maxFields)] {
		value, err := json.Marshal(m[name])
		if err != nil {
			value = []byte("cannot be shown: " + err.Error())
		}
		out = append(out, termsafe.Line(fmt.Sprintf("  %s: %s", short(name), short(string(value)))))
	}
	if left := len(names) - maxFields; left > 0 {
		out = append(out, termsafe.Line(fmt.Sprintf("  … %d more", left)))
	}
	return out
}

func short(s string) string {
	if len(s) > maxValue {
		return s[:maxValue] + "…"
	}
	return s
}

func textLines(text string) []termsafe.Text {
	left := 0
	if len(text) > maxTextBytes {
		end := maxTextBytes
		for end > maxTextBytes-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text, left = text[:end], len(text)-end
	}
	out := termsafe.Lines(text, maxTextLines)
	if left > 0 {
		out = append(out, termsafe.Line(fmt.Sprintf("… %s more bytes", ui.Count(int64(left)))))
	}
	return out
}

func rawLines(raw []byte) []termsafe.Text {
	if len(raw) == 0 {
		return nil
	}
	out := []termsafe.Text{{}, termsafe.Line(fmt.Sprintf("raw  %s", strings.TrimSpace(ui.Bytes(int64(len(raw))))))}
	for i := 0; i < min(len(raw), rawHead); i += rawLine {
		part := raw[i:min(i+rawLine, len(raw))]
		out = append(out, termsafe.Line(fmt.Sprintf("%08x  %-*s  %s", i, 3*rawLine-1, hexBytes(part), printable(part))))
	}
	if left := len(raw) - rawHead; left > 0 {
		out = append(out, termsafe.Line(fmt.Sprintf("… %s more bytes", ui.Count(int64(left)))))
	}
	return out
}

func hexBytes(b []byte) string { return fmt.Sprintf("% x", b) }

// printable shows ASCII and a dot for every other byte.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = '.'
		if c >= 0x20 && c < 0x7f {
			out[i] = c
		}
	}
	return string(out)
}

func (v *preview) move(name string, height int) {
	switch name {
	case action.Up:
		v.top--
	case action.Down:
		v.top++
	case action.PageUp:
		v.top -= max(height-1, 1)
	case action.PageDown:
		v.top += max(height-1, 1)
	case action.Top:
		v.top = 0
	case action.Bottom:
		v.top = len(v.wrapped)
	}
	v.top = max(min(v.top, len(v.wrapped)-height), 0)
}

// view returns the visible lines, wrapped at w cells.
func (v *preview) view(w, h int) []string {
	if v.lines == nil {
		return []string{"Reading …"}
	}
	if v.wrapped == nil || v.width != w {
		v.wrapped, v.width = nil, w
		for _, line := range v.lines {
			if line.Width() <= w {
				v.wrapped = append(v.wrapped, line.String())
				continue
			}
			v.wrapped = append(v.wrapped, strings.Split(ansi.Wrap(line.String(), max(w, 2), ""), "\n")...)
		}
	}
	v.top = max(min(v.top, len(v.wrapped)-h), 0)
	return v.wrapped[v.top:min(v.top+h, len(v.wrapped))]
}
