package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/action"
)

// texts are the strings in the product's code below folders.
func texts(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, isLiteral := n.(*ast.BasicLit)
				if !isLiteral || literal.Kind != token.STRING {
					return true
				}
				text, unquoteErr := strconv.Unquote(literal.Value)
				if unquoteErr != nil {
					t.Error(unquoteErr)
				}
				out[fset.Position(literal.Pos()).String()] = text
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var (
	// advised is a command line that a text tells people to run.
	advised = regexp.MustCompile(`(?:\(|: |run |with |come from )caiatop ([a-z]+(?: [a-zA-Z.-]+)*)`)
	keyed   = regexp.MustCompile(`press (\S+) \((caiatop [^)]+)\)`)
)

// TestAdviceNamesCommandsThatExist: every command line in a text can be run, and
// every key stands beside the command that does the same.
func TestAdviceNamesCommandsThatExist(t *testing.T) {
	commands, keys := 0, 0
	for at, text := range texts(t, "backend", "probe", "bench", "config", "tui") {
		for _, match := range advised.FindAllStringSubmatch(text, -1) {
			commands++
			root := New(Deps{})
			cmd, rest, err := root.Find(strings.Fields(match[1]))
			if err != nil || cmd == root {
				t.Errorf("%s: %q: there is no such command: %v", at, match[0], err)
				continue
			}
			for _, word := range rest {
				name, isFlag := strings.CutPrefix(word, "--")
				if cmd.InitDefaultHelpFlag(); isFlag && cmd.Flag(name) == nil && root.PersistentFlags().Lookup(name) == nil {
					t.Errorf("%s: %q: %s has no flag %s", at, match[0], cmd.Name(), word)
				}
			}
		}
		for _, match := range keyed.FindAllStringSubmatch(text, -1) {
			keys++
			known := false
			for _, a := range action.All() {
				known = known || a.Key == match[1] && (a.Command == match[2] || a.Ends == match[2])
			}
			if !known {
				t.Errorf("%s: %q: no key does that", at, match[0])
			}
			if plain := withoutKeys(text); strings.Contains(plain, "press ") {
				t.Errorf("%s: whoever has no keys is told %q", at, plain)
			}
		}
	}
	if commands < 20 || keys < 5 {
		t.Errorf("%d commands and %d keys were looked at: the texts are written in another way now", commands, keys)
	}
}

// TestTheEngineNamesKeysWithoutCommands: a text of the engine that names a key in
// a way that withoutKeys does not know would tell a script to press it. Texts of
// documents are no advice.
func TestTheEngineNamesKeysWithoutCommands(t *testing.T) {
	key := regexp.MustCompile(`(?i)\bpress [a-z0-9]\b`)
	for at, text := range texts(t, "backend", "probe", "bench", "config", "tui/cli") {
		if strings.HasPrefix(text, "# ") {
			continue
		}
		if plain := withoutKeys(text); key.MatchString(plain) && text != "Press 5 for the full text" {
			t.Errorf("%s: %q", at, plain)
		}
	}
}
