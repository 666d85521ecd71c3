package cli_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/tui/cli"
)

// TestDoctorTellsWhoseRepositoryItIs by the state file, without touching it.
func TestDoctorTellsWhoseRepositoryItIs(t *testing.T) {
	service := govcd.New(govcd.Options{Key: goodKey})
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	w := newWard(t, "GOVC_SERVICE_URL", server.URL, "GOVC_API_KEY", goodKey)
	dir := w.folder()
	host, err := engine.Start(t.Context(), engine.Setup{
		Dir: dir, URL: server.URL, APIKey: goodKey, Repository: config.DefaultRepo, Author: cli.Author,
	})
	if err != nil {
		t.Fatal(err)
	}
	feed := host.Subscribe()
	for s := range feed.C {
		if s.State == engine.StatePrimary {
			break
		}
	}
	feed.Close()
	if err := host.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	_, found := w.doctor()
	w.want(found, map[string]string{"identity": "ok|the repository is ours (lineage", "lock": "ok|nobody"})
	if after := listing(t, dir); !maps.Equal(before, after) {
		t.Errorf("the state folder was changed:\n%v\n%v", before, after)
	}
	client, err := govc.New(govc.Options{URL: server.URL, Repo: config.DefaultRepo, APIKey: goodKey})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.WriteMarker(t.Context(), govc.Marker{Lineage: "another", Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	_, found = w.doctor()
	w.want(found, map[string]string{"identity": "fail|another repository (lineage another|recover --adopt"})
}

// listing is what lies in a folder, with sizes and times.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			out[path] = fmt.Sprint(info.Size(), info.Mode(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDoctorForPeople(t *testing.T) {
	w := newWard(t, "GOVC_SERVICE_URL", served(t, http.NotFoundHandler()))
	var out strings.Builder
	code := cli.Run(t.Context(), cli.Deps{Running: w.open, Settings: w.settings, Stdout: &out, Stderr: &out}, []string{"doctor"})
	for _, want := range []string{
		"ok      configuration valid", "FAILS   http          what answers at", "\n                      try: check host",
		"unknown latency, clock, credentials, dialect, capabilities, identity\n                      not looked at: a step before it failed\n", "1 check failed, 6 unknown\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not told", want)
		}
	}
	if code != cli.ExitDegraded {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}
