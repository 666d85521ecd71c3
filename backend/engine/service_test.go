package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe"
)

// The tests TestGovcService... run against any govc service, named by
// GOVC_SERVICE_URL. They assume no more than every govc can do: no delete, no
// listing, nothing that survives a restart, and one writer at a time. Each
// works in a repository of its own, which it drops at the end.

const (
	// servicePatience bounds every wait for the service.
	servicePatience = 60 * time.Second
	// maxRepository bounds the name of a repository at a govc service.
	maxRepository = 64
	remoteAllowed = "CAIATOP_TEST_REMOTE"
)

// target is the service under test.
type target struct {
	url        string
	repository string
	token, key string
	budget     time.Duration // 0 is the engine's own
}

func TestGovcServiceIntegration(t *testing.T) { integration(t, serviceUnderTest(t)) }

func TestGovcServicePerformance(t *testing.T) {
	s := serviceUnderTest(t)
	if !isLoopback(s.url) && os.Getenv(remoteAllowed) != "1" {
		t.Skipf("%s is another machine, and load can end a plain govc: set %s=1 to measure it all the same", s.url, remoteAllowed)
	}
	performance(t, s, 100)
}

func TestGovcServiceFailover(t *testing.T) { failover(t, serviceUnderTest(t)) }

// stories are what the tests tell, in a size for every day.
var stories = map[string]func(*testing.T, target){
	"integration": integration,
	"performance": func(t *testing.T, s target) { performance(t, s, 10) },
	"failover":    failover,
}

// TestTheServiceTestsHoldAtTheOwnService runs the same stories where no service
// is named, so that they are never wrong unnoticed.
func TestTheServiceTestsHoldAtTheOwnService(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			service := govcd.New(govcd.Options{Key: "key"})
			address, err := service.Start("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := service.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			})
			story(t, target{url: address, key: "key", repository: ownRepository("")})
		})
	}
}

// serviceUnderTest reads the service from the environment, and skips the test
// if none is named.
func serviceUnderTest(t *testing.T) target {
	t.Helper()
	if os.Getenv("GOVC_SERVICE_URL") == "" {
		t.Skip("set GOVC_SERVICE_URL to the address of a govc service, such as that of: caiatop server --port 8080 --memory-mode")
	}
	cfg, err := config.Load(config.Input{Env: func(name string) (string, bool) {
		if name == "CAIATOP_STATE_DIR" {
			return t.TempDir(), true
		}
		if !strings.HasPrefix(name, "GOVC_") {
			return "", false
		}
		return os.LookupEnv(name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := target{url: cfg.Govc.URL, token: cfg.Govc.Token.Reveal(), key: cfg.Govc.APIKey.Reveal(), repository: ownRepository(os.Getenv("GOVC_REPO_NAME"))}
	if cfg.Govc.TimeoutSet {
		s.budget = cfg.Govc.Timeout
	}
	t.Logf("service %s, repository %s", s.url, s.repository)
	return s
}

// ownRepository is a name that nobody uses, beginning with prefix.
func ownRepository(prefix string) string {
	if prefix == "" {
		prefix = "caiatop-test"
	}
	unique := "-" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "-" + strconv.FormatUint(rand.Uint64()>>32, 36)
	return prefix[:min(len(prefix), maxRepository-len(unique))] + unique
}

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// start runs an engine on a folder of its own.
func (s target) start(t *testing.T) *engine.Host {
	t.Helper()
	h, err := engine.Start(t.Context(), engine.Setup{
		Dir: t.TempDir(), URL: s.url, Repository: s.repository, Token: s.token, APIKey: s.key, Budget: s.budget,
		Phase: engine.PhaseDual, Version: "test", Strict: true, Author: store.Author{Name: "caiatop", Email: "caiatop@example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), servicePatience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// client is a reader of the service that knows nothing of the engine.
func (s target) client(t *testing.T) *govc.Client {
	t.Helper()
	c, err := govc.New(govc.Options{URL: s.url, Repo: s.repository, Token: govc.Secret(s.token), APIKey: govc.Secret(s.key)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dropAtEnd removes the repository when everything else of the test is closed;
// called before anything is started. A service that refuses keeps it.
func (s target) dropAtEnd(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.url+"/api/v2/repos/"+s.repository, nil)
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("X-API-Key", s.key)
		if s.token != "" {
			r.Header.Set("Authorization", "Bearer "+s.token)
		}
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Logf("the repository %s stays at the service: %v", s.repository, err)
			return
		}
		defer answer.Body.Close() //nolint:errcheck // nothing of it is read
		if answer.StatusCode != http.StatusOK {
			t.Logf("the repository %s stays at the service: it answers %s", s.repository, answer.Status)
		}
	})
}

// await returns the first snapshot for which ok holds.
func await(t *testing.T, h *engine.Host, what string, ok func(*engine.Stats) bool) {
	t.Helper()
	feed := h.Subscribe()
	defer feed.Close()
	timeout := time.NewTimer(servicePatience)
	defer timeout.Stop()
	for !ok(h.Stats()) {
		select {
		case <-feed.C:
		case <-timeout.C:
			s := h.Stats()
			t.Fatalf("%s did not happen: state %s (%s), %d pending, stores %+v, last events %+v",
				what, s.State, s.Reason, s.Outbox.Pending, s.Stores, s.Events[:min(len(s.Events), 5)])
		}
	}
}

func healthy(s *engine.Stats) bool { return s.State == engine.StatePrimary && inStep(s) }

func inStep(s *engine.Stats) bool {
	for _, r := range s.Stores {
		if r.Unknown || r.Lag != 0 {
			return false
		}
	}
	return s.Outbox.Pending == 0
}

func mustID(t *testing.T, s string) document.ID {
	t.Helper()
	id, err := document.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newDoc(t *testing.T, id string, content document.Content) document.Document {
	t.Helper()
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatal(err)
	}
	return document.Document{ID: mustID(t, id), Source: document.Source{Type: kind, URL: "https://example.org/" + id}, Content: content}
}

// put writes documents and wants the acknowledgement that is given.
func put(t *testing.T, h *engine.Host, want engine.Durability, docs ...document.Document) {
	t.Helper()
	ack, err := h.Put(t.Context(), docs...)
	if err != nil {
		t.Fatal(err)
	}
	if ack.Durability != want || (want == engine.PrimaryAndLocal) != (ack.Commit != "") {
		t.Fatalf("put of %s was acknowledged %q with commit %q, want %q (the state is %s: %s)",
			docs[0].ID, ack.Durability, ack.Commit, want, h.Stats().State, h.Stats().Reason)
	}
}

// wantThere compares what the engine and the service itself give back with
// what was written.
func wantThere(t *testing.T, h *engine.Host, c *govc.Client, wrote document.Document, from probe.Store) {
	t.Helper()
	found, err := h.Get(t.Context(), wrote.ID)
	if err != nil {
		t.Errorf("%s: %v", wrote.ID, err)
		return
	}
	if from != "" && found.ServedBy != from {
		t.Errorf("%s was served by %s, want %s", wrote.ID, found.ServedBy, from)
	}
	sameContent(t, "the engine's "+wrote.ID.String(), found.Document, wrote)
	if c == nil {
		return
	}
	there, err := c.Get(t.Context(), store.Key{ID: wrote.ID, Folder: found.Folder})
	if err != nil {
		t.Errorf("%s at the service: %v", wrote.ID, err)
		return
	}
	sameContent(t, "the service's "+wrote.ID.String(), there, wrote)
	if hash, err := there.Hash(); err != nil || hash != found.Hash {
		t.Errorf("%s at the service has the hash %s (%v), the index has %s", wrote.ID, hash, err, found.Hash)
	}
}

func sameContent(t *testing.T, what string, got, want document.Document) {
	t.Helper()
	if got.Content.Text != want.Content.Text || string(got.Content.Raw) != string(want.Content.Raw) {
		t.Errorf("%s: text %.80q raw %.80q, want text %.80q raw %.80q", what, got.Content.Text, got.Content.Raw, want.Content.Text, want.Content.Raw)
	}
	if len(got.Content.Metadata)+len(want.Content.Metadata) > 0 && !reflect.DeepEqual(got.Content.Metadata, want.Content.Metadata) {
		t.Errorf("%s: metadata %v, want %v", what, got.Content.Metadata, want.Content.Metadata)
	}
	if got.Source != want.Source {
		t.Errorf("%s: source %+v, want %+v", what, got.Source, want.Source)
	}
}

// recovered takes the service back as soon as it answers.
func recovered(t *testing.T, h *engine.Host) {
	t.Helper()
	await(t, h, "the way back", func(s *engine.Stats) bool {
		if s.State != engine.StateFallback {
			return healthy(s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), servicePatience)
		defer cancel()
		if err := h.Recover(ctx, false); err != nil && errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		return healthy(h.Stats())
	})
}

func numbered(prefix string, i int) string { return fmt.Sprintf("%s-%03d", prefix, i) }
