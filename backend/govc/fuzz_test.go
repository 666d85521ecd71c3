package govc_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/store"
)

// direct hands requests to a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r = r.Clone(r.Context()); r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// FuzzAnswers: whatever a service answers once it was taken for a govc, the
// client neither panics nor takes it for done, and bounds what it repeats.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", "{", `{"commits":[{}]}`, `{"commits":null}`, `{"entries":[{"path":"documents/a/2026/01/x/metadata.json","type":"file"}]}`,
		`{"entries":{}}`, `{"content":"x","encoding":"base64"}`, `{"content":"{}"}`, `{"hash":""}`, `{"hash":"x","items":[]}`, `{"hash":"x","items":[{},{}]}`,
		`{"code":"BATCH_FAILED","items":[{"code":"PRECONDITION_FAILED"},{"code":"X"}]}`, `{"code":"FILE_NOT_FOUND"}`, `{"error":1,"code":[]}`,
		`{"folders":[{"path":"x","files":[{"path":"x/y"}]}],"left":["x"]}`, strings.Repeat("[", 10_000),
	} {
		for _, status := range []int{200, 404, 409} {
			f.Add(body, status, uint8(len(body)))
		}
	}
	for _, m := range []interface{ Append(to []byte) []byte }{
		&frame.Made{Commit: frame.Hash{1}, Items: []frame.Done{{Hash: frame.Hash{2}}, {Code: "X"}}}, &frame.Made{Code: "BATCH_FAILED", Items: make([]frame.Done, 2)},
		frame.Folder{Files: []frame.File{{Name: "metadata.json", Data: []byte("{}")}}},
		frame.Folders{Left: []string{"x"}},
	} {
		f.Add(string(m.Append(nil)), 200, uint8(5))
		f.Add(string(m.Append(nil)), 409, uint8(5))
	}
	emulators := []http.Handler{
		wiretest.NewEmulator(wiretest.EmulatorOptions{}), wiretest.NewEmulator(wiretest.EmulatorOptions{Legacy: true}),
	}
	const ours = `{"version":"1","implementation":"caiatop-govcd","capabilities":["batch","delete","folder.read","folders.read","if-match","idempotency-key","log.path","tree.recursive"%s]}`
	f.Fuzz(func(t *testing.T, body string, status int, kind uint8) {
		if status < 200 || status > 599 || status == http.StatusNoContent || status == http.StatusNotModified {
			t.Skip("no answer has this status and a body")
		}
		service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case kind%3 == 2 && r.URL.Path == "/version":
				_, _ = fmt.Fprintf(w, ours, map[bool]string{true: `,"frame","batch.new-folder"`}[kind%2 == 1])
			case strings.Contains(r.URL.Path, "/docs"):
				if kind%2 == 1 {
					w.Header().Set("Content-Type", frame.Type)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			default:
				emulators[kind%3%2].ServeHTTP(w, r)
			}
		})
		c := newClient(t, govc.Options{URL: "http://service", Transport: direct{service}, Retry: govc.RetryOptions{Max: -1}})
		d := newDoc(t, "a", "text")
		errs := []error{second(c.Get(t.Context(), keyOf(d))), second(c.History(t.Context(), keyOf(d), 10)), second(c.RepoExists(t.Context()))}
		if receipt, err := c.Apply(t.Context(), put(d)); err == nil {
			t.Errorf("Apply = %+v of %q", receipt, body)
		} else {
			errs = append(errs, err)
		}
		for _, err := range c.List(t.Context()) {
			errs = append(errs, err)
		}
		errs = append(errs, second(c.Named(t.Context(), []document.Type{d.Source.Type})), second(c.WriteMarker(t.Context(), govc.Marker{Lineage: "l"})))
		_, err := c.Apply(t.Context(), store.Batch{Ops: []store.Op{{Key: keyOf(d)}}})
		for _, err := range append(errs, err) {
			if err != nil && len(err.Error()) > 5000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		}
	})
}
