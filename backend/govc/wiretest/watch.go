package wiretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Watch looks at every request of one client before a handler gets it, and
// writes down what no client may ever ask of a service that is not known to
// bear it.
type Watch struct {
	next  http.Handler
	agent string

	mu      sync.Mutex
	broken  []string
	asked   []string
	writing map[string]int    // writes under way, by repository
	spoken  map[string]string // by repository: "v1" or "v2"
	open    map[string]bool   // by repository: something is staged
}

// NewWatch puts a watch before a handler; only requests with that User-Agent
// are looked at.
func NewWatch(next http.Handler, agent string) *Watch {
	return &Watch{next: next, agent: agent, writing: map[string]int{}, spoken: map[string]string{}, open: map[string]bool{}}
}

// Broken returns the rules that were broken, each with the request.
func (w *Watch) Broken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.broken)
}

// Asked returns all requests so far: "GET /path?query".
func (w *Watch) Asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

func (w *Watch) ServeHTTP(out http.ResponseWriter, q *http.Request) {
	if q.UserAgent() != w.agent {
		w.next.ServeHTTP(out, q)
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	repo := w.enter(q, body)
	defer w.leave(q, repo)
	w.next.ServeHTTP(out, q)
}

func (w *Watch) enter(q *http.Request, body []byte) (repo string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, q.Method+" "+q.URL.RequestURI())
	rule := func(broken bool, format string, args ...any) {
		if broken {
			w.broken = append(w.broken, fmt.Sprintf(format, args...)+": "+q.Method+" "+q.URL.RequestURI())
		}
	}
	rule(q.Method == http.MethodHead || q.Method == http.MethodOptions, "the method is not served")
	rule(len(q.URL.RawQuery) > maxQuery, "the query has %d bytes", len(q.URL.RawQuery))
	rule(len(body) > maxBody, "the body has %d bytes", len(body))
	rule(q.URL.Query().Has("ref"), "a read at a ref can lose files")

	version, rest, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/api/"), "/repos")
	repo, route, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if rest == q.URL.Path || !strings.HasPrefix(q.URL.Path, "/api/") || repo == "no-such-repo" {
		return ""
	}
	anyOpen := false
	for _, open := range w.open {
		anyOpen = anyOpen || open
	}
	if repo == "" {
		rule(q.Method == http.MethodGet && anyOpen, "repositories are listed beside a writer")
		return ""
	}
	rule(route == "" && q.Method == http.MethodGet, "a repository is asked for, which can end the service")
	rule(route == "status", "a status is asked for, which can end the service")
	rule(route == "checkout" || route == "merge", "it loses files")
	rule(w.spoken[repo] != "" && w.spoken[repo] != version, "v1 and v2 are mixed")
	w.spoken[repo] = version
	if q.Method == http.MethodGet {
		return ""
	}
	w.writing[repo]++
	rule(w.writing[repo] > 1, "two writes of one repository at once")
	w.open[repo] = true
	w.checkWrite(rule, version, route, q, body)
	return repo
}

func (w *Watch) checkWrite(rule func(bool, string, ...any), version, route string, q *http.Request, body []byte) {
	rule(version == "v2" && q.Method == http.MethodDelete && route == "files", "v2 does not delete, and the next commit has an empty tree")
	var in struct{ Path, Content, Message, Author, Email *string }
	if q.Method == http.MethodDelete {
		return
	}
	if err := json.Unmarshal(body, &in); err != nil {
		rule(true, "the body is not JSON")
		return
	}
	missing := func(s *string) bool { return s == nil || *s == "" }
	switch route {
	case "commit", "commits":
		rule(missing(in.Author) || missing(in.Email), "author or email is missing")
		rule(missing(in.Message) || badMessage.MatchString(*in.Message), "the message is not ASCII")
		rule(!missing(in.Author) && strings.ContainsAny(*in.Author, "<>\n\r"), "the author ends the log")
		rule(!missing(in.Email) && strings.ContainsAny(*in.Email, "<>\n\r"), "the email ends the log")
	case "files", "add":
		rule(missing(in.Content), "the content is empty")
		rule(!missing(in.Content) && strings.ContainsRune(*in.Content, 0), "the content is binary")
		rule(missing(in.Path) || badPath(*in.Path) != "" || strings.Contains(*in.Path, "//"), "the path is not in order")
	}
}

func (w *Watch) leave(q *http.Request, repo string) {
	if repo == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing[repo]--
	if strings.HasSuffix(q.URL.Path, "/commit") || strings.HasSuffix(q.URL.Path, "/commits") {
		w.open[repo] = false
	}
}
