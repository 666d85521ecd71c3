package wiretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
)

// Replay answers requests as a recorded configuration did. A request is told
// by method, path, query and body (as JSON where it is JSON). Time goes only
// forward: a write moves to what was recorded after it, and a read is answered
// from the first record of it since; what was asked before and never again
// keeps its last answer. A request that was never recorded gets 501.
type Replay struct {
	mu       sync.Mutex
	record   []Exchange
	at       int // in record
	unknown  []string
	fallback []Exchange
}

// NewStrictReplay returns a replay that answers nothing but what was recorded of
// this very configuration.
func NewStrictReplay(configuration string) (*Replay, error) {
	record, err := Record(configuration)
	if err != nil {
		return nil, err
	}
	return &Replay{record: record}, nil
}

// NewReplay returns a replay of a configuration, at its beginning. What every
// configuration answers alike it answers, too.
func NewReplay(configuration string) (*Replay, error) {
	r, err := NewStrictReplay(configuration)
	if err != nil {
		return nil, err
	}
	all, err := Record(New)
	if err != nil {
		return nil, err
	}
	// Every build and configuration answers these alike.
	for _, e := range all {
		if e.Method == http.MethodGet && (e.Path == "/version" || e.Path == "/health" || e.Path == "/health/live") && e.Status == http.StatusOK {
			r.fallback = append(r.fallback, e)
		}
	}
	return r, nil
}

// MoveTo goes on to the first exchange at or after a line of the full record:
// past what happens with time, and to where another server was started.
func (r *Replay) MoveTo(line int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.at = 0; r.at < len(r.record) && r.record[r.at].Line < line; {
		r.at++
	}
}

// Unknown returns the requests that were never recorded.
func (r *Replay) Unknown() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.unknown...)
}

func (r *Replay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e := r.find(q, string(body))
	switch {
	case e == nil:
		fail(w, http.StatusNotImplemented, "NOT_RECORDED", "%s %s was never recorded", q.Method, q.URL)
	case e.Status == 0: // the connection failed
		panic(http.ErrAbortHandler)
	default:
		for name, value := range e.ResponseHeaders {
			w.Header().Set(name, value)
		}
		w.WriteHeader(e.Status)
		_, _ = io.WriteString(w, e.Response) // a client that is gone reads nothing
	}
}

func (r *Replay) find(q *http.Request, body string) *Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := r.at; i < len(r.record); i++ {
		if !r.record[i].asks(q, body) {
			continue
		}
		r.at = i
		if q.Method != http.MethodGet {
			r.at++
		}
		return &r.record[i]
	}
	for i := r.at - 1; i >= 0 && q.Method == http.MethodGet; i-- {
		if r.record[i].asks(q, body) {
			return &r.record[i]
		}
	}
	for i := range r.fallback {
		if r.fallback[i].asks(q, body) {
			return &r.fallback[i]
		}
	}
	r.unknown = append(r.unknown, fmt.Sprintf("%s %s %.200s", q.Method, q.URL, body))
	return nil
}

// asks reports whether a request is the recorded one.
func (e *Exchange) asks(q *http.Request, body string) bool {
	if e.Method != q.Method {
		return false
	}
	path, query, _ := strings.Cut(e.Path, "?")
	if q.URL.EscapedPath() != path && q.URL.Path != path {
		return false
	}
	want, err := url.ParseQuery(query)
	if err != nil || want.Encode() != q.URL.Query().Encode() {
		return false
	}
	return e.Body == body || sameJSON(e.Body, body)
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// answer writes JSON as a govc does: on one line, with & < > escaped.
func answer(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // only maps and strings are handed in
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewReader(text)) // a client that is gone reads nothing
}

// fail answers with an error.
func fail(w http.ResponseWriter, status int, code, format string, args ...any) {
	answer(w, status, map[string]string{"error": fmt.Sprintf(format, args...), "code": code})
}
