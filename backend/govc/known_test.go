package govc_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
)

// TestPutOfWhatIsKnownIsOneRequest: who wrote a document, or writes new ones,
// need not look before the next write; what turns out to be otherwise costs a
// look and nothing else.
func TestPutOfWhatIsKnownIsOneRequest(t *testing.T) {
	s := startBatching(t, nil)
	c := openClient(t, govc.Options{URL: s.url})
	version := func(id, text string) document.Document { return newDoc(t, id, text) }
	withRaw := version("b", "1")
	withRaw.Content.Raw = []byte{0}
	write, look := []string{"POST batch"}, []string{"GET folder", "POST batch"}
	wrong := []string{"POST batch", "GET folder", "POST batch"}
	s.seen()
	for i, step := range []struct {
		what   string
		batch  store.Batch
		theirs string // content that somebody else writes before, at path of "a"
		asked  []string
		same   bool // nothing changes
	}{
		{"the first document", put(version("a", "1")), "", look, false},
		{"a new one", put(withRaw), "", write, false},
		{"a new version", put(version("a", "2")), "", write, false},
		{"the same version", put(version("a", "2")), "", []string{"GET folder"}, true},
		{"a version without raw bytes", put(version("b", "2")), "", write, false},
		{"a delete", remove(version("b", "")), "", write, false},
		{"the delete again", remove(version("b", "")), "", []string{"GET folder"}, true},
		{"the deleted one again", put(version("b", "3")), "", write, false},
		{"a foreign edit", put(version("a", "3")), "theirs", wrong, false},
		{"after it", put(version("a", "4")), "", write, false},
		{"a foreign document", put(version("c", "1")), "c", wrong, false},
		{"a new one after it", put(version("d", "1")), "", look, false},
		{"another new one", put(version("e", "1")), "", write, false},
	} {
		switch step.theirs {
		case "":
		case "c":
			s.overwrite(t, keyOf(version("c", "")).Folder.String()+"/raw", "left over")
		default:
			s.overwrite(t, keyOf(version("a", "")).Folder.String()+"/content.txt", step.theirs)
		}
		before := s.commits(t)
		s.seen()
		receipt, err := c.Apply(t.Context(), step.batch)
		if got := s.seen(); err != nil || !slices.Equal(got, step.asked) {
			t.Fatalf("%d, %s: Apply asks %q, want %q; %v", i, step.what, got, step.asked, err)
		}
		if made := s.commits(t) - before; (receipt.Commit == "") != step.same || (made == 0) != step.same || made > 1 {
			t.Fatalf("%d, %s: Apply = %v, %d commits", i, step.what, receipt, made)
		}
		for _, op := range step.batch.Ops {
			got, err := c.Get(t.Context(), op.Key)
			if op.Doc == nil != (err != nil) || (op.Doc != nil && (got.Content.Text != op.Doc.Content.Text || string(got.Content.Raw) != string(op.Doc.Content.Raw))) {
				t.Fatalf("%d, %s: Get = %+v, %v", i, step.what, got.Content, err)
			}
		}
	}
	tree := asked(t, http.MethodGet, s.url+"/api/v2/repos/docs/tree?recursive=true&view=committed", "")
	if tree["total"] != 10.0 { // two files of each of a to e: nothing is left over
		t.Errorf("the tree holds %v", tree)
	}
}

// TestWrongGuessOfABatchWritesNothingOfIt: a batch is one commit, whatever of it
// had to be looked at.
func TestWrongGuessOfABatchWritesNothingOfIt(t *testing.T) {
	s := startBatching(t, nil)
	c := openClient(t, govc.Options{URL: s.url})
	var docs []document.Document
	for i := range 5 {
		docs = append(docs, newDoc(t, fmt.Sprint("d", i), "1"))
	}
	if _, err := c.Apply(t.Context(), put(docs...)); err != nil {
		t.Fatal(err)
	}
	s.overwrite(t, keyOf(docs[3]).Folder.String()+"/content.txt", "theirs")
	for i := range docs {
		docs[i].Content.Text = "2"
	}
	before := s.commits(t)
	if _, err := c.Apply(t.Context(), put(docs...)); err != nil {
		t.Fatal(err)
	}
	if made := s.commits(t) - before; made != 1 {
		t.Errorf("%d commits, want 1", made)
	}
}

// TestWritesOfDifferentDocumentsDoNotWait: a write that hangs at the service
// keeps nobody from writing another document, and whoever writes the same one
// waits.
func TestWritesOfDifferentDocumentsDoNotWait(t *testing.T) {
	hangs, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := startBatching(t, func(_ *batching, _ http.ResponseWriter, _ *http.Request) bool {
		first := false
		once.Do(func() { first = true })
		if first {
			close(hangs)
			<-goOn
		}
		return false
	})
	c := openClient(t, govc.Options{URL: s.url})
	var group sync.WaitGroup
	apply := func(text string) {
		if _, err := c.Apply(t.Context(), put(newDoc(t, "same", text))); err != nil {
			t.Error(err)
		}
	}
	group.Go(func() { apply("first") })
	<-hangs
	second := make(chan struct{})
	group.Go(func() { apply("second"); close(second) })
	for i := range 3 {
		if _, err := c.Apply(t.Context(), put(newDoc(t, fmt.Sprint("other", i), "x"))); err != nil {
			t.Errorf("a write beside one that hangs: %v", err)
		}
	}
	select {
	case <-second:
		t.Error("two writes of one document were under way at once")
	default:
	}
	close(goOn)
	group.Wait()
	if got, err := c.Get(t.Context(), keyOf(newDoc(t, "same", ""))); err != nil || got.Content.Text != "second" {
		t.Errorf("Get = %q, %v, want the second version", got.Content.Text, err)
	}
}
