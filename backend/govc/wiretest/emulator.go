package wiretest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody   = 10 << 20
	maxQuery  = 2048
	maxPath   = 4096
	maxHeader = 8 << 10
)

// EmulatorOptions configure an Emulator. The zero value is NEW.
type EmulatorOptions struct {
	Legacy bool // speaks v1, with v2 as a store of its own
	// Idle empties a repository of LEGACY that nobody asked for so long,
	// without a word; 0 never does.
	Idle time.Duration
	// Fragile ends the service, as real ones do, when NEW is asked for a
	// status or about repositories while something is staged.
	Fragile bool
	Now     func() time.Time // nil is time.Now
}

// Emulator is a govc in memory that behaves as real ones were observed to.
type Emulator struct {
	o EmulatorOptions

	mu     sync.Mutex
	repos  map[string]*repository
	second map[string]*repository // what v2 of LEGACY holds
	logins int
	dead   string // why it ended
}

// NewEmulator returns an empty one.
func NewEmulator(o EmulatorOptions) *Emulator {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Emulator{o: o, repos: map[string]*repository{}, second: map[string]*repository{}}
}

// Dead says which request ended the service; "" while it lives.
func (e *Emulator) Dead() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dead
}

// Restart forgets everything, as a service with everything in memory does.
func (e *Emulator) Restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.repos, e.second, e.dead, e.logins = map[string]*repository{}, map[string]*repository{}, "", 0
}

// call is a request as the routes see it.
type call struct {
	w    http.ResponseWriter
	q    *http.Request
	body []byte
	// rest is the part of the path after the repository's name.
	rest string
}

func (e *Emulator) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, maxBody+1))
	if err != nil {
		fail(w, http.StatusBadRequest, "INVALID_REQUEST", "%v", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead != "" {
		panic(http.ErrAbortHandler)
	}
	c := call{w: w, q: q, body: body}
	if e.refused(c) {
		return
	}
	switch at := q.Method + " " + q.URL.Path; {
	case at == "GET /version":
		answer(w, http.StatusOK, map[string]string{"build_time": "development", "git_commit": "unknown", "go_version": "go1.26.8", "version": "1.0.0-dev"})
	case at == "GET /health/live":
		answer(w, http.StatusOK, map[string]any{"status": "alive", "timestamp": e.o.Now()})
	case at == "GET /health/ready":
		answer(w, http.StatusOK, map[string]any{"status": "ready", "checks": map[string]any{}, "timestamp": e.o.Now()})
	case at == "GET /health":
		healthy := map[string]string{"status": "healthy"}
		answer(w, http.StatusOK, map[string]any{
			"status": "healthy", "timestamp": e.o.Now(), "version": "1.0.0-dev", "uptime": "1s",
			"checks": map[string]any{"memory": healthy, "repositories": healthy, "storage": healthy}, "system": map[string]any{},
		})
	case q.URL.Path == "/api/v1/repos/" || q.URL.Path == "/api/v2/repos/":
		w.Header().Set("Location", strings.TrimSuffix(q.URL.Path, "/"))
		w.WriteHeader(map[bool]int{true: http.StatusMovedPermanently, false: http.StatusTemporaryRedirect}[q.Method == http.MethodGet])
	case strings.HasPrefix(q.URL.Path, "/api/v1/repos"):
		e.route(c, "/api/v1/repos", e.repos, e.o.Legacy)
	case strings.HasPrefix(q.URL.Path, "/api/v2/repos") && e.o.Legacy:
		e.route(c, "/api/v2/repos", e.second, false)
	case strings.HasPrefix(q.URL.Path, "/api/v2/repos"):
		e.route(c, "/api/v2/repos", e.repos, false)
	default:
		c.unknown()
	}
}

// refused answers what is refused before any route is looked at.
func (e *Emulator) refused(c call) bool {
	headers := 0
	for name, values := range c.q.Header {
		headers += len(name) + len(strings.Join(values, ""))
	}
	kind, _, _ := strings.Cut(c.q.Header.Get("Content-Type"), ";")
	writes := c.q.Method == http.MethodPost || c.q.Method == http.MethodPut
	switch {
	case len(c.q.URL.RawQuery) > maxQuery:
		fail(c.w, http.StatusRequestEntityTooLarge, "QUERY_TOO_LONG", "Query string too long")
	case len(c.q.URL.Path) > maxPath:
		fail(c.w, http.StatusRequestEntityTooLarge, "PATH_TOO_LONG", "Request path too long")
	case headers > maxHeader:
		fail(c.w, http.StatusRequestHeaderFieldsTooLarge, "HEADERS_TOO_LARGE", "Request headers too large")
	case len(c.body) > maxBody:
		fail(c.w, http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "Request body too large")
	case writes && kind != "" && kind != "application/json" && kind != "text/plain" && kind != "application/octet-stream":
		fail(c.w, http.StatusUnsupportedMediaType, "UNSUPPORTED_CONTENT_TYPE", "Content type '%s' not allowed", kind)
	case c.q.Method == http.MethodPost && strings.Contains(c.q.URL.Path, "/login"):
		if e.logins++; e.logins <= 5 {
			return false
		}
		fail(c.w, http.StatusTooManyRequests, "LOGIN_LOCKOUT", "Too many login attempts.")
	default:
		return false
	}
	return true
}

func (c call) unknown() {
	fail(c.w, http.StatusNotFound, "ENDPOINT_NOT_FOUND", "endpoint not found: %s %s", c.q.Method, c.q.URL.Path)
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// route answers for the repositories of one store.
func (e *Emulator) route(c call, root string, repos map[string]*repository, legacy bool) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c.q.URL.Path, root), "/"), "/")
	c.rest = rest
	switch {
	case name == "" && c.q.Method == http.MethodPost:
		e.create(c, root)
		return
	case name == "" && c.q.Method == http.MethodGet:
		e.mayDie(c, nil)
		all := []any{}
		for _, r := range e.repos {
			all = append(all, r.shown())
		}
		answer(c.w, http.StatusOK, map[string]any{"count": len(all), "repositories": all})
		return
	case name == "":
		c.unknown()
		return
	}
	limit := 0
	if c.q.Method == http.MethodGet && (rest == "log" || rest == "commits") && !legacy {
		var ok bool
		if limit, ok = c.limit(20); !ok { // NEW checks it before the repository
			return
		}
	}
	r := repos[name]
	switch {
	case r == nil && e.repos[name] != nil && e.repos[name].v1Only:
		fail(c.w, http.StatusNotFound, "REPO_NOT_FOUND", "cannot reload memory repository: %s", name)
		return
	case r == nil:
		fail(c.w, http.StatusNotFound, "REPO_NOT_FOUND", "repository not found: %s", name)
		return
	}
	now := e.o.Now()
	if legacy && e.o.Idle > 0 && now.Sub(r.asked) > e.o.Idle {
		r.forget()
	}
	r.asked = now
	switch {
	case rest == "" && c.q.Method == http.MethodGet:
		e.mayDie(c, r)
		answer(c.w, http.StatusOK, r.shown())
	case rest == "" && c.q.Method == http.MethodDelete:
		delete(e.repos, name)
		delete(e.second, name)
		answer(c.w, http.StatusOK, map[string]string{"status": map[bool]string{true: "deleted"}[legacy], "message": "repository " + name + " deleted"})
	case legacy:
		e.legacy(c, r)
	case strings.HasPrefix(root, "/api/v1"):
		e.newV1(c, r, limit)
	default:
		e.newV2(c, r, limit)
	}
}

func (e *Emulator) create(c call, root string) {
	var in struct {
		ID string `json:"id"`
	}
	if !c.decode(&in) {
		return
	}
	switch {
	case in.ID == "":
		c.required("CreateRepoRequest", "ID")
	case !validID.MatchString(in.ID) || in.ID == "metrics":
		fail(c.w, http.StatusBadRequest, "INVALID_REPO_ID", "validation error on field 'repo_id': '%s'", in.ID)
	case e.repos[in.ID] != nil:
		fail(c.w, http.StatusConflict, "REPO_EXISTS", "repository %s already exists", in.ID)
	default:
		r := newRepository(in.ID, e.o.Now())
		r.v1Only = e.o.Legacy && root == "/api/v1/repos"
		e.repos[in.ID] = r
		if e.o.Legacy && !r.v1Only {
			e.second[in.ID] = newRepository(in.ID, e.o.Now())
		}
		answer(c.w, http.StatusCreated, r.shown())
	}
}

// mayDie ends a fragile NEW that is asked what it cannot bear beside a writer.
func (e *Emulator) mayDie(c call, r *repository) {
	busy := r != nil && len(r.staged) > 0
	for _, other := range e.repos {
		busy = busy || (r == nil && len(other.staged) > 0)
	}
	if e.o.Fragile && !e.o.Legacy && busy {
		e.dead = c.q.Method + " " + c.q.URL.Path
		panic(http.ErrAbortHandler)
	}
}

// decode reads the first JSON value of the body, and answers if there is none.
func (c call) decode(into any) bool {
	err := json.NewDecoder(strings.NewReader(string(c.body))).Decode(into)
	if errors.Is(err, io.EOF) {
		err = errors.New("EOF")
	}
	if err != nil {
		fail(c.w, http.StatusBadRequest, "INVALID_REQUEST", "%v", err)
	}
	return err == nil
}

func (c call) required(kind, field string) {
	fail(c.w, http.StatusBadRequest, "INVALID_REQUEST", "Key: '%s.%s' Error:Field validation for '%s' failed on the 'required' tag", kind, field, field)
}

// limit reads the query's limit, and answers if it is none.
func (c call) limit(usual int) (int, bool) {
	text := c.q.URL.Query().Get("limit")
	if text == "" {
		return usual, true
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		fail(c.w, http.StatusBadRequest, "INVALID_LIMIT", "invalid limit parameter: %s", text)
	case n <= 0:
		fail(c.w, http.StatusBadRequest, "INVALID_LIMIT", "limit must be positive: %d", n)
	default:
		return n, true
	}
	return 0, false
}

// file answers a read.
func (c call) file(path, content, encoding string, size int) {
	answer(c.w, http.StatusOK, map[string]any{"path": path, "content": content, "encoding": encoding, "size": size})
}

func done(format string, args ...any) map[string]string {
	return map[string]string{"status": "", "message": fmt.Sprintf(format, args...)}
}
