package httpapi_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func someDispute() httpapi.Dispute {
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	return httpapi.Dispute{
		Conflict: httpapi.Conflict{
			Name: "50% é.conflict-1", ID: "50% é", Copy: true, Kept: "ours", Where: "govc", OpID: "1", Base: "b", Ours: "o", Theirs: "t",
			Author: "Ada", Commit: "c", At: &at,
		},
		Place: &httpapi.Document{ID: "50% é", Type: "t", Text: "theirs\x00", Hash: "t", Conflict: true},
		Other: &httpapi.Document{ID: "50% é", Type: "t", Text: "ours"}, NoBase: "it is gone", Moved: true, Seen: "s1",
	}
}

func TestConflictsTravel(t *testing.T) {
	e := &httpapitest.Engine{}
	want := someDispute()
	settled := httpapi.Dispute{Conflict: httpapi.Conflict{Name: "x", How: "both", SettledAt: want.At}}
	e.SetDisputes(want, settled)
	client := start(t, t.TempDir(), e)
	if list, err := client.Conflicts(t.Context(), false, 0, 0); err != nil || list.Total != 1 || !reflect.DeepEqual(list.Conflicts, []httpapi.Conflict{want.Conflict}) {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := client.Conflicts(t.Context(), true, 3, 7); err != nil || list.Total != 2 || !reflect.DeepEqual(list.Conflicts[1], settled.Conflict) {
		t.Errorf("%+v, %v", list, err)
	}
	if got, err := client.Conflict(t.Context(), want.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	third := httpapi.Document{ID: want.ID, Type: "t", Text: "third"}
	if _, err := client.Resolve(t.Context(), want.Name, httpapi.Resolution{Choice: "edit", Seen: "s0", Document: &third}); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("what was seen is no longer there: %v", err)
	}
	if ack, err := client.Resolve(t.Context(), want.Name, httpapi.Resolution{Choice: "edit", Seen: "s1", Document: &third, As: "y"}); err != nil || len(ack.OpIDs) != 1 {
		t.Errorf("%+v, %v", ack, err)
	}
	if got, err := client.Conflict(t.Context(), want.Name); err != nil || got.How != "edit" || got.Place.Text != "third" {
		t.Errorf("%+v, %v", got, err)
	}
	if ack, err := client.Reopen(t.Context(), want.Name); err != nil || len(ack.OpIDs) != 1 {
		t.Errorf("%+v, %v", ack, err)
	}
	for _, name := range []string{"", ".", "..", "a/b"} {
		if _, err := client.Conflict(t.Context(), name); !errors.Is(err, httpapi.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := client.Conflict(t.Context(), "none"); !errors.Is(err, httpapi.ErrNotFound) {
		t.Error(err)
	}
	calls := []string{
		"conflicts false 0 0", "conflicts true 3 7", "conflict 50% é", "resolve 50% é.conflict-1 edit ", "resolve 50% é.conflict-1 edit y",
		"conflict 50% é.conflict-1", "reopen 50% é.conflict-1", "conflict none",
	}
	if got := e.Calls(); !slices.Equal(got, calls) {
		t.Errorf("%q", got)
	}
}

func TestConflictsOverHTTP(t *testing.T) {
	const full, readOnly = "a token that may do everything", "a token that may only read"
	e := &httpapitest.Engine{}
	e.SetDisputes(someDispute())
	e.SetFacts(httpapi.Stats{Engine: httpapi.EngineStats{Conflicts: 3, ConflictsFound: 5}}, httpapi.Metrics{})
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{Token: strings.ReplaceAll(full, " ", "-"), ReadToken: strings.ReplaceAll(readOnly, " ", "-")})
	const path = "/api/v1/conflicts/50%25%20%C3%A9"
	for _, tc := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/api/v1/conflicts", readOnly, "", 200, `"total":1`},
		{"GET", "/api/v1/conflicts?all=yes", readOnly, "", 400, "neither true nor false"},
		{"GET", "/api/v1/conflicts?limit=1001", readOnly, "", 400, "limit"},
		{"GET", path, readOnly, "", 200, `"text_base64"`},
		{"GET", path, "", "", 401, "token"},
		{"POST", path + "/resolve", readOnly, `{"choice":"ours","seen":"s1"}`, 403, "only read"},
		{"POST", path + "/reopen", readOnly, "", 403, "only read"},
		{"POST", path + "/resolve", full, `{"choice":"ours"}`, 400, "what was seen"},
		{"POST", path + "/resolve", full, `{"choice":"ours","seen":"s0"}`, 412, "changed meanwhile"},
		{"POST", path + "/resolve", full, `{"choice":"ours","seen":"s1"}`, 200, `"op_ids":["op-1"]`},
		{"POST", path + "/reopen", full, "", 200, `"op_ids"`},
		{"POST", path + "/reopen", full, "", 412, "it is open"},
		{"GET", "/metrics", readOnly, "", 200, "caiatop_conflicts_open 3\n"},
		{"GET", "/metrics", readOnly, "", 200, "caiatop_conflicts_found_total 5\n"},
	} {
		header := http.Header{}
		if tc.token != "" {
			header.Set("Authorization", "Bearer "+strings.ReplaceAll(tc.token, " ", "-"))
		}
		got := ask(t, address, tc.method, tc.path, tc.body, header)
		if got.status != tc.status || !strings.Contains(got.body, tc.want) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, got.status, got.body)
		}
	}
}

func TestAnEmptyListOfConflictsIsAList(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
	if got := ask(t, address, "GET", "/api/v1/conflicts", "", http.Header{}); got.body != `{"conflicts":[],"total":0}`+"\n" {
		t.Errorf("%s", got.body)
	}
}
