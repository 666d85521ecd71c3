package gitstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

// write commits files as others do, and returns the commit.
func write(t *testing.T, repo *gitrepo.Repo, files map[string]string) string {
	t.Helper()
	var changes []gitrepo.Change
	for name, text := range files {
		path, err := document.ParsePath(name)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, gitrepo.Change{Path: path, Data: []byte(text), Delete: text == ""})
	}
	h, err := repo.Commit(t.Context(), gitrepo.CommitInput{Changes: changes, Message: "theirs", Author: gitrepo.Signature(author), At: when})
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func TestChangesBetweenCommits(t *testing.T) {
	repo, s := memory(t)
	const a, b, c = "documents/text/2026-11/0/1/2/a", "documents/text/2026/11/b", "documents/text/2026-11/0/1/3/c"
	first := write(t, repo, map[string]string{a + "/metadata.json": "{}", b + "/metadata.json": "{}", "README.md": "one", c + "/x/y/z": "deep"})
	second := write(t, repo, map[string]string{
		a + "/raw": "more", b: "", "README.md": "two", c: "a file now", "beside/d/e": "new", "documents/stray": "x",
		"documents/text/other/0/1/2/3/4/5": "too deep", "documents/text/2026/11/" + strings.Repeat("n", 201) + "/metadata.json": "{}",
	})
	for _, test := range []struct {
		from, to string
		want     []string
		others   []string
	}{
		{"", first, []string{a, c, b}, []string{"README.md"}},
		{first, first, nil, nil},
		{first, second, []string{a, c + " gone", b + " gone"}, []string{
			"README.md", "beside", "documents/stray", "documents/text/other/0/1/2/3", c, "documents/text/2026/11/" + strings.Repeat("n", 201),
		}},
		{second, "", []string{a + " gone"}, nil},
	} {
		var got []string
		others, err := s.Changes(t.Context(), test.from, test.to, func(c gitstore.Change) error {
			text := c.Key.Folder.String()
			if c.Deleted {
				text += " gone"
			}
			got = append(got, text)
			return nil
		})
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%.7s to %.7s: %q, %v", test.from, test.to, got, err)
		}
		slices.Sort(others.Named)
		slices.Sort(test.others)
		if test.others != nil && (!slices.Equal(others.Named, test.others) || others.Count != int64(len(test.others))) {
			t.Errorf("%.7s to %.7s: no documents are %d: %q", test.from, test.to, others.Count, others.Named)
		}
	}
	stop := errors.New("enough")
	if _, err := s.Changes(t.Context(), "", first, func(gitstore.Change) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the caller: %v", err)
	}
	if _, err := s.Changes(t.Context(), "", strings.Repeat("1", 40), nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such commit: %v", err)
	}
}

// Applying moves the mark with the branch; joining keeps documents whole.
func TestJoinTwoHistories(t *testing.T) {
	repo, s := memory(t)
	d := doc(t, "d", "base")
	apply(t, s, nil, putOp(d))
	base := tip(t, repo)
	d.Content.Text = "ours"
	apply(t, s, nil, putOp(d))
	ours, err := s.Last(t.Context())
	if err != nil || ours != tip(t, repo).String() {
		t.Fatalf("the mark is at %s, %v", ours, err)
	}
	// Somebody goes back and writes something else.
	if err := repo.SetRef(t.Context(), "refs/heads/main", base); err != nil {
		t.Fatal(err)
	}
	folder := putOp(d).Key.Folder.String()
	theirs := write(t, repo, map[string]string{folder + "/raw": "theirs", "README.md": "theirs"})
	if is, err := s.BuiltUpon(t.Context(), ours, theirs); is || err != nil {
		t.Fatalf("%v, %v", is, err)
	}
	var told []string
	joined, err := s.Join(t.Context(), gitstore.Joining{
		Tip: theirs, Ours: ours, Author: author, At: when, Message: "Join",
		Before: func(paths []string) error { told = paths; return nil },
	})
	if err != nil || fmt.Sprint(told) != "["+folder+"]" {
		t.Fatalf("%q, %v", told, err)
	}
	got, err := s.Get(t.Context(), putOp(d).Key)
	if err != nil || got.Content.Text != "ours" || got.Content.Raw != nil {
		t.Errorf("%+v, %v", got.Content, err)
	}
	for _, h := range []string{ours, theirs} {
		if is, err := s.BuiltUpon(t.Context(), h, joined); !is || err != nil {
			t.Errorf("%s: %v, %v", h, is, err)
		}
	}
	if last, err := s.Last(t.Context()); err != nil || last != ours {
		t.Errorf("joining moved the mark to %s, %v", last, err)
	}
	if err := s.Forward(t.Context(), theirs, joined); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("forward from where the branch is not: %v", err)
	}
}
