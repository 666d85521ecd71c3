package httpapi_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestVerificationsTravel(t *testing.T) {
	e := &httpapitest.Engine{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	v := httpapi.Verification{
		State: "done", Repair: true, Started: &at, Ended: &at, Found: 2, Mended: 1,
		Parts:    []httpapi.VerifyPart{{Name: "git", State: "done", Checked: 9, Total: 9, Found: 2, Mended: 1}, {Name: "govc", State: "unknown", Unknown: "away"}},
		Findings: []httpapi.Finding{{Part: "git", Document: "a", What: "gone", Next: "look"}},
	}
	e.SetVerification(v)
	e.SetStatus(httpapi.Status{Verify: v})
	client := start(t, t.TempDir(), e)
	for name, call := range map[string]func() (httpapi.Verification, error){
		"begin": func() (httpapi.Verification, error) {
			return client.Verify(t.Context(), httpapi.VerifyOptions{Repair: true, Sample: 5})
		},
		"look": func() (httpapi.Verification, error) { return client.Verification(t.Context()) },
		"stop": func() (httpapi.Verification, error) { return client.StopVerification(t.Context()) },
	} {
		if got, err := call(); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, want := range []string{"verify true 5", "verification", "stop verification"} {
		if !slices.Contains(e.Calls(), want) {
			t.Errorf("%q was not called: %q", want, e.Calls())
		}
	}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	metrics := ask(t, address, "GET", "/metrics", "", nil).body
	for _, want := range []string{`caiatop_verify_findings{part="git"} 1`, "caiatop_verify_running 0", "caiatop_verify_last_end_timestamp_seconds 1.7"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if strings.Contains(metrics, `caiatop_verify_findings{part="govc"}`) {
		t.Error("what could not be looked at has a number")
	}
	e.Fail(httpapi.NewError(httpapi.ErrConflict, "stop it"))
	if _, err := client.Verify(t.Context(), httpapi.VerifyOptions{}); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsParkedTravels(t *testing.T) {
	e := &httpapitest.Engine{}
	list := httpapi.ParkedList{Total: 7, Parked: []httpapi.Parked{{ID: "a/b", Store: "govc", Reason: "refused", Detail: "no", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Elsewhere: []string{"git"}}}}
	e.SetParked(list)
	client := start(t, t.TempDir(), e)
	if got, err := client.Parked(t.Context(), 3); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := client.RetryParked(t.Context(), []string{"a"}); err != nil || got.Done != 1 || got.Left != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := client.RetryParked(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := client.DropParked(t.Context(), "a b%c", true); err != nil {
		t.Error(err)
	}
	if calls := e.Calls(); !slices.Equal(calls, []string{"parked 3", "retry [a]", "retry []", "drop a b%c true"}) {
		t.Errorf("%q", calls)
	}
}
