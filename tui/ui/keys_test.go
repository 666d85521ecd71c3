package ui

import (
	"slices"
	"testing"

	"github.com/charmbracelet/bubbles/help"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
)

var _ help.KeyMap = Keys{}

func letter(r rune) tea.KeyMsg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}} }

func TestKeysAreThoseOfTheTable(t *testing.T) {
	for _, page := range []string{action.PageOverview, action.PageDocuments} {
		k := NewKeys(page)
		all := slices.Concat(k.FullHelp()...)
		if len(all) != len(action.For(page)) {
			t.Errorf("%s: %d bindings for %d actions", page, len(all), len(action.For(page)))
		}
		for _, a := range action.For(page) {
			b := k.Binding(a.Name)
			if !slices.Equal(b.Keys(), a.Keys()) || b.Help().Desc != a.Title {
				t.Errorf("%s on %s: keys %q, help %+v", a.Name, page, b.Keys(), b.Help())
			}
			if got, ok := k.Describe(b); !ok || got.Name != a.Name {
				t.Errorf("%s on %s is described as %q", a.Name, page, got.Name)
			}
		}
	}
}

func TestKeysRoute(t *testing.T) {
	overview, documents := NewKeys(action.PageOverview), NewKeys(action.PageDocuments)
	tests := []struct {
		keys Keys
		msg  tea.KeyMsg
		want string
	}{
		{overview, letter('d'), action.Drill},
		{overview, letter('x'), ""},
		{documents, letter('x'), action.Delete},
		{documents, letter('d'), ""},
		{documents, tea.KeyMsg{Type: tea.KeyCtrlF}, action.Search},
		{documents, letter('F'), action.Search},
		{overview, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true}, ""},
		{overview, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Alt: true}, ""},
	}
	for _, tt := range tests {
		if a, ok := tt.keys.Action(tt.msg); a.Name != tt.want || ok != (tt.want != "") {
			t.Errorf("%q means %q, want %q", tt.msg, a.Name, tt.want)
		}
	}
}

func TestShortHelpLeavesOutWhatFingersKnow(t *testing.T) {
	var names []string
	for _, b := range NewKeys(action.PageDocuments).ShortHelp() {
		names = append(names, b.Help().Key+" "+b.Help().Desc)
	}
	want := []string{
		"enter open", "/ filter", "F search text", "a new document", "e edit", "E edit with $EDITOR", "H history",
		"R restore revision", "u undo", "x delete", "1 overview", "5 events", "6 system", "s add samples",
	}
	if !slices.Equal(names, want) {
		t.Errorf("footer %q, want %q", names, want)
	}
}

func TestAnUnknownActionHasNoKey(t *testing.T) {
	b := NewKeys(action.PageOverview).Binding("no such")
	if b.Enabled() || key.Matches(letter('d'), b) {
		t.Error("an action that is not there has a key")
	}
	if a, ok := NewKeys(action.PageOverview).Describe(b); ok {
		t.Errorf("it is described as %q", a.Name)
	}
}
