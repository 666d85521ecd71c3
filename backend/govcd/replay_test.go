package govcd

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

// exchange is one recorded request to a running govc and its answer.
type exchange struct {
	Line            int               `json:"line"` // of the full record
	Run             string            `json:"run"`  // exchanges of one run follow each other on one server
	Method          string            `json:"method"`
	Path            string            `json:"path"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	BodyBase64      string            `json:"body_base64"`
	Status          int               `json:"status"`
	ResponseHeaders map[string]string `json:"response_headers"`
	Response        string            `json:"response"`
}

// different lists where this service answers something else on purpose, by
// line of the record. Of these only the status is compared, with ours.
var different = func() map[int]int {
	out := map[int]int{}
	for _, d := range []struct {
		why    string
		status int
		lines  []int
	}{
		{"tree?recursive=true lists files", 200, []int{75}},
		{"a path that a git tree cannot hold is refused", 400, []int{83, 89, 90, 91, 106, 107, 161, 164}},
		{"... and so is never found", 404, []int{117, 119, 121, 123, 146, 147, 162, 163, 165}},
		{"a file cannot have the name of a folder", 400, []int{101}},
		{"... so there is none", 404, []int{132}},
		{"a delete deletes and says what", 200, []int{171}},
		{"... so the file is gone", 404, []int{173}},
		{"a delete needs a path", 400, []int{174, 176}},
		{"a commit's tree holds all files, so none is untracked", 200, []int{178, 179, 235, 268, 1297, 1300}},
		{"... and none is lost", 200, []int{240, 241}},
		{"move is not served, so nothing was moved", 200, []int{183, 187, 191}},
		{"... nothing is there", 404, []int{185}},
		{"... nothing was staged", 400, []int{186}},
		{"PUT checks paths as POST does", 400, []int{198, 199, 200}},
		{"... so the tree has fewer entries", 200, []int{201}},
		{"branches are not served: the current one is main", 200, []int{263}},
		{"the log knows offset=, since= and path=", 200, []int{346, 350, 352}},
		{"... and branch=", 404, []int{351}},
		{"content may be empty", 201, []int{77, 202}},
		{"... so the file is there", 200, []int{116}},
		{"content may be base64", 200, []int{144}},
		{"metrics have a second name", 200, []int{11}},
		{"a read knows ref=", 404, []int{158}},
	} {
		for _, line := range d.lines {
			out[line] = d.status
		}
	}
	return out
}()

func readRecord(t *testing.T) map[string][]exchange {
	t.Helper()
	f, err := os.Open("testdata/replay.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	runs := map[string][]exchange{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e exchange
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		runs[e.Run] = append(runs[e.Run], e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return runs
}

// TestReplay sends what was sent to a running govc and compares the answers:
// status, error code and text, the shape of everything else.
func TestReplay(t *testing.T) {
	for run, exchanges := range readRecord(t) {
		t.Run(run, func(t *testing.T) {
			o := Options{}
			if run == "max" {
				o.MaxRepos = 10
			}
			s := New(o)
			if run == "max" { // the record begins with nine repositories
				for i := range 9 {
					if _, err := s.create(t.Context(), fmt.Sprintf("r%d", i)); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Cleanup(func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
			for _, e := range exchanges {
				if err := replay(s.Handler(), e); err != nil {
					t.Errorf("line %d: %s %s %.80s: %v", e.Line, e.Method, e.Path, e.Body, err)
				}
			}
		})
	}
}

func replay(h http.Handler, e exchange) error {
	body := e.Body
	if e.BodyBase64 != "" {
		raw, err := base64.StdEncoding.DecodeString(e.BodyBase64)
		if err != nil {
			return err
		}
		body = string(raw)
	}
	r := httptest.NewRequest(e.Method, e.Path, strings.NewReader(body))
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	want, improved := e.Status, false
	if status, ok := different[e.Line]; ok {
		want, improved = status, true
	}
	if w.Code != want {
		return fmt.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
	}
	if improved {
		if e.Status == want && compareBodies(e, w.Body.String()) == nil {
			return errors.New("listed as different, but it is not")
		}
		return nil
	}
	if got, want := w.Header().Get("Location"), e.ResponseHeaders["Location"]; got != want {
		return fmt.Errorf("location %q, want %q", got, want)
	}
	if got, want := w.Header().Get("Content-Type"), e.ResponseHeaders["Content-Type"]; got != want {
		return fmt.Errorf("content type %q, want %q", got, want)
	}
	if e.Method == http.MethodHead {
		return nil
	}
	return compareBodies(e, w.Body.String())
}

func compareBodies(e exchange, got string) error {
	if !strings.HasPrefix(e.Response, "{") {
		if got != e.Response {
			return fmt.Errorf("body %q, want %q", got, e.Response)
		}
		return nil
	}
	var wantBody, gotBody any
	if err := json.Unmarshal([]byte(e.Response), &wantBody); err != nil {
		return fmt.Errorf("the record: %w", err)
	}
	if err := json.Unmarshal([]byte(got), &gotBody); err != nil {
		return fmt.Errorf("body %q: %w", got, err)
	}
	return compareValues("", gotBody, wantBody)
}

// exact are the fields whose value is part of the wire; of others only the
// kind is.
var exact = []string{
	"error", "code", "status", "content", "encoding", "size", "message", "author", "email", "total", "count",
	"clean", "branch", "staged", "current_branch", "id", "name", "type", "mode", "modified",
}

// added are the fields that this service has and govc has not.
var added = []string{"implementation", "capabilities", "embedded", "durable", "hash"}

func compareValues(at string, got, want any) error {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want an object", at, got)
		}
		for name, value := range want {
			if err := compareValues(at+"."+name, have[name], value); err != nil {
				return err
			}
		}
		for name := range have {
			if _, ok := want[name]; !ok && !slices.Contains(added, name) {
				return fmt.Errorf("%s.%s is not in the record", at, name)
			}
		}
		return nil
	case []any:
		have, ok := got.([]any)
		if !ok || (len(have) == 0) != (len(want) == 0) {
			return fmt.Errorf("%s is %v, want %v", at, got, want)
		}
		if len(have) == 0 || strings.HasSuffix(at, ".repositories") || strings.HasSuffix(at, ".entries") {
			return nil
		}
		return compareValues(at+"[0]", have[0], want[0])
	}
	field := at[strings.LastIndexByte(at, '.')+1:]
	if slices.Contains(exact, field) && got != want {
		return fmt.Errorf("%s is %v, want %v", at, got, want)
	}
	if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) {
		return fmt.Errorf("%s is %T, want %T", at, got, want)
	}
	return nil
}
