package wiretest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestRecordedServicesSatisfyTheSuite: what the suite demands is what running
// services answered.
func TestRecordedServicesSatisfyTheSuite(t *testing.T) {
	for _, configuration := range []string{New, Legacy} {
		t.Run(configuration, func(t *testing.T) {
			r, err := NewReplay(configuration)
			if err != nil {
				t.Fatal(err)
			}
			Run(t, r, configuration == Legacy)
			if unknown := r.Unknown(); len(unknown) > 0 {
				t.Errorf("the suite asks what was never recorded: %q", unknown)
			}
		})
	}
}

func TestEmulatorsSatisfyTheSuite(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		t.Run(fmt.Sprint("legacy ", legacy), func(t *testing.T) {
			Run(t, NewEmulator(EmulatorOptions{Legacy: legacy}), legacy)
		})
	}
}

// ours is what our service does better than NEW.
func ours() []Difference {
	return []Difference{
		{"empty content", "content may be empty (content.empty)", made("status")},
	}
}

// notImitated are the routes of the record that no emulator has.
var notImitated = []string{"/branches", "/tags", "/stashes", "/hooks", "/diff", "/show", "/search", "/grep", "/blame", "/time-travel", "/transaction", "/pool", "/auth"}

// TestEmulatorsAnswerAsRecorded sends the whole record of a configuration to
// the emulator of its dialect and compares the answers.
func TestEmulatorsAnswerAsRecorded(t *testing.T) {
	for _, configuration := range []string{New, NewExplicit, NewRestart, Legacy} {
		t.Run(configuration, func(t *testing.T) {
			e := NewEmulator(EmulatorOptions{Legacy: configuration == Legacy})
			record, err := Record(configuration)
			if err != nil {
				t.Fatal(err)
			}
			renamed := map[string]string{} // recorded hash to ours
			compared := 0
			for _, x := range record {
				if slices.ContainsFunc(notImitated, func(s string) bool { return strings.Contains(x.Path, s) }) {
					continue
				}
				if x.Status == 0 || startsAnew(x.Line) {
					e.Restart()
				}
				if x.Status == 0 {
					continue
				}
				if slices.Contains(oddities, x.Line) {
					continue
				}
				compared++
				if err := sameAnswer(e, x, renamed); err != nil {
					t.Errorf("line %d: %s %s %.100s: %v", x.Line, x.Method, x.Path, x.Body, err)
				}
			}
			t.Logf("%d answers compared", compared)
		})
	}
}

// oddities are answers that nothing here depends on: a status that shows a
// path with a NUL in it as untracked, a file that was only written, a checkout.
var oddities = []int{644, 645, 646, 653, 998}

// startsAnew are the lines of the record at which another server was started.
func startsAnew(line int) bool {
	return slices.Contains([]int{1, 580, 901, 1117, 1133, 1290, 1329, 1409}, line)
}

func sameAnswer(h http.Handler, x Exchange, renamed map[string]string) error {
	path := x.Path
	for recorded, ours := range renamed {
		path = strings.ReplaceAll(path, recorded, ours)
	}
	r := httptest.NewRequest(x.Method, path, strings.NewReader(x.Body))
	for name, value := range x.Headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != x.Status {
		return fmt.Errorf("status %d, want %d: %.200s", w.Code, x.Status, w.Body)
	}
	var got, want map[string]any
	if json.Unmarshal([]byte(x.Response), &want) != nil {
		return nil
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		return fmt.Errorf("%q: %w", w.Body, err)
	}
	if hash, made := want["hash"].(string); made {
		renamed[hash] = got["hash"].(string)
	}
	for _, name := range []string{"code", "content", "encoding", "size", "total", "count", "clean", "author", "email", "id", "staged", "untracked"} {
		a, b := got[name], want[name]
		if list, ok := a.([]any); ok {
			a = len(list)
		}
		if list, ok := b.([]any); ok {
			b = len(list)
		}
		if !reflect.DeepEqual(a, b) {
			return fmt.Errorf("%s is %v, want %v", name, got[name], want[name])
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok && name != "data" && name != "details" && name != "parent" && !strings.HasPrefix(x.Path, "/health") {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}
