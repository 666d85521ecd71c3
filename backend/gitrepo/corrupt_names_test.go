package gitrepo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// hostileNames are what a foreign repository may hold, and no path of ours.
var hostileNames = []string{
	".git", ".GIT", ".Git", "git~1", "GIT~1", ".git ", ".git.", ".git::$INDEX_ALLOCATION", ".g\u200cit", "\u200e.git", ".gi\ufefft",
	".gitmodules", "..", ".", "...", "-rf", "a\nb", "a\tb", "a\x1b[2Jb", "a\x7fb", "\u202eexe.txt", "a\u2066b", "a\\b", "C:", "con", "nul.txt",
	"\xff\xfe", "name ", " name", strings.Repeat("n", 4096), strings.Repeat("\u00e4", 2000),
}

// Names that no document may have are listed as they are, kept by commits that
// have nothing to do with them, and never hide the others.
func TestHostileNamesOfAForeignRepository(t *testing.T) {
	needGit(t)
	r, dir, tip := victims(t)
	blob := blobOf("text of a").hash
	docs, err := plumbingHash(git(t, dir, "rev-parse", "main:docs"))
	if err != nil {
		t.Fatal(err)
	}
	items := []item{{name: []byte("docs"), mode: modeTree, hash: docs}, {name: []byte("sub"), mode: modeSubmodule, hash: tip}, {name: []byte("to"), mode: modeSymlink, hash: blob}}
	for _, name := range hostileNames {
		items = append(items, item{name: []byte(name), mode: modeFile, hash: blob})
	}
	slices.SortFunc(items, compareItems)
	var tree []byte
	for _, it := range items {
		tree = appendItem(tree, it.mode, string(it.name), it.hash)
	}
	root := gitWith(t, dir, tree, "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
	git(t, dir, "update-ref", "refs/heads/main", git(t, dir, "commit-tree", "-m", "hostile", root))

	at := commit(t, r, put(t, "docs/d/text", "text of d"), del(t, "docs/c"))
	othersRead(t, r, at, "a", "b", "d")
	entries, err := r.List(context.Background(), at, pathRoot)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.Path] = true
		if e.IsSubmodule != (e.Path == "sub") || e.IsLink != (e.Path == "to") {
			t.Errorf("%.40q is listed as %+v", e.Path, e)
		}
	}
	walked := map[string]bool{}
	if err := r.Walk(context.Background(), at, pathRoot, func(e Entry) error { walked[e.Path] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, name := range hostileNames {
		if !listed[name] || !walked[name] {
			t.Errorf("%.40q is skipped without a word: listed %t, walked %t", name, listed[name], walked[name])
		}
	}
	if len(listed) != len(hostileNames)+3 || len(walked) != len(hostileNames)+5 || !walked["sub"] {
		t.Errorf("listed %d, walked %d", len(listed), len(walked))
	}
	if got := git(t, dir, "rev-parse", "main:sub"); got != tip.String() {
		t.Errorf("the submodule became %s", got)
	}
}

func plumbingHash(hex string) (Hash, error) {
	h, ok := parseHash([]byte(hex))
	if !ok {
		return Hash{}, fmt.Errorf("%q is no object name", hex)
	}
	return h, nil
}
