package httpapi_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestBackupsTravel(t *testing.T) {
	e := &httpapitest.Engine{}
	behind := 3
	run := httpapi.BackupRun{Target: "/x", Commit: "abc", Commits: 2, Objects: 7, Bytes: 99}
	report := httpapi.BackupReport{OK: true, Target: "/x", Commit: "abc", Commits: 2, Behind: &behind, Damages: []string{"none"}, Seconds: 1.5}
	e.SetBackup(run, report)
	client := start(t, t.TempDir(), e)
	if got, err := client.Backup(t.Context(), true); err != nil || got != run {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := client.VerifyBackup(t.Context()); err != nil || !reflect.DeepEqual(got, report) {
		t.Errorf("%+v, %v", got, err)
	}
	if calls := e.Calls(); !slices.Equal(calls, []string{"backup true", "verify backup"}) {
		t.Errorf("%q", calls)
	}
	e.Fail(httpapi.NewError(httpapi.ErrIdentity, "mount the disk"))
	if _, err := client.Backup(t.Context(), false); !errors.Is(err, httpapi.ErrIdentity) {
		t.Errorf("%v", err)
	}
}
