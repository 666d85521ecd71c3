package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func writeCases() []testCase {
	return []testCase{
		{"put", testPut},
		{"put again", testPutAgain},
		{"batch", testBatch},
		{"get/missing", testMissing},
		{"get/other folder", testOtherFolder},
		{"overwrite", testOverwrite},
		{"overwrite/raw removed", testRawRemoved},
		{"delete", testDelete},
		{"delete/absent", testDeleteAbsent},
		{"delete/put again", testDeletePutAgain},
		{"invalid batch", testInvalidBatch},
		{"cancelled", testCancelled},
		{"no aliasing", testNoAliasing},
	}
}

func testPut(s *suite) {
	d := newDoc(s, "report-42", "one\ntwo\n")
	s.put(d)
	s.wantHeld(d)
}

// testPutAgain: the replay of a batch that the store has already leaves no
// trace, not even a commit.
func testPutAgain(s *suite) {
	d := newDoc(s, "twice", "same")
	s.put(d)
	if receipt := s.put(d); receipt.Commit != "" {
		s.Errorf("putting what is there made the commit %q", receipt.Commit)
	}
	s.wantHeld(d)
}

func testBatch(s *suite) {
	var docs []document.Document
	for i := range 25 {
		docs = append(docs, newDoc(s, fmt.Sprintf("batch-%02d", i), fmt.Sprintf("text %d", i)))
	}
	s.put(docs[:20]...)
	s.wantHeld(docs[:20]...)
	s.wantAbsent(docs[20:]...)

	// One batch of every kind: create, change, delete.
	changed := edited(docs[1], "changed")
	created := docs[20]
	s.apply(s.op(created), s.op(changed), store.Op{Key: s.op(docs[0]).Key})
	s.wantAbsent(docs[0])
	s.wantHeld(changed, created, docs[2], docs[19])

	if receipt := s.apply(); receipt.Commit != "" {
		s.Errorf("an empty batch made the commit %q", receipt.Commit)
	}
}

func testMissing(s *suite) {
	s.wantAbsent(newDoc(s, "nobody", ""))
	s.put(newDoc(s, "somebody", "here"))
	s.wantAbsent(newDoc(s, "nobody", ""), newDoc(s, "somebody-else", ""), newDoc(s, "some", ""))
}

// testOtherFolder: a key is identity and folder together, because a foreign
// repository may hold one identity in two places.
func testOtherFolder(s *suite) {
	d := newDoc(s, "placed", "here")
	s.put(d)
	s.wantMissing(s.store, store.NewKey(document.LayoutLibrary, d))
	s.wantHeld(d)
}

func testOverwrite(s *suite) {
	d := newDoc(s, "growing", "first")
	other := newDoc(s, "other", "untouched")
	s.put(d, other)
	for _, text := range []string{"second, longer than the first", "3", "", "first"} {
		d = edited(d, text)
		d.Content.Metadata["length"] = len(text)
		d.Source.URL = "https://example.invalid/" + text
		s.put(d)
		s.wantHeld(d, other)
	}
}

func testRawRemoved(s *suite) {
	d := newDoc(s, "scan", "text of the scan")
	d.Content.Raw = []byte{0x89, 'P', 'N', 'G', 0, 0xff}
	s.put(d)
	s.wantHeld(d)
	d = edited(d, "text only")
	d.Content.Raw = nil
	s.put(d)
	s.wantHeld(d)
	d = edited(d, "and back")
	d.Content.Raw = []byte("raw again")
	s.put(d)
	s.wantHeld(d)
}

func testDelete(s *suite) {
	gone, stays := newDoc(s, "gone", "a"), newDoc(s, "gone-not", "b")
	gone.Content.Raw = []byte{1, 2, 3}
	s.put(gone, stays)
	s.remove(gone)
	s.wantAbsent(gone)
	s.wantHeld(stays)
	s.remove(stays)
	s.wantAbsent(gone, stays)
}

func testDeleteAbsent(s *suite) {
	stays := newDoc(s, "stays", "a")
	absent := newDoc(s, "never-was", "b")
	if receipt := s.remove(absent); receipt.Commit != "" {
		s.Errorf("deleting from an empty store made the commit %q", receipt.Commit)
	}
	s.put(stays)
	if receipt := s.remove(absent); receipt.Commit != "" {
		s.Errorf("deleting what is absent made the commit %q", receipt.Commit)
	}
	s.apply(store.Op{Key: s.op(absent).Key}, s.op(edited(stays, "changed beside it")))
	s.wantHeld(edited(stays, "changed beside it"))
	s.wantAbsent(absent)
}

func testDeletePutAgain(s *suite) {
	d := newDoc(s, "phoenix", "first life")
	d.Content.Raw = []byte("ashes")
	s.put(d)
	s.remove(d)
	s.remove(d)
	s.wantAbsent(d)
	d.Content.Raw = nil
	s.put(d)
	s.wantHeld(d)
	s.remove(d)
	s.wantAbsent(d)
}

func testInvalidBatch(s *suite) {
	kept := newDoc(s, "kept", "before")
	s.put(kept)
	good := s.op(newDoc(s, "good", "never to be seen"))
	change := s.op(edited(kept, "after"))
	a, b := newDoc(s, "a", "a"), newDoc(s, "b", "b")
	mismatch := s.op(a)
	mismatch.Doc = &b
	noType := a.Clone()
	noType.Source.Type = document.Type{}
	typeless := s.op(a)
	typeless.Doc = &noType
	unencodable := s.op(a)
	notJSON := a.Clone()
	notJSON.Content.Metadata = map[string]any{"channel": make(chan int)}
	unencodable.Doc = &notJSON
	for name, bad := range map[string][]store.Op{
		"twice the same":      {good, change, s.op(a), s.op(edited(a, "later"))},
		"put and delete":      {good, change, s.op(a), {Key: s.op(a).Key}},
		"another's key":       {good, change, mismatch},
		"no id":               {good, change, {Key: store.Key{Folder: good.Key.Folder}}},
		"no folder":           {good, change, {Key: store.Key{ID: a.ID}}},
		"document without id": {good, change, {Key: s.op(a).Key, Doc: &document.Document{}}},
		"no type":             {good, change, typeless},
		"metadata not JSON":   {good, change, unencodable},
	} {
		if _, err := s.store.Apply(s.Context(), s.batch(bad...)); !errors.Is(err, document.ErrInvalid) {
			s.Errorf("%s: Apply returned %v, want document.ErrInvalid", name, err)
		}
		s.wantHeld(kept)
		s.wantAbsent(*good.Doc, a, b)
	}
}

func testCancelled(s *suite) {
	kept, fresh := newDoc(s, "kept", "before"), newDoc(s, "fresh", "never")
	s.put(kept)
	for name, ops := range map[string][]store.Op{
		"create": {s.op(fresh)},
		"change": {s.op(edited(kept, "after"))},
		"delete": {{Key: s.op(kept).Key}},
	} {
		_, err := s.store.Apply(cancelled(s.Context()), s.batch(ops...))
		if !errors.Is(err, context.Canceled) {
			s.Errorf("%s: Apply returned %v, want context.Canceled", name, err)
		}
		s.wantHeld(kept)
		s.wantAbsent(fresh)
	}
	s.put(fresh)
	s.wantHeld(kept, fresh)
}

// testNoAliasing: what a caller does to a document after putting or getting it
// stays with the caller.
func testNoAliasing(s *suite) {
	d := newDoc(s, "shared", "text")
	d.Content.Raw = []byte("raw bytes")
	want := d.Clone()
	s.put(d)
	d.Content.Raw[0] = 'X'
	d.Content.Metadata["title"] = "changed by the writer"
	s.wantHeld(want)
	got, err := s.store.Get(s.Context(), s.op(want).Key)
	if err != nil {
		s.Fatalf("Get: %v", err)
	}
	got.Content.Raw[0] = 'Y'
	got.Content.Metadata["title"] = "changed by the reader"
	s.wantHeld(want)
}
