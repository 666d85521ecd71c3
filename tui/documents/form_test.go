package documents

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// draft is a page with an open form whose id is typed and whose text has the
// focus.
func draft(t *testing.T) *Page {
	t.Helper()
	tasks := task.New(context.Background())
	t.Cleanup(tasks.Close)
	p := New(Options{Tasks: tasks, Now: time.Now, Location: time.UTC})
	p.form = newForm()
	p.Type(pasted("one"))
	p.Type(tea.KeyMsg{Type: tea.KeyTab})
	p.Type(tea.KeyMsg{Type: tea.KeyTab})
	return p
}

func pasted(s string) tea.KeyMsg {
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s), Paste: true}
}

// TestNothingIsSavedInPart: a paste over the limit was cut and saved as if it
// were whole.
func TestNothingIsSavedInPart(t *testing.T) {
	full := strings.Repeat("x", maxTyped)
	tests := []struct {
		name   string
		keys   []tea.KeyMsg
		text   string
		remark string // "" if it may be saved
	}{
		{"at the limit", []tea.KeyMsg{pasted(full)}, full, ""},
		{"one more", []tea.KeyMsg{pasted(full + "x")}, "", "over the limit"},
		{"the second does not fit", []tea.KeyMsg{pasted("a"), pasted(full)}, "a", "over the limit"},
		{"a newline at the limit", []tea.KeyMsg{pasted(full), {Type: tea.KeyEnter}}, full, "over the limit"},
		{"moving keeps the note", []tea.KeyMsg{pasted("a"), pasted(full), {Type: tea.KeyLeft}, {Type: tea.KeyTab}}, "a", "over the limit"},
		{"another field keeps the note", []tea.KeyMsg{pasted("a"), pasted(full), {Type: tea.KeyTab}, pasted("two")}, "a", "over the limit"},
		{"a change ends the note", []tea.KeyMsg{pasted("a"), pasted(full), {Type: tea.KeyBackspace}}, "", ""},
		{"control bytes", []tea.KeyMsg{pasted("a\x1b[31mb")}, "a[31mb", "control characters"},
		{"control bytes only", []tea.KeyMsg{pasted("\x00\x01")}, "", "control characters"},
		{"control bytes, then a change", []tea.KeyMsg{pasted("a\x00b"), pasted("c")}, "abc", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := draft(t)
			for _, key := range tt.keys {
				p.Type(key)
			}
			if got := p.form.fields[textField].Value(); got != tt.text {
				t.Errorf("%d characters, want %d", len(got), len(tt.text))
			}
			view := ansi.Strip(strings.Join(p.form.view(plainTheme(), 100, 12), "\n"))
			if !strings.Contains(view, tt.remark) || (tt.remark == "" && strings.Contains(view, "limit")) {
				t.Errorf("shown:\n%s", view)
			}
			cmd := p.save()
			if tt.remark == "" {
				if !p.form.saving {
					t.Error("it is not saved")
				}
				return
			}
			if p.form.saving || cmd == nil {
				t.Fatal("it is saved in part, or refused without a word")
			}
			notice, ok := cmd().(task.Notice)
			if !ok || !strings.HasPrefix(notice.Text.String(), "Not saved: the text is not all that was given") ||
				!strings.HasSuffix(notice.Text.String(), "caiatop put --id ID FILE") {
				t.Errorf("told: %+v", notice)
			}
			if p.form.focus != textField {
				t.Errorf("the focus is on field %d", p.form.focus)
			}
		})
	}
}

func TestTheRemarkFits(t *testing.T) {
	for _, r := range []ui.Refusal{ui.TooLong, ui.LeftOut} {
		f := newForm()
		f.refused[textField] = r
		for _, w := range []int{36, 60, 120} {
			if remark := f.remark(w); remark == "" || ansi.StringWidth(remark) > w {
				t.Errorf("on %d cells: %q", w, remark)
			}
		}
	}
}

func plainTheme() *ui.Theme { return ui.NewTheme(lipgloss.NewRenderer(io.Discard), ui.ASCII()) }
