package gitstore_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

var (
	author = store.Author{Name: "Ann Author", Email: "ann@example.org"}
	when   = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

func memory(t *testing.T) (*gitrepo.Repo, *gitstore.Store) {
	t.Helper()
	repo := gitrepo.NewMemory(gitrepo.Options{})
	t.Cleanup(func() { closeRepo(t, repo) })
	return repo, gitstore.New(repo)
}

func doc(t testing.TB, id, text string) document.Document {
	t.Helper()
	parsed, err := document.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatal(err)
	}
	return document.Document{
		ID: parsed, Source: document.Source{Type: kind}, Content: document.Content{Text: text}, CreatedAt: when, UpdatedAt: when,
	}
}

func apply(t testing.TB, s store.Store, trailers []store.Trailer, ops ...store.Op) store.Receipt {
	t.Helper()
	receipt, err := s.Apply(t.Context(), store.Batch{Ops: ops, Author: author, At: when, Trailers: trailers})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func putOp(d document.Document) store.Op {
	return store.Op{Key: store.NewKey(document.LayoutFanOut, d), Doc: &d}
}

func tip(t testing.TB, repo *gitrepo.Repo) gitrepo.Hash {
	t.Helper()
	h, err := repo.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestGetAtAnyCommit(t *testing.T) {
	_, s := memory(t)
	d := doc(t, "report", "one")
	key := putOp(d).Key
	first := apply(t, s, nil, putOp(d))
	d.Content.Text = "two"
	apply(t, s, nil, putOp(d))
	got, err := s.GetAt(t.Context(), first.Commit, key)
	if err != nil || got.Content.Text != "one" {
		t.Fatalf("%q, %v", got.Content.Text, err)
	}
	for _, commit := range []string{"", "nonsense", strings.Repeat("0", 40)} {
		if _, err := s.GetAt(t.Context(), commit, key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("commit %q: %v", commit, err)
		}
	}
}

// The folder of a library keeps its layout, the name of its text file, and the
// files that are not ours.
func TestEditsLibraryDocumentsInPlace(t *testing.T) {
	repo, s := memory(t)
	const folder = "documents/text/2025/03/old-report"
	put := func(name, data string) gitrepo.Change { return gitrepo.Change{Path: path(t, name), Data: []byte(data)} }
	_, err := repo.Commit(t.Context(), gitrepo.CommitInput{
		Message: "library", Author: gitrepo.Signature(author), At: when, Changes: []gitrepo.Change{
			put(folder+"/metadata.json", `{"id":"old-report","source":"https://example.org/x","created_at":"2025-03-01T00:00:00Z","ours":{"a":1}}`),
			put(folder+"/text.txt", "library text"),
			put(folder+"/raw", "bytes"),
			put(folder+"/attachment.bin", "not ours"),
			put("README.md", "not ours"),
			put("documents/text/not-a-month/x", "not ours"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []store.Key
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	if len(keys) != 1 || keys[0].Folder.String() != folder || keys[0].ID.String() != "old-report" {
		t.Fatalf("listed %v", keys)
	}
	d, err := s.Get(t.Context(), keys[0])
	if err != nil || d.Content.Text != "library text" || string(d.Content.Raw) != "bytes" || d.Source.URL != "https://example.org/x" {
		t.Fatalf("%+v, %v", d, err)
	}
	d.Content.Text, d.Content.Raw = "edited", nil
	apply(t, s, nil, store.Op{Key: keys[0], Doc: &d})
	files, err := repo.ReadFolder(t.Context(), tip(t, repo), keys[0].Folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 || string(files["text.txt"]) != "edited" || string(files["attachment.bin"]) != "not ours" {
		t.Fatalf("files %v", files)
	}
	if !strings.Contains(string(files["metadata.json"]), `"ours"`) {
		t.Errorf("the unknown field is lost: %s", files["metadata.json"])
	}
}

func path(t testing.TB, s string) document.Path {
	t.Helper()
	p, err := document.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDamagedDocumentsAreCorrupt(t *testing.T) {
	repo, s := memory(t)
	key := putOp(doc(t, "d", "")).Key
	for name, metadata := range map[string]string{"no JSON": "{", "another id": `{"id":"other"}`, "no id": `{}`} {
		_, err := repo.Commit(t.Context(), gitrepo.CommitInput{
			Message: "damage", Author: gitrepo.Signature(author), At: when,
			Changes: []gitrepo.Change{{Path: path(t, key.Folder.String()+"/metadata.json"), Data: []byte(metadata)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrailersAreAlwaysRecorded(t *testing.T) {
	repo, s := memory(t)
	const key = "Outbox-Seq"
	trailer := func(value string) []store.Trailer { return []store.Trailer{{Key: key, Value: value}} }
	ours := func(v string) bool { return strings.HasPrefix(v, "me/") }
	if _, _, err := s.Trailer(t.Context(), key, ours, 10); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("empty repository: %v", err)
	}
	d := doc(t, "d", "text")
	first := apply(t, s, trailer("me/1"), putOp(d))
	apply(t, s, trailer("other/9"), putOp(doc(t, "e", "text")))
	value, commit, err := s.Trailer(t.Context(), strings.ToLower(key), ours, 10)
	if err != nil || value != "me/1" || commit != first.Commit {
		t.Fatalf("%s at %s, %v", value, commit, err)
	}
	if _, _, err := s.Trailer(t.Context(), key, ours, 1); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("past the limit: %v", err)
	}
	if receipt := apply(t, s, trailer("me/2"), putOp(d)); receipt.Commit != "" {
		t.Errorf("nothing changed, but the receipt names %s", receipt.Commit)
	}
	value, commit, err = s.Trailer(t.Context(), key, ours, 10)
	if err != nil || value != "me/2" || commit != tip(t, repo).String() {
		t.Fatalf("%s at %s, %v", value, commit, err)
	}
	apply(t, s, trailer("me/3"))
	if c, err := repo.ReadCommit(t.Context(), tip(t, repo)); err != nil || !strings.HasPrefix(c.Message, "Record how far git is\n\nOutbox-Seq: me/3") {
		t.Errorf("a commit that changes nothing says %q, %v", c.Message, err)
	}
	before := tip(t, repo)
	apply(t, s, nil, putOp(d))
	if tip(t, repo) != before {
		t.Error("a batch without trailers and changes made a commit")
	}
}

// What looks like a trailer in the subject or the body is none.
func TestTrailerIsOnlyInTheLastParagraph(t *testing.T) {
	repo, s := memory(t)
	for _, message := range []string{"Key: subject", "subject\n\nKey: body\n\nlast words"} {
		_, err := repo.Commit(t.Context(), gitrepo.CommitInput{Message: message, Author: gitrepo.Signature(author), At: when, AllowEmpty: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	if v, _, err := s.Trailer(t.Context(), "Key", func(string) bool { return true }, 10); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("%q, %v", v, err)
	}
}

func TestErrorsAreThoseOfStores(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo.git")
	repo := onDisk(t, dir)
	s := gitstore.New(repo)
	d := doc(t, "d", "text")
	batch := store.Batch{Ops: []store.Op{putOp(d)}, Author: author, At: when}
	apply(t, s, nil, batch.Ops...)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	batch.Ops = []store.Op{putOp(doc(t, "e", "text"))}
	_, applyErr := s.Apply(t.Context(), batch)
	_, getErr := s.Get(t.Context(), batch.Ops[0].Key)
	for _, err := range []error{applyErr, getErr} {
		if !errors.Is(err, store.ErrIdentity) {
			t.Errorf("the repository is gone: %v", err)
		}
	}
	closeRepo(t, repo)
	if _, err := s.Apply(context.Background(), batch); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

// Somebody pushes between our batches: both sides' documents are there.
func TestPushBetweenBatches(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: nobody can push")
	}
	root := t.TempDir()
	dir, clone := filepath.Join(root, "repo.git"), filepath.Join(root, "clone")
	s := gitstore.New(onDisk(t, dir))
	ours, theirs := doc(t, "ours", "1"), doc(t, "theirs", "1")
	apply(t, s, nil, putOp(ours), putOp(theirs))
	git(t, root, "clone", "-q", dir, clone)
	text := filepath.Join(clone, putOp(theirs).Key.Folder.String(), "content.txt")
	if err := os.WriteFile(text, []byte("pushed"), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, clone, "commit", "-qam", "pushed")
	git(t, clone, "push", "-q", "origin", "HEAD:main")
	ours.Content.Text = "2"
	apply(t, s, nil, putOp(ours))
	for id, want := range map[string]string{"ours": "2", "theirs": "pushed"} {
		got, err := s.Get(t.Context(), putOp(doc(t, id, "")).Key)
		if err != nil || got.Content.Text != want {
			t.Errorf("%s: %q, %v; want %q", id, got.Content.Text, err, want)
		}
	}
	git(t, dir, "fsck", "--strict", "--full")
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Gil", "GIT_AUTHOR_EMAIL=gil@example.org", "GIT_COMMITTER_NAME=Gil", "GIT_COMMITTER_EMAIL=gil@example.org")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// BenchmarkImport is the import of 10,000 documents in batches of 500.
func BenchmarkImport(b *testing.B) {
	const docs, batch = 10_000, 500
	text := strings.Repeat("synthetic words of a document ", 34)
	for b.Loop() {
		repo := onDisk(b, filepath.Join(b.TempDir(), "repo.git"))
		s := gitstore.New(repo)
		for i := 0; i < docs; i += batch {
			var ops []store.Op
			for j := range batch {
				id := "doc-" + string(rune('a'+j/26%26)) + string(rune('a'+j%26)) + "-" + strings.Repeat("x", i/batch+1)
				ops = append(ops, putOp(doc(b, id, id+text)))
			}
			apply(b, s, nil, ops...)
		}
		closeRepo(b, repo)
	}
	b.ReportMetric(float64(b.N*docs)/b.Elapsed().Seconds(), "docs/s")
}
