package govc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/govcd"
)

// hostile is a service that answers as a govc until it is asked for the
// repository: then it answers whatever it likes.
type hostile struct {
	inner http.Handler // answers what finds out what it is
	with  func(*http.Request) *http.Response
	taken atomic.Int64 // bytes that were read of its own answers
	asked atomic.Int64
}

func (h *hostile) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, "/docs") {
		return direct{h.inner}.RoundTrip(r)
	}
	h.asked.Add(1)
	if r.Body != nil {
		_, err := io.Copy(io.Discard, r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	w := h.with(r)
	w.Request, w.ProtoMajor, w.ProtoMinor = r, 1, 1
	w.Body = &metered{w.Body, &h.taken}
	return w, nil
}

// metered counts what is read.
type metered struct {
	io.ReadCloser
	n *atomic.Int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.n.Add(int64(n))
	return n, err
}

// endless never ends.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

func answering(status int, kind string, body io.Reader, headers ...string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		w := &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{"Content-Type": {kind}}, ContentLength: -1, Body: io.NopCloser(body)}
		for i := 0; i < len(headers); i += 2 {
			w.Header.Set(headers[i], headers[i+1])
		}
		return w
	}
}

func saying(status int, body string, headers ...string) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		return answering(status, "application/json; charset=utf-8", strings.NewReader(body), headers...)(r)
	}
}

// maxHostile bounds what a client may read of one answer, twice over.
const maxHostile = 160 << 20

// TestAHostileService: whatever it answers, the client takes nothing for done,
// ends in an error that names the service's fault, follows it nowhere and reads
// no more than an answer can have.
func TestAHostileService(t *testing.T) {
	const forty = "0123456789abcdef0123456789abcdef01234567"
	deep := strings.Repeat(`{"a":[`, 10_000)
	answers := map[string]func(*http.Request) *http.Response{
		"200 with HTML":        answering(200, "text/html", strings.NewReader("<html><body>login</body></html>")),
		"201 with nothing":     saying(201, ""),
		"204":                  saying(204, ""),
		"201 with null":        saying(201, "null"),
		"an array":             saying(201, `[{"hash":"`+forty+`"}]`),
		"wrong types":          saying(201, `{"hash":1,"items":{"path":[]},"commits":"x","entries":7,"content":{},"folders":"y"}`),
		"deep JSON":            saying(200, deep),
		"deep and whole":       saying(200, deep+strings.Repeat("]}", 10_000)),
		"invalid UTF-8":        saying(200, "{\"hash\":\"\xff\xfe\",\"content\":\"\xc3\x28\",\"encoding\":\"utf-8\",\"size\":2}"),
		"controls in texts":    saying(500, `{"error":"\u001b[2J\u0007\u202e evil","code":"\u001b]0;x"}`),
		"another hash":         saying(201, `{"hash":"`+forty+`","items":[{"path":"a","hash":"`+forty+`"},{"path":"b","hash":"`+forty+`"}]}`),
		"a hash that is none":  saying(201, `{"hash":"../../etc/passwd","items":[]}`),
		"a commit alone":       saying(201, `{"hash":"`+forty+`"}`),
		"too many items":       saying(201, `{"hash":"`+forty+`","items":[`+strings.Repeat("{},", 10_000)+`{}]}`),
		"base64 that is none":  saying(200, `{"path":"x","content":"!!!","encoding":"base64","size":3}`),
		"an unknown encoding":  saying(200, `{"path":"x","content":"x","encoding":"rot13","size":1}`),
		"a wrong size":         saying(200, `{"path":"x","content":"x","encoding":"utf-8","size":99}`),
		"another path":         saying(200, `{"path":"other","content":"x","encoding":"utf-8","size":1}`),
		"a redirect elsewhere": saying(307, "", "Location", "http://evil.example/api/v2/repos/docs/batch"),
		"a redirect within":    saying(301, "", "Location", "/api/v2/repos/docs/elsewhere"),
		"a script":             saying(302, "", "Location", "javascript:alert(1)"),
		"429 for ever":         saying(429, `{"error":"later","code":"RATE_LIMITED"}`, "Retry-After", "99999999999999999999"),
		"503 for ever":         saying(503, `{"error":"later","code":"OVERLOADED"}`, "Retry-After", "-1"),
		"401":                  saying(401, `{"error":"who","code":"UNAUTHORIZED"}`),
		"100":                  saying(101, ""),
		"999":                  saying(999, `{}`),
	}
	ours, _ := startService(t, govcd.Options{})
	kinds := map[string]http.Handler{
		"ours": ours.Handler(), "NEW": wiretest.NewEmulator(wiretest.EmulatorOptions{}),
		"LEGACY": wiretest.NewEmulator(wiretest.EmulatorOptions{Legacy: true}),
	}
	for kind, inner := range kinds {
		for name, with := range answers {
			t.Run(kind+"/"+name, func(t *testing.T) { suffer(t, &hostile{inner: inner, with: with}, maxHostile) })
		}
	}
	h := &hostile{inner: kinds["NEW"], with: answering(200, "application/json", endless{strings.Repeat(" ", 1<<16)})}
	t.Run("NEW/endless", func(t *testing.T) { sufferOne(t, h) })
}

// suffer asks a service for all there is.
func suffer(t *testing.T, h *hostile, most int64) {
	t.Helper()
	c := newClient(t, govc.Options{URL: "http://service", Transport: h, Retry: govc.RetryOptions{Max: -1}})
	d := newDoc(t, "a", "text")
	if receipt, err := c.Apply(t.Context(), put(d)); err == nil {
		t.Errorf("Apply = %+v", receipt)
	}
	if got, err := c.Get(t.Context(), keyOf(d)); err == nil {
		t.Errorf("Get = %+v", got)
	}
	for _, err := range c.List(t.Context()) {
		_ = err // what can be listed of it is nobody's harm
	}
	errs := []error{
		second(c.History(t.Context(), keyOf(d), 10)), second(c.RepoExists(t.Context())),
		second(c.Named(t.Context(), []document.Type{d.Source.Type})), second(c.WriteMarker(t.Context(), govc.Marker{Lineage: "l"})),
	}
	for _, err := range errs {
		if err != nil && len(err.Error()) > 5000 {
			t.Errorf("an error of %d bytes: %.100q", len(err.Error()), err)
		}
	}
	if n := h.taken.Load(); n > most || h.asked.Load() == 0 || h.asked.Load() > 100 {
		t.Errorf("%d requests, %d bytes were read", h.asked.Load(), n)
	}
}

// sufferOne asks a service whose answers have no end.
func sufferOne(t *testing.T, h *hostile) {
	t.Helper()
	c := newClient(t, govc.Options{URL: "http://service", Transport: h, Retry: govc.RetryOptions{Max: -1}})
	if got, err := c.Get(t.Context(), keyOf(newDoc(t, "a", "text"))); err == nil {
		t.Errorf("Get = %+v", got)
	}
	if n, most := h.taken.Load(), h.asked.Load()*(maxHostile/2+1); n > most || h.asked.Load() == 0 {
		t.Errorf("%d bytes of %d answers were read", n, h.asked.Load())
	}
}

// TestARedirectTakesNoCredentialAlong: not to another host, port or scheme.
func TestARedirectTakesNoCredentialAlong(t *testing.T) {
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", thief.URL+r.URL.Path)
			w.WriteHeader(status)
		})
		c := newClient(t, govc.Options{URL: url, Retry: govc.RetryOptions{Max: -1}})
		if _, err := c.Health(t.Context()); err == nil {
			t.Errorf("%d: Health succeeds", status)
		}
		if _, err := c.Describe(t.Context()); err == nil {
			t.Errorf("%d: Describe succeeds", status)
		}
		if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "text"))); err == nil {
			t.Errorf("%d: Apply succeeds", status)
		}
	}
	if n := stolen.Load(); n > 0 {
		t.Errorf("the client went elsewhere %d times", n)
	}
}

// FuzzHostile is TestAHostileService with any status, header and body.
func FuzzHostile(f *testing.F) {
	for _, body := range []string{"", "{", `{"hash":"x","items":[{}]}`, "<html>", "\xff", `{"error":"\u0000"}`} {
		f.Add(uint16(200), "Location", "//evil.example/", body, uint8(0))
		f.Add(uint16(201), "Content-Encoding", "gzip", body, uint8(1))
		f.Add(uint16(429), "Retry-After", "9223372036854775807", body, uint8(2))
		f.Add(uint16(307), "Location", "http://service/api/v2/repos/docs", body, uint8(0))
		f.Add(uint16(409), "Etag", `"`+body, body, uint8(0))
	}
	ours := govcd.New(govcd.Options{})
	f.Cleanup(func() {
		if err := ours.Stop(context.Background()); err != nil {
			f.Error(err)
		}
	})
	kinds := []http.Handler{ours.Handler(), wiretest.NewEmulator(wiretest.EmulatorOptions{}), wiretest.NewEmulator(wiretest.EmulatorOptions{Legacy: true})}
	f.Fuzz(func(t *testing.T, status uint16, name, value, body string, kind uint8) {
		if status < 200 || status > 599 || status == http.StatusNoContent || status == http.StatusNotModified {
			t.Skip("no answer has this status and a body")
		}
		suffer(t, &hostile{inner: kinds[int(kind)%len(kinds)], with: saying(int(status), body, name, value)}, maxHostile)
	})
}
