package govc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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

// forms counts in which forms a service of ours is asked and answers. While plain
// is set it is one from before frames.
type forms struct {
	http.Handler
	url   string
	plain bool // to be set while nobody asks

	mu    sync.Mutex
	sent  map[string]int // by content type, of batches
	told  map[string]int // by content type, of folders and batches
	tries []string       // keys of batches
}

func startForms(t testing.TB, plain bool) *forms {
	t.Helper()
	s, _ := startService(t, govcd.Options{})
	f := &forms{Handler: s.Handler(), plain: plain, sent: map[string]int{}, told: map[string]int{}}
	f.url = serve(t, f.serve)
	return f
}

func (f *forms) serve(w http.ResponseWriter, r *http.Request) {
	switch last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; {
	case last == "version" && f.plain:
		told := httptest.NewRecorder()
		f.Handler.ServeHTTP(told, r)
		_, _ = io.WriteString(w, strings.Replace(told.Body.String(), `,"`+govcd.CapFrame+`"`, "", 1))
		return
	case last == "batch":
		f.mu.Lock()
		f.sent[r.Header.Get("Content-Type")]++
		f.tries = append(f.tries, r.Header.Get("Idempotency-Key"))
		f.mu.Unlock()
		if f.plain && frame.Is(r.Header.Get("Content-Type")) {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			_, _ = io.WriteString(w, `{"error":"Content type not allowed","code":"UNSUPPORTED_CONTENT_TYPE"}`)
			return
		}
		fallthrough
	case last == "folder", last == "folders":
		if f.plain {
			r.Header.Set("Accept", "application/json")
		}
		f.Handler.ServeHTTP(w, r)
		f.mu.Lock()
		f.told[w.Header().Get("Content-Type")]++
		f.mu.Unlock()
		return
	}
	f.Handler.ServeHTTP(w, r)
}

const jsonType = "application/json; charset=utf-8"

// TestFramesAreUsedWhereTheyAreOffered: and nowhere else.
func TestFramesAreUsedWhereTheyAreOffered(t *testing.T) {
	for _, plain := range []bool{false, true} {
		s := startForms(t, plain)
		c := openClient(t, govc.Options{URL: s.url})
		var docs []document.Document
		for i := range 3 {
			d := newDoc(t, fmt.Sprint("d", i), "text \"quoted\"\n")
			d.Content.Raw = []byte{0xff, byte(i)}
			docs = append(docs, d)
		}
		if _, err := c.Apply(t.Context(), put(docs...)); err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			got, err := c.Get(t.Context(), keyOf(d))
			if err != nil || got.Content.Text != d.Content.Text || !bytes.Equal(got.Content.Raw, d.Content.Raw) {
				t.Errorf("%+v, %v", got, err)
			}
		}
		// Another client knows nothing of them, and looks at all in one request.
		other := newClient(t, govc.Options{URL: s.url})
		for i := range docs {
			docs[i].Content.Text = "changed"
		}
		if receipt, err := other.Apply(t.Context(), put(docs...)); err != nil || receipt.Commit == "" {
			t.Fatal(receipt, err)
		}
		if receipt, err := other.Apply(t.Context(), put(docs...)); err != nil || receipt.Commit != "" {
			t.Errorf("what is there already was written: %+v, %v", receipt, err)
		}
		wanted := map[bool][2]string{false: {frame.Type, frame.Type}, true: {"application/json", jsonType}}[plain]
		// A folder that is not there is an error, and so JSON.
		delete(s.told, jsonType)
		if s.sent[wanted[0]] == 0 || len(s.sent) != 1 || (!plain && (s.told[frame.Type] == 0 || len(s.told) != 1)) || (plain && len(s.told) != 0) {
			t.Errorf("plain %v: sent %v, told %v", plain, s.sent, s.told)
		}
	}
}

// TestConformanceOfOursBeforeFrames: services of ours that have no frames are used
// as they were.
func TestConformanceOfOursBeforeFrames(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openClient(t, govc.Options{URL: startForms(t, true).url}) })
}

// TestAServiceThatTakesNoFramesAnyMore: where an older service takes the place of
// the one that was described, a batch is sent once more as JSON, under its key, and
// a folder is read as what it is.
func TestAServiceThatTakesNoFramesAnyMore(t *testing.T) {
	s := startForms(t, false)
	c := openClient(t, govc.Options{URL: s.url})
	d := newDoc(t, "a", "one")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	s.plain = true
	s.tries = nil
	d.Content.Text = "two"
	if receipt, err := c.Apply(t.Context(), put(d)); err != nil || receipt.Commit == "" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if len(s.tries) != 2 || s.tries[0] != s.tries[1] || s.sent["application/json"] != 1 {
		t.Errorf("tries %q, sent %v", s.tries, s.sent)
	}
	if got, err := c.Get(t.Context(), keyOf(d)); err != nil || got.Content.Text != "two" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestBrokenFrames: an answer that says it is a frame and is none is no document,
// and no proof that a batch was made.
func TestBrokenFrames(t *testing.T) {
	for _, body := range []string{"", "{}", "CF\x01", "CF\x02f", "CF\x01f" + strings.Repeat("\x00", 20) + "\x7f", "CF\x01B" + strings.Repeat("\x00", 43) + "\x00"} {
		s, _ := startService(t, govcd.Options{})
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/folder") || strings.HasSuffix(r.URL.Path, "/batch") {
				w.Header().Set("Content-Type", frame.Type)
				_, _ = io.WriteString(w, body)
				return
			}
			s.Handler().ServeHTTP(w, r)
		})
		c := openClient(t, govc.Options{URL: url, Retry: govc.RetryOptions{Max: -1}})
		d := newDoc(t, "a", "one")
		if _, err := c.Get(t.Context(), keyOf(d)); !errors.As(err, new(*govc.NotGovcError)) {
			t.Errorf("%q: Get: %v", body, err)
		}
		_, err := c.Apply(t.Context(), put(d))
		if !errors.Is(err, store.ErrAmbiguous) && !errors.As(err, new(*govc.NotGovcError)) {
			t.Errorf("%q: Apply: %v", body, err)
		}
	}
}
