package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// newLocal runs an engine on a folder of its own, without a service unless
// embedded.
func newLocal(t testing.TB, embedded bool) (Local, *engine.Host) {
	t.Helper()
	phase := engine.PhaseGitOnly
	if embedded {
		phase = engine.PhaseDual
	}
	host, err := engine.Start(context.Background(), engine.Setup{
		Dir: t.TempDir(), Repository: "docs", Phase: phase, Layout: document.LayoutFanOut, Version: "test",
		Author: store.Author{Name: "test", Email: "test@example.org"}, Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return NewLocal(host.Engine), host
}

func TestFactsOfAnEngine(t *testing.T) {
	l, host := newLocal(t, false)
	for n := range 3 {
		if _, err := l.Put(t.Context(), []httpapi.Document{{ID: fmt.Sprint(n), Type: "t", Text: "x"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	stats, err := l.Stats(t.Context())
	if err != nil || stats.Govc.Integrated || stats.Govc.FallbackMode || stats.Engine.Writes != 3 || stats.Engine.Documents != 3 ||
		!stats.Git.InStep || stats.Git.Path != host.Stats().GitDir || stats.Govc.DocumentsInMemory != host.Stats().Cached {
		t.Errorf("stats %+v, %v", stats, err)
	}
	count := func() (writes, total int64) {
		metrics, err := l.Metrics(t.Context())
		if err != nil || metrics.WindowSeconds != 300 || metrics.Since.IsZero() {
			t.Errorf("metrics %+v, %v", metrics, err)
		}
		for _, op := range metrics.Operations {
			if op.Op == string(probe.Write) && op.Store == string(probe.Engine) {
				writes, total = op.Count, op.Total
			}
		}
		return writes, total
	}
	if n, total := count(); n != 3 || total != 3 {
		t.Errorf("%d writes of %d are told", n, total)
	}
	if err := l.ResetMetrics(t.Context()); err != nil {
		t.Error(err)
	}
	if n, total := count(); n != 0 || total != 3 {
		t.Errorf("after the reset %d writes of %d are told", n, total)
	}
	host.Journal().Add(engine.Event{At: time.Now(), Level: engine.Warning, Kind: "k", Text: "t", Next: "press r (caiatop recover)"})
	newest := host.Journal().Newest()
	events, err := l.Events(t.Context(), newest-1, 0)
	if err != nil || len(events) != 1 || events[0].Seq != newest || events[0].Level != "warning" || events[0].Next != "run caiatop recover" {
		t.Errorf("events %+v, %v", events, err)
	}
	for name, err := range map[string]error{
		"events": errOf(l.Events(t.Context(), 0, httpapi.MaxEvents+1)), "history": errOf(l.History(t.Context(), "0", -1)),
	} {
		if !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("%s past the limit: %v", name, err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// ready waits until the engine has looked what git holds, which it does after the
// start.
func ready(t *testing.T, l Local) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s, err := l.Status(ctx)
		if err == nil && s.Ready {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never is ready: %s, %v", s.Unready, err)
		}
	}
}

func TestWhoRunsTheEngine(t *testing.T) {
	l, host := newLocal(t, false)
	if _, err := l.Put(t.Context(), []httpapi.Document{{ID: "a", Type: "t"}}); err != nil {
		t.Fatal(err)
	}
	ready(t, l)
	if s, err := l.Status(t.Context()); err != nil || !s.Ready || s.Holder != (httpapi.Holder{PID: os.Getpid()}) || s.Job != nil {
		t.Errorf("%+v, %v", s, err)
	}
	job := &httpapi.Progress{What: "importing", Done: 1, Total: 2}
	named := l.As(httpapi.Holder{Kind: httpapi.HolderCommand, Command: "import"}, func() *httpapi.Progress { return job })
	want := httpapi.Holder{Kind: httpapi.HolderCommand, Command: "import", PID: os.Getpid()}
	if s, err := named.Status(t.Context()); err != nil || s.Holder != want || s.Job != job {
		t.Errorf("%+v, %v", s, err)
	}
	if err := host.Engine.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Status(t.Context()); err != nil || s.Ready || !strings.Contains(s.Unready, "shutting down") {
		t.Errorf("an engine that is closed: %+v, %v", s, err)
	}
}

func TestEveryErrorOfTheEngineHasACode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
		code string
	}{
		{store.ErrIdentity, httpapi.ErrIdentity, "identity"},
		{store.ErrAmbiguous, httpapi.ErrAmbiguous, "ambiguous"},
		{errors.Join(store.ErrDiskFull, store.ErrAmbiguous), httpapi.ErrAmbiguous, "ambiguous"},
		{store.ErrCorrupt, httpapi.ErrCorrupt, "corrupt"},
		{store.ErrTooLarge, httpapi.ErrTooLarge, "too_large"},
		{store.ErrDiskFull, httpapi.ErrDiskFull, "disk_full"},
		{durable.ErrDiskFull, httpapi.ErrDiskFull, "disk_full"},
		{store.ErrReadOnly, httpapi.ErrReadOnly, "read_only"},
		{store.ErrNotFound, httpapi.ErrNotFound, "not_found"},
		{store.ErrConflict, httpapi.ErrConflict, "conflict"},
		{&engine.ConflictError{}, httpapi.ErrConflict, "conflict"},
		{store.ErrUnauthorized, httpapi.ErrUnauthorized, "unauthorized"},
		{store.ErrUnavailable, httpapi.ErrUnavailable, "unavailable"},
		{engine.ErrClosing, httpapi.ErrUnavailable, "unavailable"},
		{document.ErrInvalid, httpapi.ErrInvalid, "invalid"},
		{document.ErrTooLarge, httpapi.ErrTooLarge, "too_large"},
		{engine.ErrNoPrimary, httpapi.ErrInvalid, "invalid"},
		{context.DeadlineExceeded, httpapi.ErrUnavailable, "unavailable"},
		{errors.New("anything else"), httpapi.ErrInternal, "internal"},
	} {
		err := apiError(fmt.Errorf("here: %w", c.err))
		var told *httpapi.Error
		if !errors.Is(err, c.want) || !errors.As(err, &told) || told.Code != c.code || told.Fix == "" || !strings.HasPrefix(told.Message, "here: ") {
			t.Errorf("%v became %+v", c.err, err)
		}
	}
}

// TestACommandIsToldToPressAKey: whoever runs a command has no keys.
func TestACommandIsToldToPressAKey(t *testing.T) {
	for words, want := range map[string]string{
		"It lasts until you press r (caiatop recover)": "It lasts until you run caiatop recover",
		"press f (caiatop fallback) to go on":          "run caiatop fallback to go on",
		"It ends in the console (press d there): then": "It ends in the console: then",
		"a document named press (a b)":                 "a document named press (a b)",
	} {
		if got := withoutKeys(words); got != want {
			t.Errorf("%q became %q", words, got)
		}
	}
	l, host := newLocal(t, true)
	if _, err := host.StartDrill(t.Context(), engine.Drill{Kind: engine.DrillDown}); err != nil {
		t.Fatal(err)
	}
	err := l.Recover(t.Context(), false)
	var told *httpapi.Error
	if !errors.As(err, &told) || strings.Contains(told.Message+told.Fix, "press ") || !strings.Contains(told.Message, "drill") {
		t.Errorf("recover during a drill: %v", err)
	}
	status, err := l.Status(t.Context())
	if err != nil || strings.Contains(status.Next, "press ") || status.Drill == nil {
		t.Errorf("status: %q, %v", status.Next, err)
	}
}

// FuzzEngineOverHTTP asks a real engine everything in every way: whatever
// comes, the replies have their form and what is stored is valid.
func FuzzEngineOverHTTP(f *testing.F) {
	for n := range httpapitest.Endpoints {
		for _, c := range [][3]string{
			{"a", "", `{"id":"a","type":"t","documents":[{"id":"b","type":"t","text":"x"}],"ids":["b"]}`},
			{"..", "limit=1&q=\"x&contains=%00&since=1", `{"type":".git","documents":[{"id":"b/c","type":"t"}],"ids":[".."]}`},
			{"\x00\u202e", "q=a*%20OR%20NEAR(&type=%ff&offset=9223372036854775807", `{"type":"t","text":"\u0000","metadata":{"n":1e999}}`},
			{strings.Repeat("é", 150), "adopt=1", `{"type":"t","created_at":"0001-01-01T00:00:00Z","raw_base64":"/w=="}`},
			{"4b825dc642cb6eb9a060e54bf8d69288fbee4904", "limit=1000", `{"type":"t","created_at":"9999-12-31T23:59:59Z"}`},
		} {
			f.Add(byte(n), c[0], c[1], []byte(c[2]), "")
		}
	}
	f.Add(byte(4), "a", "", []byte(`{"type":"t"}`), strings.Repeat("0", 64))
	l, host := newLocal(f, false)
	handler := httpapi.NewServer(l, nil).Handler()
	if _, err := l.Put(f.Context(), []httpapi.Document{{ID: "a", Type: "t"}, {ID: "b", Type: "t"}}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, n byte, value, query string, body []byte, tag string) {
		e := httpapitest.Endpoints[int(n)%len(httpapitest.Endpoints)]
		path := strings.ReplaceAll(e.Path, "%s", url.PathEscape(value))
		address, err := url.Parse("http://localhost" + path + "?" + query)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := httptest.NewRequest(e.Method, "http://localhost/", bytes.NewReader(body)).WithContext(ctx)
		r.URL, r.Header = address, http.Header{"If-Match": {`"` + tag + `"`}}
		if tag == "" {
			r.Header = http.Header{}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if err := httpapitest.CheckReply(e.Method, w.Code, w.Header(), w.Body.Bytes()); err != nil {
			t.Fatalf("%s %s %q: %v", e.Method, address, body, err)
		}
		if ctx.Err() != nil {
			t.Fatalf("%s %s %q takes more than 10 s: %s", e.Method, address, body, w.Body)
		}
		page, err := host.List(t.Context(), engine.Query{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			if row.ID.String() != value && !strings.Contains(string(body), row.ID.String()) {
				continue // looked at when it came
			}
			found, err := host.Get(t.Context(), row.ID)
			if err == nil {
				err = found.Document.Validate()
			}
			if err != nil {
				t.Fatalf("stored: %q: %v", row.ID, err)
			}
		}
	})
}
