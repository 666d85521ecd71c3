package wiretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Request is what is asked. The zero value is not asked at all.
type Request struct{ Method, Path, Body string }

// Shape is what an answer has to be: one of some statuses, a code where it is
// an error, fields that are there, fields that have a value.
type Shape struct {
	Status []int
	Code   string
	Fields []string
	Is     map[string]any
}

// Case is one exchange of the suite, in each dialect that has it.
type Case struct {
	Name   string
	V1, V2 Request
	Want   Shape
}

// Difference is a case that a service answers otherwise on purpose.
type Difference struct {
	Case string
	Why  string
	Want Shape
}

// Run makes the exchanges of a suite one after the other, beginning with an
// empty service that speaks v1 (legacy) or v2, and compares the answers. A
// difference that is none is an error too.
func Run(t *testing.T, h http.Handler, legacy bool, differences ...Difference) {
	t.Helper()
	if asked, recorded := run(t, h, legacy, differences); asked != recorded {
		t.Errorf("of %d exchanges %d were never recorded", asked, asked-recorded)
	}
}

// RunRecorded is Run for a replay in which not every exchange of the suite was
// recorded. It returns how many were.
func RunRecorded(t *testing.T, h http.Handler, legacy bool, differences ...Difference) (recorded int) {
	t.Helper()
	_, recorded = run(t, h, legacy, differences)
	return recorded
}

func run(t *testing.T, h http.Handler, legacy bool, differences []Difference) (asked, recorded int) {
	t.Helper()
	for _, d := range differences {
		if !slices.ContainsFunc(Suite(), func(c Case) bool { return c.Name == d.Case }) {
			t.Errorf("there is no case %q", d.Case)
		}
	}
	for _, c := range Suite() {
		q := c.V2
		if legacy {
			q = c.V1
		}
		if q.Method == "" {
			continue
		}
		asked++
		w := answerOf(h, q)
		if w.Code == http.StatusNotImplemented {
			continue
		}
		recorded++
		err := compare(w, q, c.Want)
		if i := slices.IndexFunc(differences, func(d Difference) bool { return d.Case == c.Name }); i >= 0 {
			if err == nil {
				t.Errorf("%s: listed as different, but it is not", c.Name)
			}
			err = compare(w, q, differences[i].Want)
		}
		if err != nil {
			t.Errorf("%s: %s %s %.80s: %v", c.Name, q.Method, q.Path, q.Body, err)
		}
	}
	return asked, recorded
}

// answerOf asks. Where the connection fails the status is 0.
func answerOf(h http.Handler, q Request) (w *httptest.ResponseRecorder) {
	r := httptest.NewRequest(q.Method, q.Path, strings.NewReader(q.Body))
	if q.Body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w = httptest.NewRecorder()
	defer func() {
		if cause := recover(); cause == http.ErrAbortHandler { //nolint:errorlint // what net/http itself compares
			w.Code = 0
		} else if cause != nil {
			panic(cause)
		}
	}()
	h.ServeHTTP(w, r)
	return w
}

func compare(w *httptest.ResponseRecorder, q Request, want Shape) error {
	if !slices.Contains(want.Status, w.Code) {
		return fmt.Errorf("status %d, want %v: %.300s", w.Code, want.Status, w.Body)
	}
	var got map[string]any
	if q.Method == http.MethodHead || w.Code == 0 {
		return nil
	}
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&got); err != nil {
		return fmt.Errorf("the answer is no JSON object: %w", err)
	}
	if got["code"] != nil && got["code"] != want.Code || got["code"] == nil && want.Code != "" {
		return fmt.Errorf("code %v, want %q", got["code"], want.Code)
	}
	fields := want.Fields
	if want.Code != "" {
		fields = append([]string{"error"}, fields...)
	}
	for _, name := range fields {
		if !slices.ContainsFunc(strings.Split(name, "|"), func(one string) bool { _, ok := got[one]; return ok }) {
			return fmt.Errorf("the field %s is missing: %v", name, got)
		}
	}
	for name, value := range want.Is {
		if got[name] != value {
			return fmt.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	return nil
}
