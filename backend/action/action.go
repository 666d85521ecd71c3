// Package action is the one table of what can be done with caiatop. Keys, help,
// footers, role checks and the audit record are made from it, so that none of
// them can know an action that the others do not.
//
// The table says what an action is called and who may do it, not how it is done:
// the package runs nothing and imports nothing of caiatop.
package action

import "slices"

// Role says who may do something. A higher role may do all that a lower one may.
type Role int

// The roles. The zero Role may do nothing.
const (
	Viewer Role = iota + 1
	Operator
	Admin
)

// String returns the role as it is written in configuration and audit.
func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	}
	return "none"
}

// May reports whether someone of this role may do a.
func (r Role) May(a Action) bool { return r >= Viewer && r >= a.Role }

// Danger says what an action can harm, and with it how it is confirmed.
type Danger int

// The degrees of danger.
const (
	// Read changes nothing that lasts.
	Read Danger = iota + 1
	// Reversible can be undone; it is done without a question.
	Reversible
	// Disruptive is noticed by others; a dialog asks, with Cancel focused.
	Disruptive
	// Destructive is confirmed by typing the name of what it destroys.
	Destructive
)

// String returns the degree as it is written in help and audit.
func (d Danger) String() string {
	switch d {
	case Read:
		return "read"
	case Reversible:
		return "reversible"
	case Disruptive:
		return "disruptive"
	case Destructive:
		return "destructive"
	}
	return "unknown"
}

// Pages that an action can belong to.
const (
	Everywhere    = ""
	PageOverview  = "overview"
	PageDocuments = "documents"
	PageEvents    = "events"
	PageSystem    = "system"
)

// Names of the actions.
const (
	Overview     = "overview"
	Documents    = "documents"
	NextPage     = "next-page"
	Help         = "help"
	Quit         = "quit"
	Back         = "back"
	Up           = "up"
	Down         = "down"
	PageUp       = "page-up"
	PageDown     = "page-down"
	Top          = "top"
	Bottom       = "bottom"
	Samples      = "samples"
	Drill        = "drill"
	Fallback     = "fallback"
	Recover      = "recover"
	SetPhase     = "phase"
	Bench        = "bench"
	Open         = "open"
	Filter       = "filter"
	Search       = "search"
	New          = "new"
	Delete       = "delete"
	Events       = "events"
	System       = "system"
	Edit         = "edit"
	EditWith     = "edit-with"
	History      = "history"
	Restore      = "restore"
	Undo         = "undo"
	FilterEvents = "filter-events"
	OpenEvent    = "open-event"
	Level        = "level"
	Follow       = "follow"
)

// Action is one thing that can be done.
type Action struct {
	Name   string
	Key    string   // the default key, as Bubble Tea prints it: "d", "/", "pgup"
	Also   []string // further keys
	Title  string   // a few words for help and footer
	Role   Role     // the lowest that may do it
	Danger Danger
	Page   string // where its keys work; Everywhere for all pages
	// Command is the equivalent command, with upper-case words to replace; ""
	// if there is none.
	Command string
	// Ends is the command that ends what Command began, where the same key does
	// that; else "".
	Ends string
}

// table is in the order in which help and footers list the actions.
var table = []Action{
	{Name: Overview, Key: "1", Title: "overview", Role: Viewer, Danger: Read, Command: "caiatop status"},
	{Name: Documents, Key: "2", Title: "documents", Role: Viewer, Danger: Read, Command: "caiatop ls"},
	{Name: Events, Key: "5", Title: "events", Role: Viewer, Danger: Read, Command: "caiatop events"},
	{Name: System, Key: "6", Title: "system", Role: Viewer, Danger: Read, Command: "caiatop doctor"},
	{Name: NextPage, Key: "tab", Title: "next page", Role: Viewer, Danger: Read},
	{Name: Up, Key: "up", Also: []string{"k"}, Title: "up", Role: Viewer, Danger: Read},
	{Name: Down, Key: "down", Also: []string{"j"}, Title: "down", Role: Viewer, Danger: Read},
	{Name: PageUp, Key: "pgup", Title: "page up", Role: Viewer, Danger: Read},
	{Name: PageDown, Key: "pgdown", Title: "page down", Role: Viewer, Danger: Read},
	{Name: Top, Key: "g", Also: []string{"home"}, Title: "to the top", Role: Viewer, Danger: Read},
	{Name: Bottom, Key: "G", Also: []string{"end"}, Title: "to the end", Role: Viewer, Danger: Read},
	{Name: Back, Key: "esc", Title: "back", Role: Viewer, Danger: Read},

	{Name: Drill, Key: "d", Title: "drill", Role: Operator, Danger: Disruptive, Page: PageOverview, Command: "caiatop drill start KIND", Ends: "caiatop drill stop"},
	{Name: Fallback, Key: "f", Title: "fall back", Role: Operator, Danger: Disruptive, Page: PageOverview, Command: "caiatop fallback"},
	{Name: Recover, Key: "r", Title: "recover now", Role: Operator, Danger: Reversible, Page: PageOverview, Command: "caiatop recover"},
	{Name: SetPhase, Key: "p", Title: "phase", Role: Operator, Danger: Disruptive, Page: PageOverview, Command: "caiatop phase set PHASE"},
	{Name: Bench, Key: "b", Title: "bench", Role: Operator, Danger: Disruptive, Page: PageOverview, Command: "caiatop bench"},

	{Name: Open, Key: "enter", Title: "open", Role: Viewer, Danger: Read, Page: PageDocuments, Command: "caiatop get ID"},
	{Name: Filter, Key: "/", Title: "filter", Role: Viewer, Danger: Read, Page: PageDocuments, Command: "caiatop ls --contains TEXT --type TYPE"},
	{Name: Search, Key: "ctrl+f", Also: []string{"F"}, Title: "search text", Role: Viewer, Danger: Read, Page: PageDocuments, Command: "caiatop search QUERY"},
	{Name: New, Key: "a", Title: "new document", Role: Operator, Danger: Reversible, Page: PageDocuments, Command: "caiatop put --id ID --type TYPE FILE"},
	{Name: Edit, Key: "e", Title: "edit", Role: Operator, Danger: Reversible, Page: PageDocuments, Command: "caiatop edit ID"},
	{Name: EditWith, Key: "E", Title: "edit with $EDITOR", Role: Operator, Danger: Reversible, Page: PageDocuments, Command: "caiatop edit ID"},
	{Name: History, Key: "H", Title: "history", Role: Viewer, Danger: Read, Page: PageDocuments, Command: "caiatop history ID"},
	{Name: Restore, Key: "R", Title: "restore revision", Role: Operator, Danger: Reversible, Page: PageDocuments, Command: "caiatop restore ID COMMIT"},
	{Name: Undo, Key: "u", Title: "undo", Role: Operator, Danger: Reversible, Page: PageDocuments, Command: "caiatop undo ID"},
	{Name: Delete, Key: "x", Title: "delete", Role: Operator, Danger: Destructive, Page: PageDocuments, Command: "caiatop rm ID"},

	{Name: FilterEvents, Key: "/", Title: "filter", Role: Viewer, Danger: Read, Page: PageEvents, Command: "caiatop events --contains TEXT"},
	{Name: Level, Key: "l", Title: "level", Role: Viewer, Danger: Read, Page: PageEvents, Command: "caiatop events --level LEVEL"},
	{Name: Follow, Key: "f", Title: "follow", Role: Viewer, Danger: Read, Page: PageEvents, Command: "caiatop events --follow"},
	{Name: OpenEvent, Key: "enter", Title: "details", Role: Viewer, Danger: Read, Page: PageEvents},

	{Name: Samples, Key: "s", Title: "add samples", Role: Operator, Danger: Reversible},
	{Name: Help, Key: "?", Title: "help", Role: Viewer, Danger: Read},
	{Name: Quit, Key: "q", Also: []string{"ctrl+c"}, Title: "quit", Role: Viewer, Danger: Read},
}

// Keys returns the default key and the further ones.
func (a Action) Keys() []string { return append([]string{a.Key}, a.Also...) }

func (a Action) clone() Action {
	a.Also = slices.Clone(a.Also)
	return a
}

// All returns every action, in the order of help.
func All() []Action {
	all := make([]Action, len(table))
	for i, a := range table {
		all[i] = a.clone()
	}
	return all
}

// ByName returns the action of that name.
func ByName(name string) (Action, bool) {
	return first(func(a Action) bool { return a.Name == name })
}

// ByKey returns what a key does on a page.
func ByKey(page, key string) (Action, bool) {
	return first(func(a Action) bool { return a.on(page) && slices.Contains(a.Keys(), key) })
}

// For returns what can be done on a page, its own actions first, then those of
// everywhere.
func For(page string) []Action {
	var own, everywhere []Action
	for _, a := range table {
		switch a.Page {
		case Everywhere:
			everywhere = append(everywhere, a.clone())
		case page:
			own = append(own, a.clone())
		}
	}
	return append(own, everywhere...)
}

func (a Action) on(page string) bool { return a.Page == Everywhere || a.Page == page }

func first(matches func(Action) bool) (Action, bool) {
	i := slices.IndexFunc(table, matches)
	if i < 0 {
		return Action{}, false
	}
	return table[i].clone(), true
}
