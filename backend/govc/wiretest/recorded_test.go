package wiretest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/govcd"
)

// reason says why recorded exchanges are none of our service's. docs/wire.md has
// each of these sentences.
type reason struct {
	why          string
	below, paths []string // beginnings: below a repository, and of all
}

// notServed are routes that our service does not have.
var notServed = []reason{
	{"files, history and merges of API v1: in NEW it reads an empty store and loses what is written", []string{
		"/add/", "/commit/", "/read/", "/tree/", "/write/", "/remove/", "/move/", "/diff/", "/show/", "/blame/", "/search/", "/grep/", "/time-travel/",
		"/transaction/", "/merge/", "/watch/", "/parallel-realities/", "/reset/", "/revert/", "/tags/",
	}, nil},
	{"checkout: a request names its branch, and no state of a repository is another client's", []string{"/checkout/"}, nil},
	{"stashes and hooks: nothing was seen to work with them", []string{"/stashes/", "/stash/", "/hooks/"}, nil},
	{"users, roles and keys over HTTP: they are made at the shell of the service", nil, []string{"/api/v1/apikeys", "/api/v1/users", "/api/v1/roles"}},
	{"CSRF tokens: no cookie is taken for a credential, so a page has none to abuse", nil, []string{"/api/v1/auth/csrf-token"}},
	{"login: there are no passwords", nil, []string{"/api/v1/auth/login"}},
	{"dashboard, monitoring, pool and cluster: the console shows them", nil, []string{"/dashboard", "/api/v1/dashboard", "/api/v1/monitoring", "/api/v1/pool", "/api/v1/cluster"}},
}

// notAlike are answers that are otherwise because rights are: whoever is refused
// here, or was there, leaves another state.
var notAlike = []reason{
	{"tokens and keys are made by this service, and of another form", nil, []string{"/api/v1/auth/whoami", "/api/v1/auth/refresh"}},
}

// excused returns why an exchange is not asked of our service, "" if it is.
func excused(x Exchange) string {
	path, _, _ := strings.Cut(x.Path, "?")
	below := "/"
	for _, version := range []string{"/api/v1/repos/", "/api/v2/repos/"} {
		if rest, ok := strings.CutPrefix(path, version); ok {
			_, route, _ := strings.Cut(rest, "/")
			below = "/" + route + "/"
		}
	}
	onlyV1 := strings.HasPrefix(path, "/api/v1/")
	for i, r := range slices.Concat(notServed, notAlike) {
		for _, route := range r.below {
			if strings.HasPrefix(below, route) && (onlyV1 || i > 0) {
				return r.why
			}
		}
		for _, beginning := range r.paths {
			if strings.HasPrefix(path, beginning) {
				return r.why
			}
		}
	}
	return ""
}

// better are single answers that our service gives otherwise on purpose, by line
// of the full record. Only the status is compared, with ours.
var better = func() map[int]int {
	out := map[int]int{}
	for _, d := range []struct {
		why    string
		status int
		lines  []int
	}{
		{"what API v1 wrote is not there", 200, []int{417, 431, 432, 470, 477, 576}},
		{"a branch is made by API v2 only", 404, []int{489, 490, 491, 505}},
		{"an empty repository has no branch yet", 200, []int{413, 492, 1036}},
		{"a credential needs no CSRF token", 201, []int{770, 778, 780, 784, 785, 789, 832, 1288, 1289, 1408}},
		{"... so the repository is there", 409, []int{771, 772, 833}},
		{"... and can be deleted", 200, []int{774, 853}},
		{"... and written to", 404, []int{775}},
		{"... and there are more", 200, []int{786, 794, 796}},
		{"login in a name locks nobody out", 201, []int{876}},
		{"a request has 25 s", 200, []int{1226, 1227, 1228, 1229, 1230, 1231}},
		{"no page of another origin is answered", 404, []int{896}},
	} {
		for _, line := range d.lines {
			out[line] = d.status
		}
	}
	return out
}()

// asConfigured is our service as a configuration was set up when its record
// begins.
func asConfigured(t *testing.T, configuration string) http.Handler {
	t.Helper()
	o := govcd.Options{}
	if configuration == NewFull {
		o.MaxRepos = 10
	}
	s := govcd.New(o)
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if configuration == NewFull {
		for i := range 9 {
			if w := answerOf(s.Handler(), Request{http.MethodPost, "/api/v2/repos", fmt.Sprintf(`{"id":"r%d"}`, i)}); w.Code != http.StatusCreated {
				t.Fatal(w.Code)
			}
		}
	}
	return s.Handler()
}

// TestOurServiceAnswersAsRecorded: all that was recorded of NEW, in each of its
// configurations, is asked of ours and answered alike, but for what docs/wire.md
// says otherwise.
func TestOurServiceAnswersAsRecorded(t *testing.T) {
	for _, configuration := range Configurations() {
		if strings.HasPrefix(configuration, Legacy) || configuration == New {
			continue // ours speaks NEW; the default is compared in package govcd
		}
		t.Run(configuration, func(t *testing.T) {
			record, err := Record(configuration)
			if err != nil {
				t.Fatal(err)
			}
			h := asConfigured(t, configuration)
			renamed := map[string]string{}
			compared := 0
			for _, x := range record {
				if x.Status == 0 || slices.Contains(begunAnew, x.Line) {
					h = asConfigured(t, configuration)
				}
				if x.Status == 0 || excused(x) != "" {
					continue
				}
				compared++
				if status, ok := better[x.Line]; ok {
					if w := answerOf(h, Request{x.Method, x.Path, x.Body}); w.Code != status {
						t.Errorf("line %d: %s %s: %d, want %d", x.Line, x.Method, x.Path, w.Code, status)
					}
					continue
				}
				if err := sameAnswer(h, x, renamed); err != nil {
					t.Errorf("line %d: %s %s %.100s: %v", x.Line, x.Method, x.Path, x.Body, err)
				}
			}
			t.Logf("%d of %d compared", compared, len(record))
		})
	}
}

// begunAnew are the lines at which another server was started.
var begunAnew = []int{1024, 1101, 1154, 1168, 1286, 1387}

// TestWhatIsNotServedIsDocumented, so that nobody has to read this file.
func TestWhatIsNotServedIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	for _, r := range slices.Concat(notServed, notAlike) {
		if !strings.Contains(text, r.why) {
			t.Errorf("docs/wire.md does not say: %s", r.why)
		}
	}
}
