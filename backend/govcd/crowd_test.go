package govcd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	crowdClients = 64
	// crowdRounds are those of a check; CAIATOP_SOAK_ROUNDS sets more.
	crowdRounds = 2
)

// crowd is what many clients were told of one repository.
type crowd struct {
	t     *testing.T
	h     http.Handler
	repo  string // the beginning of its routes
	mu    sync.Mutex
	acked map[string]made // commits of main, by hash
	bumps int             // of the counter
	turn  sync.Mutex      // of those who use the staging area of all
}

func (c *crowd) ask(method, rest, body string, headers ...string) *httptest.ResponseRecorder {
	return send(c.t, c.h, method, c.repo+rest, body, headers...)
}

func (c *crowd) ack(w *httptest.ResponseRecorder, author string, paths ...string) string {
	c.t.Helper()
	want(c.t, w, 201, `"hash"`)
	hash := decode[commitAnswer](c.t, w).Hash
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, twice := c.acked[hash]; twice {
		c.t.Errorf("%s is a commit of %s and of %s", hash, before.author, author)
	}
	c.acked[hash] = made{author, paths}
	return hash
}

func by(author string, more string) string {
	return fmt.Sprintf(`{"message":"by %s","author":%q,"email":"%s@b.c"%s}`, author, author, author, more)
}

// round is what one client does in one round; kind decides how it writes.
func (c *crowd) round(client, i int) {
	t, author := c.t, fmt.Sprintf("client-%d", client)
	one, two := fmt.Sprintf("d/%d/%d/a", client, i), fmt.Sprintf("d/%d/%d/b", client, i)
	switch client % 6 {
	case 0: // a batch, whose answer was lost: it is sent again
		body := by(author, `,"items":[`+put(one, author)+","+put(two, author)+"]")
		key := fmt.Sprintf("%s-%d", author, i)
		first := c.ask("POST", "/batch", body, headerKey, key)
		hash := c.ack(first, author, one, two)
		again := c.ask("POST", "/batch", body, headerKey, key)
		if decode[batchAnswer](t, again).Hash != hash || again.Header().Get(headerReplayed) != "true" {
			t.Errorf("%s is made twice: %s", hash, again.Body)
		}
	case 1: // an area of its own
		for _, p := range []string{one, two} {
			want(t, c.ask("POST", "/files", fmt.Sprintf(`{"path":%q,"content":%q}`, p, author), headerStage, author), 201, "added")
		}
		want(t, c.ask("GET", "/status", "", headerStage, author), 200, fmt.Sprintf(`"staged":[%q,%q]`, one, two))
		c.ack(c.ask("POST", "/commits", by(author, ""), headerStage, author), author, one, two)
	case 2: // the area of all, one client after the other
		c.turn.Lock()
		want(t, c.ask("POST", "/files", fmt.Sprintf(`{"path":%q,"content":%q}`, one, author)), 201, "added")
		w := c.ask("POST", "/commits", by(author, ""))
		c.turn.Unlock()
		c.ack(w, author, one)
	case 3: // a counter that two must never raise at once
		c.bump(author)
	case 4: // a branch of its own, which is merged
		c.branch(author, one, i)
	default: // it tags, and deletes what it made
		c.ack(c.ask("POST", "/batch", by(author, `,"items":[`+put(one, author)+"]")), author, one)
		tag := fmt.Sprintf("%s-%d", author, i)
		want(t, c.ask("POST", "/tags", `{"name":"`+tag+`"}`), 201, "")
		want(t, c.ask("DELETE", "/tags/"+tag, ""), 200, "")
		c.ack(c.ask("POST", "/batch", by(author, `,"items":[{"op":"delete","path":"`+one+`"}]`)), author, one)
		want(t, c.ask("GET", "/files?path="+one, ""), 404, "FILE_NOT_FOUND")
	}
	for _, rest := range []string{
		"/status", "/tree", "/tree?recursive=true&limit=20", "/commits?limit=5", "/commits?path=d&limit=2", "", "/branches", "/tags",
		"/folder?path=d/" + strconv.Itoa(client), "/search?q=client&limit=3", "/files?path=counter",
	} {
		w := c.ask("GET", rest, "")
		if w.Code != 200 && (w.Code != 404 || !strings.HasPrefix(rest, "/folder")) || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %.200s", rest, w.Code, w.Body)
		}
	}
	want(t, send(t, c.h, "GET", "/health", ""), 200, "healthy")
	want(t, send(t, c.h, "GET", "/metrics", ""), 200, "govc_http_requests_total")
}

// bump raises the counter on condition that nobody did since it was read.
func (c *crowd) bump(author string) {
	for {
		w := c.ask("GET", "/files?path=counter&ref=main", "")
		n, err := strconv.Atoi(decode[fileAnswer](c.t, w).Content)
		if err != nil {
			c.t.Error(err)
			return
		}
		item := fmt.Sprintf(`,"items":[{"op":"put","path":"counter","content":"%d","if_match":%s}]`, n+1, w.Header().Get("Etag"))
		w = c.ask("POST", "/batch", by(author, item))
		if w.Code != http.StatusConflict {
			c.ack(w, author, "counter")
			c.mu.Lock()
			c.bumps++
			c.mu.Unlock()
			return
		}
		want(c.t, w, 409, codePrecondition)
	}
}

// branch commits to a branch and merges that; main may have gone on meanwhile.
func (c *crowd) branch(author, path string, i int) {
	name := fmt.Sprintf("%s-%d", author, i)
	want(c.t, c.ask("POST", "/branches", `{"name":"`+name+`"}`), 201, "")
	w := c.ask("POST", "/batch?branch="+name, by(author, `,"items":[`+put(path, author)+"]"))
	want(c.t, w, 201, "hash")
	side := decode[batchAnswer](c.t, w).Hash
	w = c.ask("POST", "/merge", by(author, `,"from":"`+name+`"`))
	want(c.t, w, 200, "hash")
	merged := decode[struct {
		Hash    string
		Forward bool `json:"fast_forward"`
	}](c.t, w)
	if merged.Forward != (merged.Hash == side) {
		c.t.Errorf("%s is merged as %+v", side, merged)
	}
	c.mu.Lock()
	c.acked[merged.Hash] = made{author, []string{path}}
	c.mu.Unlock()
	want(c.t, c.ask("DELETE", "/branches/"+name, ""), 200, "")
}

// told is a stream of events as somebody reads it who is never slow.
type told struct {
	header http.Header
	mu     sync.Mutex
	text   strings.Builder
	begun  chan struct{}
	once   sync.Once
}

func (l *told) Header() http.Header { return l.header }
func (l *told) WriteHeader(int)     {}
func (l *told) Flush()              {}

func (l *told) Write(p []byte) (int, error) {
	l.once.Do(func() { close(l.begun) })
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// events are those of main that came so far, in their order.
func (l *told) events(t *testing.T) (out []commitEvent) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e commitEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Error(err)
		}
		if e.Branch == "main" {
			out = append(out, e)
		}
	}
	return out
}

// follow reads the events of a repository until the test ends.
func (c *crowd) follow(group *sync.WaitGroup, ctx context.Context) *told {
	l := &told{header: http.Header{}, begun: make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, "GET", c.repo+"/events", nil)
	group.Go(func() { c.h.ServeHTTP(l, r) })
	<-l.begun
	return l
}

// check compares the log of main, its content and the events with what was
// acknowledged.
func (c *crowd) check(events *told) {
	t := c.t
	log := map[string]commitAnswer{}
	for _, entry := range decode[logAnswer](t, c.ask("GET", "/commits?limit=10000", "")).Commits {
		if _, twice := log[entry.Hash]; twice {
			t.Errorf("%s is twice in the log", entry.Hash)
		}
		log[entry.Hash] = entry
	}
	for hash, m := range c.acked {
		entry, ok := log[hash]
		if !ok || entry.Author != m.author || entry.Email != m.author+"@b.c" || !strings.HasPrefix(entry.Message, "by "+m.author) {
			t.Errorf("%s should be by %s, and is %+v", hash, m.author, entry)
			continue
		}
		var paths []string
		for _, f := range decode[diffAnswer](t, c.ask("GET", "/diff?from="+entry.Parent+"&to="+hash, "")).Files {
			paths = append(paths, f.Path)
		}
		if !slices.Equal(paths, m.paths) {
			t.Errorf("%s by %s changed %v, should be %v", hash, m.author, paths, m.paths)
		}
	}
	want(t, c.ask("GET", "/files?path=counter", ""), 200, fmt.Sprintf(`"content":"%d"`, c.bumps))
	tip := decode[logAnswer](t, c.ask("GET", "/commits?limit=1", "")).Commits[0].Hash
	var seen []commitEvent
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) { // until the reader of another goroutine has it
		if seen = events.events(t); len(seen) > 0 && seen[len(seen)-1].Hash == tip || time.Now().After(deadline) {
			break
		}
	}
	for i, e := range seen {
		if i > 0 && e.Parent != seen[i-1].Hash {
			t.Errorf("event %d of %s goes on from %s, not from %s", i, e.Hash, e.Parent, seen[i-1].Hash)
		}
		m, ok := c.acked[e.Hash]
		if !ok || e.Author != m.author || !slices.Equal(e.Paths, m.paths) || e.More {
			t.Errorf("event %+v, acknowledged was %+v", e, m)
		}
		delete(c.acked, e.Hash)
	}
	if len(c.acked) > 0 {
		t.Errorf("%d commits came without an event", len(c.acked))
	}
}

// TestACrowdOnOneRepositoryAndOnMany: 64 clients use all routes at once. Nothing
// that was acknowledged is lost, merged with something else or told of another,
// a condition lets one win, and who listens hears of every step in its order.
func TestACrowdOnOneRepositoryAndOnMany(t *testing.T) {
	rounds := max(soakRounds(t), crowdRounds)
	for _, repos := range []int{1, 8} {
		t.Run(strconv.Itoa(repos), func(t *testing.T) {
			h := newService(t, Options{MaxBytes: 1 << 40}).Handler()
			ctx, cancel := context.WithCancel(t.Context())
			var following, group sync.WaitGroup
			defer following.Wait()
			defer cancel()
			crowds := make([]*crowd, repos)
			listeners := make([]*told, repos)
			for i := range crowds {
				id := fmt.Sprintf("r%d", i)
				c := &crowd{t: t, h: h, repo: "/api/v2/repos/" + id, acked: map[string]made{}}
				want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`), 201, id)
				want(t, c.ask("POST", "/batch", batchOf(put("counter", "0"))), 201, "hash")
				crowds[i], listeners[i] = c, c.follow(&following, ctx)
			}
			for client := range crowdClients {
				group.Go(func() {
					for i := range rounds {
						crowds[(client/6)%repos].round(client, i)
					}
				})
			}
			group.Wait()
			for i, c := range crowds {
				c.check(listeners[i])
			}
		})
	}
}
