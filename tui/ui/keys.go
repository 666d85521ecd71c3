package ui

import (
	"slices"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
)

// Keys binds what can be done on one page to keys, from the one table of
// actions. Routing, footer and help all read it, so that none of them can name
// a key that the others do not know.
type Keys struct {
	page     string
	actions  []action.Action
	bindings []key.Binding // of the action of the same index
}

// NewKeys returns the bindings of a page: its own first, then those of
// everywhere.
func NewKeys(page string) Keys {
	k := Keys{page: page, actions: action.For(page)}
	for _, a := range k.actions {
		k.bindings = append(k.bindings, bind(a))
	}
	return k
}

// bind makes the binding of one action. Its help names the shortest key.
func bind(a action.Action) key.Binding {
	shortest := a.Key
	for _, further := range a.Also {
		if len(further) < len(shortest) {
			shortest = further
		}
	}
	return key.NewBinding(key.WithKeys(a.Keys()...), key.WithHelp(shortest, a.Title))
}

// Action returns what a key does on this page.
func (k Keys) Action(msg tea.KeyMsg) (action.Action, bool) {
	i := slices.IndexFunc(k.bindings, func(b key.Binding) bool { return key.Matches(msg, b) })
	if i < 0 {
		return action.Action{}, false
	}
	return k.actions[i], true
}

// Binding returns the binding of an action by its name; a disabled one if the
// page does not know it.
func (k Keys) Binding(name string) key.Binding {
	for i, a := range k.actions {
		if a.Name == name {
			return k.bindings[i]
		}
	}
	return key.NewBinding(key.WithDisabled())
}

// Describe returns the action that a binding of this page stands for.
func (k Keys) Describe(b key.Binding) (action.Action, bool) {
	for i, own := range k.bindings {
		if slices.Equal(own.Keys(), b.Keys()) {
			return k.actions[i], true
		}
	}
	return action.Action{}, false
}

// ShortHelp returns the bindings for the footer: neither those that fingers
// know, nor the one of the page that is shown, nor help and quit, which always
// stand there.
func (k Keys) ShortHelp() []key.Binding {
	var out []key.Binding
	for i, a := range k.actions {
		switch a.Name {
		case k.page, action.NextPage, action.Back, action.Up, action.Down, action.PageUp, action.PageDown, action.Top, action.Bottom,
			action.Help, action.Quit:
			continue
		}
		out = append(out, k.bindings[i])
	}
	return out
}

// FullHelp returns every binding: those of the page, then those of everywhere.
func (k Keys) FullHelp() [][]key.Binding {
	var own, everywhere []key.Binding
	for i, a := range k.actions {
		if a.Page == action.Everywhere {
			everywhere = append(everywhere, k.bindings[i])
			continue
		}
		own = append(own, k.bindings[i])
	}
	return [][]key.Binding{own, everywhere}
}

// DialogKeys are the keys of a dialog.
type DialogKeys struct {
	Leave, Enter, Switch, Left, Right key.Binding
}

// NewDialogKeys returns the keys that every dialog has.
func NewDialogKeys() DialogKeys {
	return DialogKeys{
		Leave:  key.NewBinding(key.WithKeys("esc", "q"), key.WithHelp("esc", "close")),
		Enter:  key.NewBinding(key.WithKeys("enter"), key.WithHelp("enter", "do it")),
		Switch: key.NewBinding(key.WithKeys("tab", "shift+tab"), key.WithHelp("tab", "choose")),
		Left:   key.NewBinding(key.WithKeys("left", "h"), key.WithHelp("left", "first")),
		Right:  key.NewBinding(key.WithKeys("right", "l"), key.WithHelp("right", "second")),
	}
}
