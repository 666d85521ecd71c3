package documents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// maxCell bounds a name or a value that can be typed, in characters. Longer
// ones are shown and kept as they are.
const maxCell = 4000

// meta is metadata as rows of names and values. A value is text unless it
// parses as JSON. What is not touched keeps the value that it had, byte for
// byte.
type meta struct {
	before  map[string]any
	rows    []metaRow
	cursor  int
	top     int
	onValue bool       // the column in focus
	cell    *ui.Editor // of the cell in focus
	refused ui.Refusal // what of the last key or paste into a cell was not taken
	at      cellPlace  // where that was
	note    termsafe.Text
}

// cellPlace names a cell.
type cellPlace struct {
	row     int
	onValue bool
}

// metaRow is one name and its value.
type metaRow struct {
	name, value string
	was         *metaBefore // nil for a row that was added here
	gone        bool
}

// metaBefore is what a row was when the form was opened.
type metaBefore struct {
	name, value string // as they are shown
	json        any
}

func newMeta(values map[string]any) *meta {
	m := &meta{before: values}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := encoded(values[name])
		m.rows = append(m.rows, metaRow{name: name, value: text, was: &metaBefore{
			name: name, value: text, json: values[name],
		}})
	}
	m.enter()
	return m
}

// typable says that a cell can hold s. One that cannot is kept or deleted, not
// changed.
func typable(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxCell &&
		!strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && unicode.IsControl(r) })
}

// encoded returns what has to be typed for a value.
func encoded(value any) string {
	if s, ok := value.(string); ok && typable(s) {
		if _, isJSON := parsed(s); !isJSON {
			return s
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "cannot be shown: " + err.Error()
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// parsed reads s as one JSON value, numbers with all their digits.
func parsed(s string) (any, bool) {
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return value, true
}

// decoded is the value that a typed text stands for.
func decoded(s string) any {
	if value, ok := parsed(s); ok {
		return value
	}
	return s
}

// empty says that a row was added and nothing was typed into it.
func (r *metaRow) empty() bool { return r.was == nil && r.name == "" && r.value == "" }

func (r *metaRow) modified() bool {
	if r.was == nil {
		return !r.gone && !r.empty()
	}
	return r.gone || r.name != r.was.name || r.value != r.was.value
}

// json is the value of a row.
func (r *metaRow) json() any {
	if r.was != nil && r.value == r.was.value {
		return r.was.json
	}
	return decoded(r.value)
}

// modified reports whether saving would change the metadata.
func (m *meta) modified() bool {
	return slices.ContainsFunc(m.rows, func(r metaRow) bool { return r.modified() })
}

// values returns the metadata, or goes to the row that stands in the way.
func (m *meta) values() (map[string]any, error) {
	if m.refused != ui.TakenWhole {
		m.goTo(m.at)
		return nil, errors.New("a cell of the metadata is not all that was given; change it to save what it holds")
	}
	if !m.modified() {
		return m.before, nil
	}
	out := make(map[string]any, len(m.rows))
	for i := range m.rows {
		r := &m.rows[i]
		if r.gone || r.empty() {
			continue
		}
		if r.name == "" && (r.was == nil || r.was.name != "") {
			m.goTo(cellPlace{row: i})
			return nil, errors.New("a name is missing in the metadata")
		}
		if _, twice := out[r.name]; twice {
			m.goTo(cellPlace{row: i})
			return nil, fmt.Errorf("the name %q is there twice in the metadata", r.name)
		}
		out[r.name] = r.json()
	}
	return out, nil
}

// best is values for a draft: what stands in the way is kept under another
// name, so that nothing that was typed is lost.
func (m *meta) best() map[string]any {
	if !m.modified() {
		return m.before
	}
	out := make(map[string]any, len(m.rows))
	for i := range m.rows {
		r := &m.rows[i]
		if r.gone || r.empty() {
			continue
		}
		name := r.name
		for n := 2; ; n++ {
			if _, twice := out[name]; !twice {
				break
			}
			name = fmt.Sprintf("%s (%d)", r.name, n)
		}
		out[name] = r.json()
	}
	return out
}

// set makes values of another origin what is being edited.
func (m *meta) set(values map[string]any) {
	next := newMeta(values)
	for i := range next.rows {
		r := &next.rows[i]
		before, had := m.before[r.name]
		if !had {
			r.was = nil
			continue
		}
		r.was = &metaBefore{name: r.name, value: encoded(before), json: before}
	}
	for name := range m.before {
		if _, kept := values[name]; !kept {
			text := encoded(m.before[name])
			next.rows = append(next.rows, metaRow{name: name, value: text, gone: true, was: &metaBefore{
				name: name, value: text, json: m.before[name],
			}})
		}
	}
	slices.SortStableFunc(next.rows, func(a, b metaRow) int { return strings.Compare(a.name, b.name) })
	next.before = m.before
	next.enter()
	*m = *next
}

// goTo puts the focus on a cell.
func (m *meta) goTo(at cellPlace) {
	m.cursor, m.onValue = max(min(at.row, len(m.rows)-1), 0), at.onValue
	m.enter()
}

// enter makes the cell in focus one that can be typed into.
func (m *meta) enter() {
	m.cell = nil
	if len(m.rows) == 0 {
		return
	}
	r := &m.rows[m.cursor]
	text := r.name
	if m.onValue {
		text = r.value
	}
	if r.gone || !typable(text) {
		return
	}
	m.cell = ui.NewEditor(true, maxCell)
	m.cell.Set(text)
}

// key applies one key, and reports whether the metadata changed.
func (m *meta) key(msg tea.KeyMsg) bool {
	m.note = termsafe.Text{}
	at := cellPlace{m.cursor, m.onValue}
	switch msg.String() {
	case "up":
		at.row--
	case "down", "enter":
		if msg.Type == tea.KeyEnter && at.row >= len(m.rows)-1 {
			return m.add()
		}
		at.row++
	case "pgup":
		at.row -= 10
	case "pgdown":
		at.row += 10
	case "tab":
		at = cellPlace{at.row + b2i(at.onValue), !at.onValue}
	case "shift+tab":
		at = cellPlace{at.row - b2i(!at.onValue), !at.onValue}
	case "ctrl+n":
		return m.add()
	case "ctrl+d":
		return m.remove()
	default:
		return m.typed(msg)
	}
	if at.row >= 0 && at.row < len(m.rows) || msg.Type == tea.KeyPgUp || msg.Type == tea.KeyPgDown {
		m.goTo(at)
	}
	return false
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// add opens an empty row below the last one.
func (m *meta) add() bool {
	if n := len(m.rows); n == 0 || !m.rows[n-1].empty() || m.rows[n-1].gone {
		m.rows = append(m.rows, metaRow{})
	}
	m.goTo(cellPlace{row: len(m.rows) - 1})
	return true
}

// remove deletes the row in focus, or takes that back. One that was added here
// is gone at once.
func (m *meta) remove() bool {
	if len(m.rows) == 0 {
		return false
	}
	m.refused = ui.TakenWhole
	if r := &m.rows[m.cursor]; r.was != nil {
		r.gone = !r.gone
	} else {
		m.rows = slices.Delete(m.rows, m.cursor, m.cursor+1)
	}
	m.goTo(cellPlace{m.cursor, m.onValue})
	return true
}

// types says that a key is text, or a paste.
func types(msg tea.KeyMsg) bool {
	return msg.Paste || (!msg.Alt && (msg.Type == tea.KeyRunes || msg.Type == tea.KeySpace))
}

// typed gives a key or a paste to the cell in focus, and to a new one where
// there is none.
func (m *meta) typed(msg tea.KeyMsg) bool {
	if len(m.rows) == 0 {
		if !types(msg) {
			return false
		}
		m.add() // what is typed belongs somewhere
	}
	if m.cell == nil {
		switch {
		case m.rows[m.cursor].gone:
			m.note = termsafe.Line("this row is deleted; ctrl+d brings it back")
		default:
			m.note = termsafe.Line("this cannot be typed here; ctrl+d deletes the row, caiatop put changes it")
		}
		return false
	}
	changed, refusal := m.cell.Key(msg)
	if changed || refusal != ui.TakenWhole {
		m.refused, m.at = refusal, cellPlace{m.cursor, m.onValue}
	}
	if m.onValue {
		m.rows[m.cursor].value = m.cell.Value()
	} else {
		m.rows[m.cursor].name = m.cell.Value()
	}
	return changed
}

// remark says what stands in the way, if anything does.
func (m *meta) remark() string {
	switch {
	case m.note.Width() > 0:
		return m.note.String()
	case m.refused == ui.TooLong:
		return fmt.Sprintf("over the limit of %s characters, not taken", ui.Count(maxCell))
	case m.refused == ui.LeftOut:
		return "control characters were left out"
	}
	return ""
}

// view draws the rows in at most h lines of w cells.
func (m *meta) view(t *ui.Theme, w, h int, focused bool) []string {
	table := ui.Table{{Width: 1}, {Title: "name", Width: min(max(w/3, 6), 30)}, {Title: "value"}}
	var lines []string
	if h > 2 {
		lines = append(lines, table.Head(t, w))
	}
	if len(m.rows) == 0 {
		return append(lines, t.Paint(ui.Dim, ui.Longest(w, "No metadata. Type a name, or press ctrl+n for a row.", "No metadata. Type a name.", "none: type one")))
	}
	height := max(h-len(lines), 1)
	m.top = scrolled(m.top, m.cursor, len(m.rows), height)
	valueWidth := max(w-table[1].Width-3, 1)
	for i := m.top; i < min(m.top+height, len(m.rows)); i++ {
		r := &m.rows[i]
		cells := []string{" ", short(r.name), short(r.value)}
		cells[1], cells[2] = termsafe.Line(cells[1]).String(), termsafe.Line(cells[2]).String()
		tone := ui.Plain
		switch {
		case r.gone:
			tone, cells[2] = ui.Dim, "deleted"
		case r.was == nil:
			cells[0] = "+"
		case r.modified():
			cells[0] = "*"
		}
		if i == m.cursor && focused {
			cells[0] = t.Glyphs.Cursor
			switch {
			case m.cell == nil:
				tone = ui.Accent
			case m.onValue:
				cells[2] = m.cell.View(t, valueWidth, 1, true)[0]
			default:
				cells[1] = m.cell.View(t, table[1].Width, 1, true)[0]
			}
		}
		lines = append(lines, table.Row(t, w, cells, ui.Accent, tone, tone))
	}
	return lines
}
