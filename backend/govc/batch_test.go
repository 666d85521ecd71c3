package govc_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/backend/store/storetest"
)

// batching is a service of ours whose requests are seen before it gets them.
type batching struct {
	*govcd.Service
	url string

	narrow bool // a folder is too large to be read at once

	mu    sync.Mutex
	asked []string // "POST batch"
	keys  []string
}

// before, if not nil, is called for each batch; it returns true if it has
// answered.
func startBatching(t *testing.T, before func(s *batching, w http.ResponseWriter, r *http.Request) bool) *batching {
	t.Helper()
	s := &batching{Service: govcd.New(govcd.Options{})}
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	s.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/v2/repos/docs/") {
			s.Handler().ServeHTTP(w, r)
			return
		}
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		batch := strings.HasSuffix(r.URL.Path, "/batch")
		if batch {
			s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
		}
		s.mu.Unlock()
		if s.narrow && strings.HasSuffix(r.URL.Path, "/folder") {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, `{"error":"the folder is too large","code":"FOLDER_TOO_LARGE"}`)
			return
		}
		if batch && before != nil && before(s, w, r) {
			return
		}
		s.Handler().ServeHTTP(w, r)
	})
	return s
}

func (s *batching) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// overwrite is somebody else's write, in one commit.
func (s *batching) overwrite(t *testing.T, path, content string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"message": "theirs", "author": "B", "email": "b@c.d", "items": []any{map[string]string{"op": "put", "path": path, "content": content}}})
	if err != nil {
		t.Error(err)
		return
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v2/repos/docs/batch", bytes.NewReader(body)))
	if w.Code != http.StatusCreated {
		t.Errorf("overwrite: %s", w.Body)
	}
}

func (s *batching) commits(t *testing.T) int {
	t.Helper()
	return int(asked(t, http.MethodGet, s.url+"/api/v2/repos/docs/commits?limit=1000", "")["total"].(float64))
}

// TestBatchIsOneRequest: documents are looked at and written by one request
// each, and what the service answers is the read-back.
func TestBatchIsOneRequest(t *testing.T) {
	s := startBatching(t, nil)
	c := openClient(t, govc.Options{URL: s.url})
	var docs []document.Document
	for i := range 20 {
		d := newDoc(t, fmt.Sprint("d", i), "text")
		d.Content.Raw = []byte{byte(i), 0}
		docs = append(docs, d)
	}
	s.seen()
	receipt, err := c.Apply(t.Context(), put(docs...))
	if want := []string{"POST folders", "POST batch"}; err != nil || receipt.Commit == "" || !slices.Equal(s.seen(), want) {
		t.Errorf("Apply = %v, %v", receipt, err)
	}
	for i := range docs {
		docs[i].Content = document.Content{Text: "no raw any more"}
	}
	b := put(docs[:10]...)
	for _, d := range docs[10:] {
		b.Ops = append(b.Ops, store.Op{Key: keyOf(d)})
	}
	if _, err := c.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if n := s.commits(t); n != 2 {
		t.Errorf("%d commits, want 2", n)
	}
	tree := asked(t, http.MethodGet, s.url+"/api/v2/repos/docs/tree?recursive=true&view=committed", "")
	if n := len(tree["entries"].([]any)); n < 20 || strings.Contains(fmt.Sprint(tree), "/raw") {
		t.Errorf("the tree holds %v", tree)
	}
	if receipt, err := c.Apply(t.Context(), b); err != nil || receipt.Commit != "" {
		t.Errorf("Apply again = %v, %v", receipt, err)
	}
}

// TestBatchOfALostAnswer: a batch whose answer is lost is sent again and done
// once.
func TestBatchOfALostAnswer(t *testing.T) {
	lost := false
	s := startBatching(t, func(s *batching, w http.ResponseWriter, r *http.Request) bool {
		if lost {
			return false
		}
		lost = true
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
		hangUp(t, w)
		return true
	})
	c := openClient(t, govc.Options{URL: s.url, Retry: noWait})
	d := newDoc(t, "a", "text")
	receipt, err := c.Apply(t.Context(), put(d))
	if err != nil || receipt.Commit == "" || s.commits(t) != 1 {
		t.Errorf("Apply = %v, %v", receipt, err)
	}
	if len(s.keys) != 2 || s.keys[0] != s.keys[1] || s.keys[0] == "" {
		t.Errorf("the keys were %q", s.keys)
	}
	// The same operations later are another request.
	for _, b := range []store.Batch{remove(d), put(d), remove(d), put(d)} {
		if receipt, err := c.Apply(t.Context(), b); err != nil || receipt.Commit == "" {
			t.Fatalf("Apply = %v, %v", receipt, err)
		}
	}
	if _, err := c.Get(t.Context(), keyOf(d)); err != nil {
		t.Errorf("Get: %v", err)
	}
}

// TestBatchOfAServiceThatIsGone: a batch that cannot be told to have been done
// is ambiguous, one that was never sent is not.
func TestBatchOfAServiceThatIsGone(t *testing.T) {
	s := startBatching(t, func(_ *batching, w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		hangUp(t, w)
		return true
	})
	c := openClient(t, govc.Options{URL: s.url, Retry: noWait})
	if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "text"))); !errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Apply: %v, want ErrAmbiguous", err)
	}
}

// TestBatchLeavesAForeignVersionAlone: what somebody else wrote after it was
// looked at is not overwritten; the other documents of the batch are written.
func TestBatchLeavesAForeignVersionAlone(t *testing.T) {
	mine, other, gone := newDoc(t, "mine", "ours"), newDoc(t, "other", "ours"), newDoc(t, "gone", "x")
	theirs := ""
	s := startBatching(t, func(s *batching, _ http.ResponseWriter, _ *http.Request) bool {
		if theirs != "" {
			if theirs != "agreed" {
				theirs += "!" // something else each time, so that it always comes between look and write
			}
			s.overwrite(t, keyOf(mine).Folder.String()+"/content.txt", theirs)
			s.overwrite(t, keyOf(gone).Folder.String()+"/content.txt", theirs)
		}
		return false
	})
	c := openClient(t, govc.Options{URL: s.url})
	if _, err := c.Apply(t.Context(), put(mine, other, gone)); err != nil {
		t.Fatal(err)
	}
	edited, also := newDoc(t, "mine", "ours, edited"), newDoc(t, "other", "edited")
	theirs = "theirs"
	b := put(edited, also)
	b.Ops = append(b.Ops, store.Op{Key: keyOf(gone)})
	receipt, err := c.Apply(t.Context(), b)
	if !errors.Is(err, store.ErrConflict) || receipt.Commit == "" {
		t.Errorf("Apply = %v, %v, want ErrConflict", receipt, err)
	}
	for d, want := range map[*document.Document]string{&edited: theirs, &also: "edited", &gone: theirs} {
		if got, err := c.Get(t.Context(), keyOf(*d)); err != nil || got.Content.Text != want {
			t.Errorf("Get(%q) = %q, %v, want %q", d.ID, got.Content.Text, err, want)
		}
	}
	theirs = ""
	// All of a batch left out: no commit, and still a conflict.
	if receipt, err := c.Apply(t.Context(), put(newDoc(t, "mine", "once more"))); err != nil || receipt.Commit == "" {
		t.Errorf("Apply over the same foreign version = %v, %v", receipt, err)
	}
	theirs = "theirs again"
	if receipt, err := c.Apply(t.Context(), put(newDoc(t, "mine", "and once more"))); !errors.Is(err, store.ErrConflict) || receipt.Commit != "" {
		t.Errorf("Apply = %v, %v, want ErrConflict and no commit", receipt, err)
	}
	// Whoever was faster wrote the same: that is what was wanted.
	theirs = "agreed"
	if _, err := c.Apply(t.Context(), put(newDoc(t, "mine", "agreed"))); err != nil {
		t.Errorf("Apply of what somebody else wrote meanwhile: %v", err)
	}
}

// TestBatchOverFilesThatWereNotSeen: a folder too large to be read at once is
// read by the names that metadata.json records; what else lies there is no
// reason to take it for somebody else's change.
func TestBatchOverFilesThatWereNotSeen(t *testing.T) {
	s := startBatching(t, nil)
	c := openClient(t, govc.Options{URL: s.url})
	d := newDoc(t, "a", "text")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	s.overwrite(t, keyOf(d).Folder.String()+"/raw", "left over")
	s.narrow = true
	d.Content.Raw = []byte("new")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Errorf("Apply: %v", err)
	}
	s.overwrite(t, keyOf(d).Folder.String()+"/text.txt", "left over")
	if _, err := c.Apply(t.Context(), remove(d)); err != nil {
		t.Errorf("the delete: %v", err)
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if tree := asked(t, http.MethodGet, s.url+"/api/v2/repos/docs/tree?recursive=true&view=committed", ""); tree["total"] != 0.0 {
		t.Errorf("something is left: %v", tree)
	}
}

// TestBatchRefusal: what the service refuses for good is a refusal of that
// document; the others are written.
func TestBatchRefusal(t *testing.T) {
	s := startBatching(t, nil)
	c := openClient(t, govc.Options{URL: s.url})
	blocked, good := newDoc(t, "blocked", "x"), newDoc(t, "good", "x")
	s.overwrite(t, keyOf(blocked).Folder.String(), "a file where the folder goes")
	var refused *govc.RefusedError
	if _, err := c.Apply(t.Context(), put(blocked, good)); !errors.As(err, &refused) || refused.Code != "INVALID_FILE_PATH" {
		t.Errorf("Apply: %v", err)
	}
	if _, err := c.Get(t.Context(), keyOf(good)); err != nil {
		t.Errorf("the other document: %v", err)
	}
}

// TestBatchStoredSomethingElse: the hashes that are answered are compared, in
// either form.
func TestBatchStoredSomethingElse(t *testing.T) {
	tampered := func(told *httptest.ResponseRecorder) ([]byte, error) {
		if frame.Is(told.Header().Get("Content-Type")) {
			made, err := frame.ReadMade(told.Body.Bytes())
			made.Items[1].Hash = frame.Hash{1}
			return made.Append(nil), err
		}
		var made map[string]any
		err := json.Unmarshal(told.Body.Bytes(), &made)
		made["items"].([]any)[1].(map[string]any)["hash"] = strings.Repeat("0", 40)
		body, encoding := json.Marshal(made)
		return body, errors.Join(err, encoding)
	}
	for _, form := range []string{frame.Type, "application/json"} {
		s := startBatching(t, func(s *batching, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Content-Type") != form {
				w.WriteHeader(http.StatusUnsupportedMediaType)
				_, _ = io.WriteString(w, `{"error":"not that","code":"UNSUPPORTED_CONTENT_TYPE"}`)
				return true
			}
			told := httptest.NewRecorder()
			s.Handler().ServeHTTP(told, r)
			body, err := tampered(told)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", told.Header().Get("Content-Type"))
			w.WriteHeader(told.Code)
			_, _ = w.Write(body)
			return true
		})
		c := openClient(t, govc.Options{URL: s.url})
		if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "x"))); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: Apply: %v, want ErrConflict", form, err)
		}
	}
}

// TestBatchTooLarge: a body over the limit is compressed; what is too large for
// that, or has too many files, is staged and committed. At each limit, and one
// past it.
func TestBatchTooLarge(t *testing.T) {
	var sent, unpacked int // of the last batch
	var gzipped bool
	s := startBatching(t, func(_ *batching, _ http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		r.Body, sent, unpacked = io.NopCloser(bytes.NewReader(body)), len(body), len(body)
		if gzipped = r.Header.Get("Content-Encoding") == "gzip"; gzipped {
			var in *gzip.Reader
			if in, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(in)
				unpacked = len(body)
			}
		}
		if err != nil {
			t.Error(err)
		}
		return false
	})
	if items, body, unpacked := govc.UsualBatch(); items != govcd.MaxBatch || body != govcd.MaxBody || unpacked != govcd.MaxUnpacked {
		t.Errorf("the limits are %d, %d, %d, the service has others", items, body, unpacked)
	}
	c := openClient(t, govc.Options{URL: s.url})
	n := 0
	apply := func(text string) (staged bool) {
		t.Helper()
		s.seen()
		n++
		if _, err := c.Apply(t.Context(), put(newDoc(t, fmt.Sprintf("d%02d", n), text))); err != nil {
			t.Errorf("Apply: %v", err)
		}
		asked := s.seen()
		if slices.Contains(asked, "POST commits") == slices.Contains(asked, "POST batch") {
			t.Errorf("it asked %v", asked)
		}
		return slices.Contains(asked, "POST commits")
	}
	text := strings.Repeat("x", 20_000)
	if apply(text) || gzipped {
		t.Error("a small body is compressed or staged")
	}
	size := sent
	for _, limit := range []struct {
		items, body, unpacked int
		gzipped, staged       bool
	}{
		{2, size, size, false, false},
		{1, size, size, false, true},
		{2, size - 1, size, true, false},
		{2, size - 1, size - 1, false, true},
		{2, 100, size, false, true}, // it does not become that small
	} {
		c.LimitBatches(limit.items, limit.body, limit.unpacked)
		gzipped, unpacked = false, 0
		if staged := apply(text); staged != limit.staged || gzipped != limit.gzipped || (gzipped && (unpacked != size || sent >= size)) {
			t.Errorf("%+v of %d bytes: staged %v, compressed %v from %d to %d", limit, size, staged, gzipped, unpacked, sent)
		}
	}
}

// TestConformanceWithoutBatch: a service of ours from before batches.
func TestConformanceWithoutBatch(t *testing.T) {
	const covered = "the suite of the newer service covers it"
	storetest.Run(t, func(t *testing.T) store.Store {
		return openClient(t, govc.Options{URL: between(t, func(http.ResponseWriter, *http.Request) bool { return false })})
	}, storetest.Except("content", covered), storetest.Except("readers/document", covered))
}
