package httpapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestVersionsTravel(t *testing.T) {
	e := &httpapitest.Engine{}
	client := start(t, t.TempDir(), e)
	const id = "50% é"
	doc := httpapi.Document{ID: id, Type: "t", Text: "one"}
	if _, err := client.Replace(t.Context(), doc, "x"); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("replace of what is not there: %v", err)
	}
	if _, err := client.Replace(t.Context(), doc, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Replace(t.Context(), doc, ""); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("a second creation: %v", err)
	}
	first, err := client.Get(t.Context(), id)
	if err != nil || first.Hash == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	doc.Text = "two"
	if _, err := client.Replace(t.Context(), doc, first.Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Replace(t.Context(), doc, first.Hash); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("replace of an earlier version: %v", err)
	}
	if _, err := client.Remove(t.Context(), id, first.Hash); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("remove of an earlier version: %v", err)
	}
	if _, err := client.Remove(t.Context(), id, ""); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("remove of what must not be there: %v", err)
	}
	revisions, err := client.History(t.Context(), id, 0)
	if err != nil || len(revisions) != 2 || revisions[0].Commit == revisions[1].Commit || revisions[0].At.Before(revisions[1].At) {
		t.Fatalf("history: %+v, %v", revisions, err)
	}
	earlier, err := client.GetAt(t.Context(), id, revisions[1].Commit)
	if err != nil || !reflect.DeepEqual(earlier, first) {
		t.Errorf("the first version is %+v, %v", earlier, err)
	}
	change, err := client.Undo(t.Context(), id)
	if err != nil || change.Now.Text != "two" || change.Before.Text != "one" || change.Base != change.Now.Hash || change.Commit != revisions[1].Commit {
		t.Errorf("undo: %+v, %v", change, err)
	}
	if _, err := client.Restore(t.Context(), id, change.Commit, first.Hash); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("restore over an earlier version: %v", err)
	}
	if _, err := client.Restore(t.Context(), id, change.Commit, ""); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("restore of what must not be there: %v", err)
	}
	if _, err := client.Restore(t.Context(), id, change.Commit, change.Base); err != nil {
		t.Error(err)
	}
	restored, err := client.Get(t.Context(), id)
	if err != nil || restored.Text != "one" {
		t.Errorf("restored: %+v, %v", restored, err)
	}
	if _, err := client.Replace(t.Context(), doc, restored.Hash); err != nil {
		t.Error(err)
	}
	if change, err = client.Undo(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Remove(t.Context(), id, change.Base); err != nil {
		t.Error(err)
	}
	if change, err := client.Undo(t.Context(), id); err != nil || change.Now != nil || change.Base != "" || change.Before.Text != "two" {
		t.Errorf("undo of a delete: %+v, %v", change, err)
	}
	if revisions, err := client.History(t.Context(), id, 1); err != nil || len(revisions) != 1 || !revisions[0].Deleted {
		t.Errorf("history at a limit: %+v, %v", revisions, err)
	}
}

func TestVersionsThatAreRefused(t *testing.T) {
	client := start(t, t.TempDir(), &httpapitest.Engine{})
	const id = "a"
	if _, err := client.Replace(t.Context(), httpapi.Document{ID: id, Type: "t"}, ""); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"history of nothing": second(client.History(t.Context(), "none", 0)),
		"an unknown commit":  second(client.GetAt(t.Context(), id, "none")),
		"undo of nothing":    second(client.Undo(t.Context(), "none")),
		"remove of nothing":  second(client.Remove(t.Context(), "none", "x")),
		"restore of nothing": second(client.Restore(t.Context(), "none", "x", "")),
		"no such version":    second(client.Restore(t.Context(), id, "none", "")),
	} {
		if !errors.Is(err, httpapi.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"history over the limit": second(client.History(t.Context(), id, httpapi.MaxHistory+1)),
		"no commit":              second(client.GetAt(t.Context(), id, "")),
		"restore of no commit":   second(client.Restore(t.Context(), id, "", "")),
		"a commit with a slash":  second(client.GetAt(t.Context(), id, "a/b")),
		"no id":                  second(client.Replace(t.Context(), httpapi.Document{Type: "t"}, "")),
		"events over the limit":  second(client.Events(t.Context(), 0, httpapi.MaxEvents+1)),
	} {
		if !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.History(t.Context(), id, httpapi.MaxHistory); err != nil {
		t.Errorf("history at the limit: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestFactsTravel(t *testing.T) {
	e := &httpapitest.Engine{}
	client := start(t, t.TempDir(), e)
	stats := httpapi.Stats{
		Govc:   httpapi.GovcStats{Integrated: true, ServiceURL: "http://s", FallbackMode: true, DocumentsInMemory: 42},
		Git:    httpapi.GitStats{Path: "/g", InStep: true, Lag: 3},
		Engine: httpapi.EngineStats{State: "FALLBACK", Reads: 1 << 60, Safe: []string{"state"}},
	}
	metrics := httpapi.Metrics{
		Since: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), WindowSeconds: 300,
		Operations: []httpapi.Latency{{Op: "write", Store: "git", Count: 1, Total: 9, TotalErrors: 2, TotalMS: 1.5}},
	}
	e.SetFacts(stats, metrics)
	for i := range 5 {
		e.AddEvent(httpapi.Event{At: metrics.Since, Level: "info", Kind: "k", Text: string(rune('a' + i)), Next: "n"})
	}
	if got, err := client.Stats(t.Context()); err != nil || !reflect.DeepEqual(got, stats) {
		t.Errorf("stats %+v, %v", got, err)
	}
	if got, err := client.Metrics(t.Context()); err != nil || !reflect.DeepEqual(got, metrics) {
		t.Errorf("metrics %+v, %v", got, err)
	}
	if err := client.ResetMetrics(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := client.Metrics(t.Context()); err != nil || len(got.Operations) != 0 {
		t.Errorf("after the reset %+v, %v", got, err)
	}
	events, err := client.Events(t.Context(), 1, 2)
	if err != nil || len(events) != 2 || events[0].Seq != 4 || events[1] != (httpapi.Event{Seq: 5, At: metrics.Since, Level: "info", Kind: "k", Text: "e", Next: "n"}) {
		t.Errorf("events %+v, %v", events, err)
	}
	for _, c := range []struct {
		note httpapi.Note
		want error
	}{
		{httpapi.Note{Level: "info", Text: strings.Repeat("x", httpapi.MaxNote), Next: strings.Repeat("y", httpapi.MaxNote)}, nil},
		{httpapi.Note{Level: "info", Text: strings.Repeat("x", httpapi.MaxNote+1)}, httpapi.ErrTooLarge},
		{httpapi.Note{Level: "info", Text: "x", Next: strings.Repeat("x", httpapi.MaxNote+1)}, httpapi.ErrTooLarge},
		{httpapi.Note{Level: "info", Text: " \n"}, httpapi.ErrInvalid},
		{httpapi.Note{Level: "Info", Text: "x"}, httpapi.ErrInvalid},
		{httpapi.Note{Text: "x"}, httpapi.ErrInvalid},
		{httpapi.Note{Level: "error", Text: "t", Next: "n"}, nil},
	} {
		if err := client.Note(t.Context(), c.note); !errors.Is(err, c.want) {
			t.Errorf("%.40v: %v", c.note, err)
		}
	}
	noted, err := client.Events(t.Context(), 5, 0)
	if err != nil || len(noted) != 2 || noted[1].Kind != "job" || noted[1].Level != "error" || noted[1].Text != "t" || noted[1].Next != "n" {
		t.Errorf("notes %+v, %v", noted, err)
	}
	if events, err := client.Events(t.Context(), 99, 0); err != nil || len(events) != 0 {
		t.Errorf("events after the newest %+v, %v", events, err)
	}
}

func TestConditionsOnTheWire(t *testing.T) {
	e := &httpapitest.Engine{}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	const path = "/api/v1/documents/a"
	put := func(body, name, value string) reply {
		return ask(t, address, "PUT", path, body, http.Header{name: {value}})
	}
	created := put(`{"type":"t","text":"one"}`, "If-None-Match", "*")
	tag := created.header.Get("ETag")
	if created.status != http.StatusOK || tag == "" {
		t.Fatalf("created: %+v", created)
	}
	got := ask(t, address, "GET", path, "", nil)
	if got.header.Get("ETag") != tag || got.status != http.StatusOK {
		t.Errorf("the tag is %s, told was %s", got.header.Get("ETag"), tag)
	}
	const two = `{"id":"a","type":"t","text":"two","metadata":{"n": [1, 2]}}`
	for _, c := range []struct {
		method, body, name, value string
		status                    int
	}{
		{"GET", "", "If-None-Match", tag, 304},
		{"GET", "", "If-None-Match", `"x", ` + tag, 304},
		{"GET", "", "If-None-Match", `*`, 304},
		{"GET", "", "If-None-Match", `W/` + tag, 200},
		{"GET", "", "If-None-Match", `x`, 400},
		{"PUT", two, "If-None-Match", "*", 412},
		{"PUT", two, "If-None-Match", tag, 400},
		{"PUT", two, "If-Match", `"x"`, 412},
		{"PUT", two, "If-Match", `""`, 412},
		{"PUT", two, "If-Match", `W/` + tag, 412},
		{"PUT", two, "If-Match", `x`, 400},
		{"DELETE", "", "If-Match", `"x"`, 412},
		{"DELETE", "", "If-None-Match", `*`, 400},
		{"PUT", `{"id":"b","type":"t"}`, "If-Match", tag, 400},
		{"PUT", two, "If-Match", tag, 200},
		{"PUT", two, "If-Match", tag, 412},
		{"PUT", two, "If-Match", "*", 200},
		{"PUT", two, "X-None", "", 200},
		{"DELETE", "", "If-Match", "*", 200},
		{"PUT", two, "If-Match", "*", 412},
		{"PUT", two, "If-Match", `"x", "y"`, 412},
		{"PUT", two, "If-None-Match", "*", 200},
		{"POST", `{"commit":"none"}`, "X-None", "", 404},
		{"POST", `{"base":"x"}`, "X-None", "", 400},
		{"POST", `null`, "X-None", "", 400},
		{"POST", `{"commit":"` + commitNow(t, address, path) + `"}`, "X-None", "", 412},
		{"POST", `{"commit":"` + commitNow(t, address, path) + `","base":"x"}`, "X-None", "", 412},
	} {
		target := path
		if c.method == "POST" {
			target += "/restore"
		}
		r := ask(t, address, c.method, target, c.body, http.Header{c.name: {c.value}})
		if r.status != c.status {
			t.Errorf("%s with %s: %s: %d %s, want %d", c.method, c.name, c.value, r.status, r.body, c.status)
		}
		if r.status == http.StatusOK && c.method == "PUT" && r.header.Get("ETag") != etagNow(t, address, path) {
			t.Errorf("%s with %s: %s: the tag %s is not that of the document", c.method, c.name, c.value, r.header.Get("ETag"))
		}
	}
	both := ask(t, address, "PUT", path, two, http.Header{"If-Match": {"*"}, "If-None-Match": {"*"}})
	if both.status != http.StatusBadRequest {
		t.Errorf("both conditions: %+v", both)
	}
}

func commitNow(t *testing.T, address, path string) string {
	t.Helper()
	var list struct{ Revisions []httpapi.Revision }
	r := ask(t, address, "GET", path+"/history", "", nil)
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Revisions) == 0 {
		t.Fatalf("history: %+v, %v", r, err)
	}
	return list.Revisions[0].Commit
}

func etagNow(t *testing.T, address, path string) string {
	t.Helper()
	return ask(t, address, "GET", path, "", nil).header.Get("ETag")
}

// overtaken is an engine at which somebody else writes right after each write.
type overtaken struct{ httpapitest.Engine }

func (o *overtaken) Replace(ctx ctx, doc httpapi.Document, base string) (httpapi.Ack, error) {
	ack, err := o.Engine.Replace(ctx, doc, base)
	if err == nil {
		doc.Text = "theirs"
		_, err = o.Put(ctx, []httpapi.Document{doc})
	}
	return ack, err
}

// TestATagIsNeverThatOfSomebodyElse: with it the caller's next write would
// overwrite what it has never seen.
func TestATagIsNeverThatOfSomebodyElse(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&overtaken{}, nil), httpapi.TCPOptions{})
	r := ask(t, address, "PUT", "/api/v1/documents/a", `{"type":"t","text":"ours"}`, http.Header{"If-None-Match": {"*"}})
	if r.status != http.StatusOK || r.header.Get("ETag") != "" {
		t.Errorf("%+v", r)
	}
}
