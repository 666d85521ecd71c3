package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestThePhaseTravels(t *testing.T) {
	e := &httpapitest.Engine{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := httpapi.Phase{
		Phase: "dual", About: "both", Since: at, Detached: map[string]int64{"git": 7},
		Change: &httpapi.PhaseChange{Wanted: "govc-only", Step: "attaching", Detail: "waits", Begun: at, Asked: "operator"},
		Kept:   &httpapi.Kept{All: true, Documents: 2, Bytes: 3, Limit: 4},
		Others: []httpapi.PhasePlan{{Phase: "git-only", About: "git", Plan: []string{"one", "two"}}},
	}
	e.SetPhaseReply(want)
	client := start(t, t.TempDir(), e)
	if got, err := client.Phase(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := client.SetPhase(t.Context(), "git-only"); err != nil {
		t.Error(err)
	}
	if err := client.SetPhase(t.Context(), ""); !errors.Is(err, httpapi.ErrInvalid) {
		t.Errorf("no phase: %v", err)
	}
	if calls := e.Calls(); !slices.Equal(calls, []string{"phase", "set phase git-only"}) {
		t.Errorf("%q", calls)
	}
	e.Fail(httpapi.NewError(httpapi.ErrConflict, "bring the service back"))
	err := client.SetPhase(t.Context(), "git-only")
	if refused, ok := errors.AsType[*httpapi.Error](err); !ok || !errors.Is(err, httpapi.ErrConflict) || refused.Fix != "bring the service back" {
		t.Errorf("refused: %v", err)
	}
}

// TestAReaderMayNotChangeThePhase.
func TestAReaderMayNotChangeThePhase(t *testing.T) {
	e := &httpapitest.Engine{}
	edge, err := httpapi.NewServer(e, nil).EdgeHandler(httpapi.TCPOptions{Token: "all", ReadToken: "reader"})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"reader": http.StatusForbidden, "all": http.StatusOK} {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/storage/phase?phase=git-only", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		edge.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", token, w.Code, want, w.Body)
		}
	}
	if calls := e.Calls(); !slices.Equal(calls, []string{"set phase git-only"}) {
		t.Errorf("%q", calls)
	}
}

func TestPrometheusTellsThePhase(t *testing.T) {
	e := &httpapitest.Engine{}
	e.SetStatus(httpapi.Status{State: "PRIMARY", Phase: "govc-only", Change: &httpapi.PhaseChange{Wanted: "dual"}, Kept: &httpapi.Kept{Documents: 2, Bytes: 3, Limit: 4}})
	server := httptest.NewServer(httpapi.NewServer(e, nil).Handler())
	defer server.Close()
	reply, err := http.Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Body)
	if err = errors.Join(err, reply.Body.Close()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`caiatop_phase{phase="govc-only"} 1`, `caiatop_phase{phase="dual"} 0`, `caiatop_phase{phase="other"} 0`, "caiatop_phase_changing 1",
		"caiatop_kept_documents 2", "caiatop_kept_bytes 3", "caiatop_kept_limit_bytes 4",
	} {
		if !strings.Contains(string(body), "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}
