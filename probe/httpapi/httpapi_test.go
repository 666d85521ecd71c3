package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves e in dir until the test ends and returns a client.
func start(t *testing.T, dir string, e httpapi.Engine) *httpapi.Client {
	t.Helper()
	ln, err := httpapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- httpapi.NewServer(e, nil).Serve(ctx, ln) }()
	client, err := httpapi.New(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error("serve:", err)
		}
	})
	return client
}

func TestEveryByteComesBack(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	big := strings.Repeat("\x00", 10<<20)
	at := time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.UTC)
	texts := map[string]string{
		"empty": "", "plain": "hello\n", "html": "<a href=\"&\">\u2028\u2029</a>", "crlf": "a\r\nb\tc", "nul": "a\x00b",
		"escape": "\x1b]0;x\x07", "latin1": "caf\xe9", "every byte": string(all), "replacement": "\ufffd", "10 MiB of NUL": big,
		"accents é ß 漢字": "漢字", "100%": "percent", "a+b c": "plus", "a?b#c&d=e": "query", "~.git": "tilde", "%2F%2e": "encoded",
		"quote\"back": "q", ";semi:colon@": "s", "..a": "dots",
	}
	client := start(t, t.TempDir(), &httpapitest.Engine{})
	for id, text := range texts {
		want := httpapi.Document{
			ID: id, Type: "text", SourceURL: "https://example.org/?a=b&c", SourcePath: "a/b ü", Text: text, Raw: all,
			Metadata:  map[string]json.RawMessage{"n": json.RawMessage("12345678901234567890.1234567890123456789"), "<": json.RawMessage(`{"a":[1e400,null,"<&>"]}`)},
			CreatedAt: at, UpdatedAt: at.Add(time.Hour),
		}
		if _, err := client.Put(t.Context(), []httpapi.Document{want}); err != nil {
			t.Fatalf("put %q: %v", id, err)
		}
		got, err := client.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("get %q: %v", id, err)
		}
		if got.Hash == "" || got.ServedBy != "govc" {
			t.Errorf("%q came without its hash or its store: %q, %q", id, got.Hash, got.ServedBy)
		}
		want.Hash, want.ServedBy = got.Hash, got.ServedBy
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q came back changed:\n got %.300q\nwant %.300q", id, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
	page, err := client.List(t.Context(), httpapi.ListQuery{Contains: "%", Limit: 1})
	if err != nil || page.Total != 2 || len(page.Rows) != 1 || page.Rows[0].ID != "%2F%2e" {
		t.Errorf("list: %+v, %v", page, err)
	}
	found, err := client.Search(t.Context(), "percent", 0)
	if hits := found.Hits; err != nil || len(hits) != 1 || hits[0].ID != "100%" || hits[0].Snippet != "\x02percent\x03" {
		t.Errorf("search: %+v, %v", found, err)
	}
	ack, err := client.Delete(t.Context(), []string{"100%", "accents é ß 漢字"})
	if err != nil || len(ack.OpIDs) != 2 || ack.Durability != "local" {
		t.Errorf("delete: %+v, %v", ack, err)
	}
	if _, err := client.Get(t.Context(), "100%"); !errors.Is(err, httpapi.ErrNotFound) {
		t.Errorf("get of a deleted document: %v", err)
	}
}

func TestErrorsKeepTheirSentinel(t *testing.T) {
	e := &httpapitest.Engine{}
	client := start(t, t.TempDir(), e)
	sentinels := []error{
		httpapi.ErrNotFound, httpapi.ErrInvalid, httpapi.ErrConflict, httpapi.ErrTooLarge,
		httpapi.ErrReadOnly, httpapi.ErrUnavailable, httpapi.ErrDiskFull, httpapi.ErrInternal,
		httpapi.ErrUnauthorized,
	}
	for _, want := range sentinels {
		e.Fail(fmt.Errorf("reading \x1b[31m\"x\": %w", want))
		_, err := client.Get(t.Context(), "x")
		for _, s := range sentinels {
			if errors.Is(err, s) != (s == want) {
				t.Errorf("%v arrived as %v", want, err)
			}
		}
		var told *httpapi.Error
		if !errors.As(err, &told) || told.Fix == "" || told.Message != "reading \x1b[31m\"x\": "+want.Error() {
			t.Errorf("%v lost its message or has no advice: %+v", want, told)
		}
	}
	e.Fail(errors.New("something else"))
	if err := client.Recover(t.Context(), false); !errors.Is(err, httpapi.ErrInternal) {
		t.Errorf("an unknown error arrived as %v", err)
	}
	e.Fail(httpapi.NewError(fmt.Errorf("%w: the disk", httpapi.ErrDiskFull), "buy one"))
	var told *httpapi.Error
	if _, err := client.Put(t.Context(), []httpapi.Document{{ID: "a", Type: "b"}}); !errors.As(err, &told) || told.Fix != "buy one" {
		t.Errorf("the engine's own advice was lost: %v", err)
	}
	if httpapi.NewError(nil, "x") != nil {
		t.Error("no error became one")
	}
}

func TestRequestsAreChecked(t *testing.T) {
	e := &httpapitest.Engine{}
	client := start(t, t.TempDir(), e)
	for _, id := range []string{"", ".", "..", "a/b"} {
		if _, err := client.Get(t.Context(), id); !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("get %q: %v", id, err)
		}
	}
	bad := []httpapi.Document{
		{ID: "a\xff", Type: "t"},
		{ID: "a", Type: "t", SourcePath: "\xff"},
		{ID: "a", Type: "t", Metadata: map[string]json.RawMessage{"x": json.RawMessage("{")}},
	}
	for _, d := range bad {
		if _, err := client.Put(t.Context(), []httpapi.Document{d}); !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("put %+v: %v", d, err)
		}
	}
	if _, err := client.Put(t.Context(), nil); !errors.Is(err, httpapi.ErrInvalid) {
		t.Errorf("put of nothing: %v", err)
	}
	many := make([]string, httpapi.MaxBatch+1)
	for i := range many {
		many[i] = "x"
	}
	if _, err := client.Delete(t.Context(), many); !errors.Is(err, httpapi.ErrTooLarge) {
		t.Errorf("delete of too many: %v", err)
	}
	if _, err := client.Delete(t.Context(), many[1:]); !errors.Is(err, httpapi.ErrNotFound) {
		t.Errorf("delete of as many as allowed: %v", err)
	}
	for _, q := range []httpapi.ListQuery{{Limit: -1}, {Limit: httpapi.MaxList + 1}, {Offset: -1}} {
		if _, err := client.List(t.Context(), q); !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("list %+v: %v", q, err)
		}
	}
	if _, err := client.List(t.Context(), httpapi.ListQuery{Limit: httpapi.MaxList}); err != nil {
		t.Errorf("list at the limit: %v", err)
	}
	huge := httpapi.Document{ID: "a", Type: "t", Raw: make([]byte, httpapi.MaxBody*3/4)}
	if _, err := client.Put(t.Context(), []httpapi.Document{huge}); !errors.Is(err, httpapi.ErrTooLarge) {
		t.Errorf("put of a body over the limit: %v", err)
	}
}

// raw sends a request by hand, as curl would.
func raw(t *testing.T, dir, method, path string, body io.Reader) (int, string) {
	t.Helper()
	socket, err := httpapi.SocketPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func TestStatusCodesOnTheWire(t *testing.T) {
	dir := t.TempDir()
	e := &httpapitest.Engine{}
	start(t, dir, e)
	cases := []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/api/v1/documents", `{"documents":[{"id":"50% é","type":"t","text":"x"}]}`, 200, `"durability":"local"`},
		{"GET", "/api/v1/documents/50%25%20%C3%A9", "", 200, `"text":"x"`},
		{"DELETE", "/api/v1/documents/50%25%20%C3%A9", "", 200, `"op_ids":["op-2"]`},
		{"GET", "/api/v1/documents/none", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/documents", "", 200, `"rows":[]`},
		{"GET", "/api/v1/search?q=nothing", "", 200, `"hits":[]`},
		{"GET", "/api/v1/search?limit=x", "", 400, `"code":"invalid"`},
		{"GET", "/api/v1/documents?a=%zz", "", 400, `"code":"invalid"`},
		{"POST", "/api/v1/documents", `{"documents":[`, 400, `"code":"invalid"`},
		{"POST", "/api/v1/documents", `{"documents":[]} x`, 400, `"code":"invalid"`},
		{"POST", "/api/v1/documents", "{\"documents\":[{\"id\":\"\xff\"}]}", 400, `not UTF-8`},
		{"POST", "/api/v1/documents", `{"documents":[{"id":"a","type":"t","text":"x","text_base64":"eA=="}]}`, 400, `both text and text_base64`},
		{"GET", "/api/v1/storage/status", "", 200, `"healthy":true`},
		{"POST", "/api/v1/storage/fallback", "", 200, `{}`},
		{"POST", "/api/v1/storage/recover?adopt=yes", "", 400, `neither true nor false`},
		{"POST", "/api/v1/storage/backup", "", 200, `"commits":0`},
		{"POST", "/api/v1/storage/backup?anew=yes", "", 400, `neither true nor false`},
		{"POST", "/api/v1/storage/backup/verify", "", 200, `"damages":[]`},
		{"POST", "/api/v1/storage/verify?repair=yes", "", 400, `neither true nor false`},
		{"POST", "/api/v1/storage/verify?sample=-1", "", 400, `not a number`},
		{"POST", "/api/v1/storage/verify?sample=1000001", "", 400, `not a number`},
		{"POST", "/api/v1/storage/verify", "", 200, `"findings":[]`},
		{"GET", "/api/v1/storage/verify", "", 200, `"parts":[]`},
		{"DELETE", "/api/v1/storage/verify", "", 200, `"parts":[]`},
		{"GET", "/api/v1/storage/parked?limit=10001", "", 400, `not a number`},
		{"GET", "/api/v1/storage/parked", "", 200, `"parked":[]`},
		{"POST", "/api/v1/storage/parked", `{"ids":[]}`, 200, `"done":0`},
		{"DELETE", "/api/v1/storage/parked/a?lose=maybe", "", 400, `neither true nor false`},
		{"DELETE", "/api/v1/storage/parked/a", "", 200, `{}`},
		{"GET", "/nowhere", "", 404, `"code":"not_found"`},
	}
	for _, c := range cases {
		status, answer := raw(t, dir, c.method, c.path, strings.NewReader(c.body))
		if status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", c.method, c.path, c.body, status, answer, c.status, c.answer)
		}
	}
	status, answer := raw(t, dir, "POST", "/api/v1/documents", bytes.NewReader(bytes.Repeat([]byte(" "), httpapi.MaxBody+1)))
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, `"code":"too_large"`) {
		t.Errorf("a body one byte over the limit: %d %s", status, answer)
	}
}

func TestActionsReachTheEngine(t *testing.T) {
	e := &httpapitest.Engine{}
	client := start(t, t.TempDir(), e)
	err := errors.Join(client.Fallback(t.Context()), client.Recover(t.Context(), true), client.Recover(t.Context(), false), client.Sync(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"fallback", "recover true", "recover false", "sync"}
	if got := e.Calls(); !reflect.DeepEqual(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func TestParallelClients(t *testing.T) {
	dir := t.TempDir()
	e := &httpapitest.Engine{}
	start(t, dir, e)
	const clients, each = 8, 25
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			client, err := httpapi.New(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer client.Close()
			for i := range each {
				id := fmt.Sprintf("%d-%d", c, i)
				if _, err := client.Put(t.Context(), []httpapi.Document{{ID: id, Type: "t", Text: id}}); err != nil {
					t.Error(err)
				}
				if d, err := client.Get(t.Context(), id); err != nil || d.Text != id {
					t.Errorf("%q: %q, %v", id, d.Text, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(e.All()); n != clients*each {
		t.Errorf("%d documents, want %d", n, clients*each)
	}
}
