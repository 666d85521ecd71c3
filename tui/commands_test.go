package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/tui/cli"
)

// advised finds the commands that a text tells people to run.
var advised = regexp.MustCompile(`(?:run:? |[:(] ?)caiatop ([a-z][a-z-]*)((?: --[a-z-]+)*)`)

// TestAdviceNamesCommandsThatExist reads every text of the program.
func TestAdviceNamesCommandsThatExist(t *testing.T) {
	flags := map[string][]string{}
	for _, c := range cli.New(cli.Deps{}).Commands() {
		flags[c.Name()] = nil
		c.Flags().VisitAll(func(f *pflag.Flag) { flags[c.Name()] = append(flags[c.Name()], f.Name) })
	}
	found := 0
	check := func(where, text string) {
		for _, match := range advised.FindAllStringSubmatch(text, -1) {
			found++
			known, ok := flags[match[1]]
			if !ok {
				t.Errorf("%s: there is no command %q", where, match[1])
			}
			for flag := range strings.FieldsSeq(match[2]) {
				if !slices.Contains(known, strings.TrimPrefix(flag, "--")) {
					t.Errorf("%s: %s has no flag %s", where, match[1], flag)
				}
			}
		}
	}
	for _, a := range action.All() {
		if a.Command != "" {
			check("action "+a.Name, "run: "+a.Command)
		}
	}
	for _, root := range []string{"../backend", "../config", "../bench", "../probe", "."} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
					check(path, text.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("only %d commands were found in all texts", found)
	}
}

func TestDialogsShowTheEquivalentCommand(t *testing.T) {
	for name, want := range map[string]string{
		action.Fallback: "caiatop fallback", action.Recover: "caiatop recover", action.SetPhase: "caiatop phase set PHASE", action.Samples: "", action.Drill: "caiatop drill start KIND",
	} {
		if a, ok := action.ByName(name); !ok || a.Command != want {
			t.Errorf("%s is the command %q, want %q", name, a.Command, want)
		}
	}
}
