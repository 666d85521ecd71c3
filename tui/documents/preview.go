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
	lines   []line        // nil while it is being read for the first time
	trouble termsafe.Text // why it could not be read again, empty if it could
	known   version       // of its row when that was looked at last
	pending bool          // not every store had it when it was read
	stale   bool          // it has to be read again
	reading bool
	top     int
	cancel  context.CancelFunc
	width   int
	wrapped []string // lines at width
}

// line is one line of a preview. What does not fit is broken as ui.Hang does
// where hang is not zero, else between words.
type line struct {
	text termsafe.Text
	hang int // cells
}

type detailMsg struct {
	seq     uint64
	lines   []line
	pending bool
	err     error
}

// open reads the document that the cursor is on.
func (p *Page) open() tea.Cmd {
	r := p.underCursor()
	if r == nil {
		return nil
	}
	p.preview = &preview{id: r.id, title: r.text, known: r.version}
	return p.read()
}

// read asks for the document of the preview.
func (p *Page) read() tea.Cmd {
	v := p.preview
	v.seq, v.stale, v.reading = p.next(), false, true
	seq, id, source, location := v.seq, v.id, p.o.Source, p.o.Location
	cmd, cancel := p.o.Tasks.Start("reading a document", readLimit, func(ctx context.Context) tea.Msg {
		found, err := source.Get(ctx, id)
		if err != nil {
			return detailMsg{seq: seq, err: err}
		}
		return detailMsg{seq: seq, lines: detail(found, location), pending: found.Pending}
	})
	v.cancel = cancel
	return cmd
}

// unsettled says that any news may change what is shown.
func (v *preview) unsettled() bool { return v.pending || v.trouble.String() != "" }

// compare looks whether the newest rows tell that the preview is out of date.
func (p *Page) compare() {
	v := p.preview
	if v == nil {
		return
	}
	for _, r := range p.list.rows {
		if r.id == v.id && r.version != v.known {
			v.known, v.stale = r.version, true
		}
	}
}

func (p *Page) closePreview() {
	if p.preview != nil {
		p.preview.cancel()
		p.preview = nil
	}
}

// onDetail shows a document. One that cannot be read again stays as it was,
// with a remark; one that is gone does not.
func (p *Page) onDetail(msg detailMsg) tea.Cmd {
	v := p.preview
	if v == nil || v.seq != msg.seq {
		return nil
	}
	v.reading, v.wrapped = false, nil
	gone := errors.Is(msg.err, store.ErrNotFound)
	switch {
	case msg.err == nil:
		v.lines, v.pending, v.trouble = msg.lines, msg.pending, termsafe.Text{}
		return p.changed()
	case v.lines != nil && !gone:
		v.trouble = termsafe.Line("as it was before; reading it again failed: " + task.Reason(msg.err))
		return p.changed()
	}
	p.closePreview()
	p.list.stale = p.list.stale || gone
	return tea.Batch(tell(task.Failure("reading "+v.title.String(), msg.err)), p.changed())
}

// fieldWidth is the cells before the value of a field.
const fieldWidth = 11

// plain makes lines that are broken between words.
func plain(texts ...termsafe.Text) []line {
	out := make([]line, len(texts))
	for i, text := range texts {
		out[i].text = text
	}
	return out
}

// detail lists what is known of a document, then its text, then its raw bytes.
func detail(f engine.Found, location *time.Location) []line {
	d := f.Document
	var out []line
	field := func(name, value string) {
		if value == "" {
			value = ui.Unknown
		}
		out = append(out, line{termsafe.Line(fmt.Sprintf("%-*s%s", fieldWidth, name, value)), fieldWidth})
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
	out = append(out, plain(termsafe.Text{}, termsafe.Line(fmt.Sprintf("text  %s", strings.TrimSpace(ui.Bytes(int64(len(d.Content.Text)))))))...)
	out = append(out, plain(textLines(d.Content.Text)...)...)
	return append(out, plain(rawLines(d.Content.Raw)...)...)
}

func metadata(m map[string]any) []line {
	if len(m) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(m))
	out := plain(termsafe.Text{}, termsafe.Line("metadata"))
	for _, name := range names[:min(len(names), maxFields)] {
		value, err := json.Marshal(m[name])
		if err != nil {
			value = []byte("cannot be shown: " + err.Error())
		}
		out = append(out, line{termsafe.Line(fmt.Sprintf("  %s: %s", short(name), short(string(value)))), 4})
	}
	if left := len(names) - maxFields; left > 0 {
		out = append(out, plain(termsafe.Line("  … "+ui.Count(int64(left))+" more"))...)
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
	v.top = turned(v.top, name, len(v.wrapped), height)
}

// view returns the visible lines, wrapped at w cells.
func (v *preview) view(w, h int) []string {
	if v.lines == nil {
		return []string{"Reading …"}
	}
	if v.wrapped == nil || v.width != w {
		v.wrapped, v.width = v.wrap(w), w
	}
	v.top = max(min(v.top, len(v.wrapped)-h), 0)
	return v.wrapped[v.top:min(v.top+h, len(v.wrapped))]
}

// wrap breaks the lines at w cells.
func (v *preview) wrap(w int) []string {
	var out []string
	if text := v.trouble.String(); text != "" {
		out = append(ui.Hang(text, w, 0), "")
	}
	for _, l := range v.lines {
		switch text := l.text.String(); {
		case l.text.Width() <= w:
			out = append(out, text)
		case l.hang > 0:
			out = append(out, ui.Hang(text, w, l.hang)...)
		default:
			out = append(out, strings.Split(ansi.Wrap(text, max(w, 2), ""), "\n")...)
		}
	}
	return out
}
