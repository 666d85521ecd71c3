package action_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/action"
)

var pages = []string{action.Everywhere, action.PageOverview, action.PageDocuments, action.PageEvents, action.PageSystem}

var (
	nameRule = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	// keyRule is what Bubble Tea prints for the keys that we may use.
	keyRule = regexp.MustCompile(`^([!-~]|(ctrl\+[a-z])|tab|enter|esc|up|down|left|right|home|end|pgup|pgdown|f[0-9]+)$`)
)

// check returns what is wrong with a table of actions.
func check(table []action.Action) []string {
	var wrong []string
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	names := map[string]bool{}
	for _, a := range table {
		switch {
		case !nameRule.MatchString(a.Name):
			add("the name %q is malformed", a.Name)
		case names[a.Name]:
			add("the name %q is there twice", a.Name)
		}
		names[a.Name] = true
		if a.Title == "" || a.Title != strings.TrimSpace(a.Title) || len(a.Title) > 20 {
			add("%s has the title %q", a.Name, a.Title)
		}
		if a.Role.String() == "none" || a.Danger.String() == "unknown" {
			add("%s has the role %v and the danger %v", a.Name, a.Role, a.Danger)
		}
		if a.Danger > action.Read && a.Role < action.Operator {
			add("%s is %v and open to the role %v", a.Name, a.Danger, a.Role)
		}
		if !slices.Contains(pages, a.Page) {
			add("%s is on the unknown page %q", a.Name, a.Page)
		}
		if a.Command != "" && !strings.HasPrefix(a.Command, "caiatop ") {
			add("%s has the command %q", a.Name, a.Command)
		}
		for _, key := range a.Keys() {
			if !keyRule.MatchString(key) {
				add("%s has the key %q", a.Name, key)
			}
		}
	}
	for _, page := range pages {
		owner := map[string]string{}
		for _, a := range table {
			if a.Page != action.Everywhere && a.Page != page {
				continue
			}
			for _, key := range a.Keys() {
				if other, taken := owner[key]; taken {
					add("on the page %q the key %q means %s and %s", page, key, other, a.Name)
				}
				owner[key] = a.Name
			}
		}
	}
	return wrong
}

func TestTable(t *testing.T) {
	for _, wrong := range check(action.All()) {
		t.Error(wrong)
	}
}

// TestCheckFindsFaults plants every fault that TestTable looks for.
func TestCheckFindsFaults(t *testing.T) {
	good := action.Action{Name: "good", Key: "z", Title: "good", Role: action.Viewer, Danger: action.Read}
	if wrong := check([]action.Action{good}); len(wrong) != 0 {
		t.Fatalf("a good table is called wrong: %q", wrong)
	}
	for name, plant := range map[string]func(*action.Action){
		"name twice":        func(a *action.Action) { a.Name = "good" },
		"malformed name":    func(a *action.Action) { a.Name = "Not Good" },
		"same key":          func(a *action.Action) { a.Key = "z" },
		"same further key":  func(a *action.Action) { a.Also = []string{"z"} },
		"page against all":  func(a *action.Action) { a.Key, a.Page = "z", action.PageDocuments },
		"own key twice":     func(a *action.Action) { a.Also = []string{"y"} },
		"no key":            func(a *action.Action) { a.Key = "" },
		"unknown key":       func(a *action.Action) { a.Key = "return" },
		"no title":          func(a *action.Action) { a.Title = "" },
		"no role":           func(a *action.Action) { a.Role = 0 },
		"no danger":         func(a *action.Action) { a.Danger = 0 },
		"viewer destroys":   func(a *action.Action) { a.Danger = action.Destructive },
		"viewer disrupts":   func(a *action.Action) { a.Danger = action.Disruptive },
		"viewer changes":    func(a *action.Action) { a.Danger = action.Reversible },
		"unknown page":      func(a *action.Action) { a.Page = "attic" },
		"not our command":   func(a *action.Action) { a.Command = "rm -rf" },
		"over-long in help": func(a *action.Action) { a.Title = strings.Repeat("x", 21) },
	} {
		bad := action.Action{Name: "bad", Key: "y", Title: "bad", Role: action.Viewer, Danger: action.Read}
		plant(&bad)
		if len(check([]action.Action{good, bad})) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

func TestLookups(t *testing.T) {
	for _, a := range action.All() {
		got, ok := action.ByName(a.Name)
		if !ok || got.Title != a.Title {
			t.Errorf("ByName(%q) = %q, %v", a.Name, got.Name, ok)
		}
		for _, page := range pages {
			reachable := a.Page == action.Everywhere || a.Page == page
			for _, key := range a.Keys() {
				got, ok := action.ByKey(page, key)
				if (ok && got.Name == a.Name) != reachable {
					t.Errorf("ByKey(%q, %q) = %q, %v", page, key, got.Name, ok)
				}
			}
			if slices.ContainsFunc(action.For(page), func(b action.Action) bool { return b.Name == a.Name }) != reachable {
				t.Errorf("For(%q) is wrong about %s", page, a.Name)
			}
		}
	}
	if _, ok := action.ByName("no such"); ok {
		t.Error("ByName finds what is not there")
	}
	if a, ok := action.ByKey(action.PageOverview, "x"); ok {
		t.Errorf("x on the overview means %s", a.Name)
	}
	if got := action.For(action.PageDocuments)[0].Page; got != action.PageDocuments {
		t.Errorf("the first action of a page is of %q", got)
	}
}

// TestTableCannotBeChanged: what callers do to what they get stays with them.
func TestTableCannotBeChanged(t *testing.T) {
	a, _ := action.ByName(action.Quit)
	a.Also[0] = "x"
	action.All()[0].Name = "x"
	for i, b := range action.All() {
		if b.Name == action.Quit {
			action.All()[i].Also[0] = "x"
		}
	}
	if got, ok := action.ByKey(action.Everywhere, "ctrl+c"); !ok || got.Name != action.Quit {
		t.Error("the table was changed by a caller")
	}
	if action.All()[0].Name == "x" {
		t.Error("the table was changed by a caller")
	}
}

func TestRoles(t *testing.T) {
	remove, _ := action.ByName(action.Delete)
	help, _ := action.ByName(action.Help)
	for role, may := range map[action.Role][2]bool{
		0: {false, false}, action.Viewer: {false, true}, action.Operator: {true, true}, action.Admin: {true, true}, -1: {false, false},
	} {
		if role.May(remove) != may[0] || role.May(help) != may[1] {
			t.Errorf("%v: may delete %v, may ask for help %v", role, role.May(remove), role.May(help))
		}
	}
	if action.Role(0).May(action.Action{}) {
		t.Error("nobody may do an action without a role")
	}
	if got := fmt.Sprint(action.Viewer, action.Operator, action.Admin, action.Role(9)); got != "viewer operator admin none" {
		t.Errorf("roles are written %q", got)
	}
	if got := fmt.Sprint(action.Read, action.Reversible, action.Disruptive, action.Destructive, action.Danger(9)); got != "read reversible disruptive destructive unknown" {
		t.Errorf("dangers are written %q", got)
	}
}
