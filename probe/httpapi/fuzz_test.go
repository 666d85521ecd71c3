package httpapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

const fuzzToken = "fuzz-token-0123456789"

// fuzzed is an engine behind both kinds of doors.
type fuzzed struct {
	engine *httpapitest.Engine
	doors  []http.Handler // the Unix socket's, and TCP's with a token
}

func newFuzzed(f *testing.F) *fuzzed {
	e := &httpapitest.Engine{}
	if _, err := e.Put(f.Context(), []httpapi.Document{{ID: "a", Type: "t", Text: "one"}}); err != nil {
		f.Fatal(err)
	}
	server := httpapi.NewServer(e, nil)
	edge, err := server.EdgeHandler(httpapi.TCPOptions{Token: fuzzToken})
	if err != nil {
		f.Fatal(err)
	}
	return &fuzzed{e, []http.Handler{server.Handler(), edge}}
}

// ask sends one request through each door and judges the replies.
func (f *fuzzed) ask(t *testing.T, method, target string, header http.Header, body []byte) {
	address, err := url.Parse("http://localhost" + target)
	if err != nil {
		return // no client can send it
	}
	for _, door := range f.doors {
		r := &http.Request{
			Method: method, URL: address, Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: header.Clone(), Body: http.NoBody,
		}
		if len(body) > 0 {
			r = httptest.NewRequest(method, "http://localhost/", bytes.NewReader(body))
			r.URL, r.Header = address, header.Clone()
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r.WithContext(t.Context()))
		if err := httpapitest.CheckReply(method, w.Code, w.Header(), w.Body.Bytes()); err != nil {
			t.Fatalf("%s %s %v %q: %v", method, target, header, body, err)
		}
	}
	for id, d := range f.engine.All() {
		if id == "" || d.ID != id || d.Type == "" || !utf8.ValidString(id) || !utf8.ValidString(d.Type) {
			t.Fatalf("stored: %q %+v", id, d)
		}
	}
}

func plainHeader() http.Header {
	return http.Header{"Authorization": {"Bearer " + fuzzToken}, "Content-Type": {"application/json"}}
}

func endpoint(n byte) httpapitest.Endpoint {
	return httpapitest.Endpoints[int(n)%len(httpapitest.Endpoints)]
}

func target(e httpapitest.Endpoint, value string) string {
	if strings.Contains(e.Path, "%s") {
		return fmt.Sprintf(e.Path, url.PathEscape(value))
	}
	return e.Path
}

func each(f *testing.F, add func(n byte)) {
	for n := range httpapitest.Endpoints {
		add(byte(n))
	}
}

func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		`{"documents":[{"id":"b","type":"t","text":"x"}]}`, `{"ids":["a"]}`, `{"id":"b","type":"t","text_base64":"AA=="}`, `null`, `[`,
		`{"documents":[null]}`, `{"documents":[{"id":"\u0000","type":"\ud800"}]}`, "\xff", `{"ids":[1]}`, `{"documents":{}}`, `{"type":"t"}`,
	} {
		each(f, func(n byte) { f.Add(n, []byte(body)) })
	}
	door := newFuzzed(f)
	f.Fuzz(func(t *testing.T, n byte, body []byte) {
		e := endpoint(n)
		door.ask(t, e.Method, target(e, "b"), plainHeader(), body)
	})
}

func FuzzPaths(f *testing.F) {
	for _, value := range []string{"a", "", ".", "..", "a/b", "%", "%2F", "\x00", "\xff", "a\nb", "~", "é", strings.Repeat("x", 5000), "a;b", "{id}"} {
		each(f, func(n byte) { f.Add(n, value, false) })
		f.Add(byte(0), "/"+value, true)
		f.Add(byte(0), "/api/v1/documents/"+value+"/history", true)
	}
	door := newFuzzed(f)
	f.Fuzz(func(t *testing.T, n byte, value string, whole bool) {
		e := endpoint(n)
		path := target(e, value)
		if whole {
			path = value
		}
		if strings.HasPrefix(path, "/") {
			door.ask(t, e.Method, path, plainHeader(), []byte(`{"type":"t"}`))
		}
	})
}

func FuzzQueries(f *testing.F) {
	for _, query := range []string{
		"limit=1", "limit=-1", "limit=99999999999999999999", "offset=1&offset=x", "q=%zz", "contains=%00", "since=18446744073709551615",
		"since=-1", "adopt=yes", "a;b", "type=\xff", "=", "limit=1e3",
	} {
		each(f, func(n byte) { f.Add(n, query) })
	}
	door := newFuzzed(f)
	f.Fuzz(func(t *testing.T, n byte, query string) {
		e := endpoint(n)
		if !strings.Contains(query, "#") {
			door.ask(t, e.Method, target(e, "a")+"?"+query, plainHeader(), []byte(`{"type":"t","documents":[{"id":"c","type":"t"}],"ids":["c"]}`))
		}
	})
}

func FuzzHeaders(f *testing.F) {
	for name, values := range map[string][]string{
		"If-Match": {`"x"`, `*`, `W/"x"`, `""`, `"a", "b"`, `x`, `,`, `"`}, "If-None-Match": {`*`, `"x"`, `W/"x"`, `x`},
		"Authorization": {"", "Bearer", "Bearer x", "Basic x", "bearer " + fuzzToken, "Bearer  " + fuzzToken}, "Origin": {"null", "http://localhost", "http://evil.example"},
		"Content-Type": {"", "text/plain", "application/json; charset=latin1", "application/json;;"}, "Content-Encoding": {"gzip", "identity"},
		"Accept": {"application/json", "text/plain;q=0", "\xff"}, "Expect": {"100-continue"}, "Accept-Encoding": {"gzip"},
	} {
		for _, value := range values {
			each(f, func(n byte) { f.Add(n, name, value) })
		}
	}
	door := newFuzzed(f)
	f.Fuzz(func(t *testing.T, n byte, name, value string) {
		e := endpoint(n)
		header := plainHeader()
		header.Set(name, value)
		door.ask(t, e.Method, target(e, "a"), header, []byte(`{"type":"t","documents":[{"id":"c","type":"t"}],"ids":["c"]}`))
	})
}
