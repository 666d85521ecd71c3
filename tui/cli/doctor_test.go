package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/cli"
)

const goodKey = "0123456789abcdef0123456789abcdef"

// ward is a machine to be examined: an environment and a state folder.
type ward struct {
	*world
	env map[string]string
	// now is the clock of this machine, the real one if nil.
	now func() time.Time
}

func newWard(t *testing.T, env ...string) *ward {
	t.Helper()
	w := &ward{world: newWorld(t), env: map[string]string{"CAIATOP_STATE_DIR": filepath.Join(t.TempDir(), "state")}}
	for i := 0; i < len(env); i += 2 {
		w.env[env[i]] = env[i+1]
	}
	return w
}

func (w *ward) settings(flags cli.Flags) (config.Config, []*config.Error) {
	in := config.Input{Flags: flags, Env: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok }}
	if mistakes := config.Check(in); len(mistakes) > 0 {
		return config.Config{}, mistakes
	}
	cfg, err := config.Load(in)
	if err != nil {
		w.t.Fatal(err)
	}
	return cfg, nil
}

// folder is the state folder, made.
func (w *ward) folder() string {
	w.t.Helper()
	cfg, mistakes := w.settings(nil)
	if len(mistakes) > 0 {
		w.t.Fatal(mistakes)
	}
	if err := os.MkdirAll(cfg.StatePath(), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return cfg.StatePath()
}

// check is one of the report, by the names that are published.
type check struct {
	Check, Result, Finding, Fix string
	TookMS                      float64 `json:"took_ms"`
}

type diagnosis struct {
	OK                 bool
	Exit               int
	Running            bool
	Service            string
	StateDir           string `json:"state_dir"`
	Warnings, Failures int
	Checks             []check
}

// doctor examines, and wants the exit code that the report says.
func (w *ward) doctor() (d diagnosis, byName map[string]check) {
	w.t.Helper()
	var out, errs strings.Builder
	code := cli.Run(w.t.Context(), cli.Deps{
		Open: w.open, Running: w.open, Start: w.open, Settings: w.settings, Version: "1.2.3",
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: w.now,
	}, []string{"doctor", "--json"})
	if err := json.Unmarshal([]byte(out.String()), &d); err != nil {
		w.t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	if code != d.Exit || d.OK != (d.Exit == cli.ExitOK) || d.OK != (d.Failures == 0) {
		w.t.Errorf("exit code %d of a report that says %+v", code, d)
	}
	byName = map[string]check{}
	for _, c := range d.Checks {
		byName[c.Check] = c
		if c.Finding == "" || strings.Contains(c.Finding, "\n") {
			w.t.Errorf("%s finds %q", c.Check, c.Finding)
		}
		if (c.Result == "fail" || c.Result == "warn") && c.Fix == "" {
			w.t.Errorf("%s: %q, and nothing to do about it", c.Check, c.Finding)
		}
	}
	return d, byName
}

// want compares some checks with "result: a part of the finding: a part of the
// fix".
func (w *ward) want(byName map[string]check, wanted map[string]string) {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		parts := strings.SplitN(wanted[name]+"||", "|", 4)
		c := byName[name]
		if c.Result != parts[0] || !strings.Contains(c.Finding, parts[1]) || !strings.Contains(c.Fix, parts[2]) {
			w.t.Errorf("%s: %s: %q (%q)\nwant %s", name, c.Result, c.Finding, c.Fix, wanted[name])
		}
	}
}

// onlyGets notes what a service is asked for, and fails on anything that is no
// GET.
type onlyGets struct {
	t    *testing.T
	next http.Handler

	mu    sync.Mutex
	asked []string
}

func (g *onlyGets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.asked = append(g.asked, r.Method+" "+r.URL.Path)
	g.mu.Unlock()
	if r.Method != http.MethodGet {
		g.t.Errorf("the service was asked to %s %s", r.Method, r.URL.Path)
	}
	g.next.ServeHTTP(w, r)
}

func served(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(&onlyGets{t: t, next: h})
	t.Cleanup(s.Close)
	return s.URL
}

// ours is a service of ours that wants a key.
func ours(t *testing.T) http.Handler {
	t.Helper()
	return govcd.New(govcd.Options{Key: goodKey, Version: "1.0"}).Handler()
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	w := newWard(t, "GOVC_SERVICE_URL", served(t, ours(t)), "GOVC_API_KEY", goodKey)
	d, found := w.doctor()
	names := []string{}
	for _, c := range d.Checks {
		names = append(names, c.Check)
	}
	published := []string{
		"configuration", "state-folder", "lock", "engine", "dns", "connect", "tls", "http", "latency", "clock",
		"credentials", "dialect", "capabilities", "identity",
	}
	if !slices.Equal(names, published) {
		t.Errorf("the checks are %q, published are %q", names, published)
	}
	w.want(found, map[string]string{
		"configuration": "ok|environment", "state-folder": "ok|made by the first start", "lock": "ok|nobody", "engine": "ok|none runs",
		"dns": "ok|is an address", "connect": "ok|connected to 127.0.0.1:", "tls": "ok|does not leave this machine", "http": "ok|lives",
		"clock": "ok|agree", "credentials": "ok|takes it for admin", "dialect": "ok|names caiatop-govcd", "capabilities": "ok|all ",
		"identity": "ok|nothing of caiatop yet",
	})
	if !d.OK || d.Running || found["connect"].TookMS <= 0 || found["latency"].TookMS <= 0 {
		t.Errorf("%+v", d)
	}
	if _, err := os.Stat(w.env["CAIATOP_STATE_DIR"]); !os.IsNotExist(err) {
		t.Errorf("the state folder was made: %v", err)
	}
}

// TestDoctorServiceUnreachable is the first of the published cases.
func TestDoctorServiceUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url  string
		want map[string]string
	}{
		"nobody listens": {"http://" + refused, map[string]string{
			"dns": "ok|", "connect": "fail|nothing listens at " + refused + "|start the service", "http": "unknown|a step before it failed", "identity": "unknown|",
		}},
		"no such name": {"http://no-such-host.invalid:8080", map[string]string{
			"dns": "fail|no-such-host.invalid|GOVC_SERVICE_URL", "connect": "unknown|", "http": "unknown|",
		}},
		"no govc": {served(t, http.NotFoundHandler()), map[string]string{"connect": "ok|", "http": "fail|is no govc (status 404)|host, port and path", "dialect": "unknown|"}},
		"a proxy without a service": {served(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })), map[string]string{
			"http": "fail|status 502|proxy",
		}},
		"elsewhere": {served(t, http.RedirectHandler("https://elsewhere.invalid/", http.StatusFound)), map[string]string{"http": "fail|redirects|final URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, "GOVC_SERVICE_URL", tt.url)
			d, found := w.doctor()
			w.want(found, tt.want)
			if d.OK || d.Exit != cli.ExitDegraded {
				t.Errorf("exit code %d", d.Exit)
			}
		})
	}
}

// TestDoctorCredentialsRefused is the second one: who are you, and you may not.
func TestDoctorCredentialsRefused(t *testing.T) {
	forbidden := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health/live" {
			fmt.Fprint(w, `{"status":"alive"}`) //nolint:errcheck // the client would say so
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":"Insufficient permissions","code":"FORBIDDEN"}`) //nolint:errcheck // see above
	})
	for name, tt := range map[string]struct {
		service http.Handler
		key     string
		want    map[string]string
	}{
		"no key":    {ours(t), "", map[string]string{"http": "ok|", "credentials": "fail|none is set, and the service wants one (401)|GOVC_API_KEY", "dialect": "unknown|refuses the credentials"}},
		"wrong key": {ours(t), "wrong-wrong-wrong", map[string]string{"credentials": "fail|does not know this api key (401)|apikey", "identity": "unknown|refuses the credentials"}},
		"forbidden": {forbidden, "good-but-weak", map[string]string{"credentials": "fail|may not do this (403): Insufficient permissions|grant"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, "GOVC_SERVICE_URL", served(t, tt.service), "GOVC_API_KEY", tt.key)
			d, found := w.doctor()
			w.want(found, tt.want)
			for _, c := range d.Checks {
				if tt.key != "" && strings.Contains(c.Finding+c.Fix, tt.key) {
					t.Errorf("the key is shown: %+v", c)
				}
			}
		})
	}
}

// TestDoctorServiceSlow is the third: slow is no failure, and told where.
func TestDoctorServiceSlow(t *testing.T) {
	t.Parallel()
	next := ours(t)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health/live" {
			pause := time.NewTimer(300 * time.Millisecond)
			defer pause.Stop()
			<-pause.C
		}
		next.ServeHTTP(w, r)
	})
	w := newWard(t, "GOVC_SERVICE_URL", served(t, slow), "GOVC_API_KEY", goodKey)
	d, found := w.doctor()
	w.want(found, map[string]string{"latency": "warn|slow: dns - connect|look at its load", "http": "ok|"})
	if !d.OK || d.Warnings != 1 || found["latency"].TookMS < 250 {
		t.Errorf("%+v", d)
	}
}

func TestDoctorAtPlainServices(t *testing.T) {
	for name, tt := range map[string]struct {
		o    wiretest.EmulatorOptions
		want map[string]string
	}{
		"new": {wiretest.EmulatorOptions{Fragile: true}, map[string]string{
			"dialect": "ok|NEW (API v2)", "capabilities": "warn|it lacks batch (one file a request), if-match|caiatop server", "credentials": "ok|asks for none",
		}},
		"legacy": {wiretest.EmulatorOptions{Legacy: true}, map[string]string{"dialect": "ok|LEGACY (API v1)", "capabilities": "warn|if-match"}},
	} {
		t.Run(name, func(t *testing.T) {
			emulator := wiretest.NewEmulator(tt.o)
			w := newWard(t, "GOVC_SERVICE_URL", served(t, emulator))
			_, found := w.doctor()
			w.want(found, tt.want)
			if strings.Contains(found["capabilities"].Finding, "delete") != !tt.o.Legacy {
				t.Errorf("deleting: %q", found["capabilities"].Finding)
			}
			if dead := emulator.Dead(); dead != "" {
				t.Errorf("the service was ended by %s", dead)
			}
		})
	}
}

func TestDoctorClocks(t *testing.T) {
	address := served(t, ours(t))
	for name, tt := range map[string]struct {
		by   time.Duration
		want string
	}{
		"ahead": {10 * time.Minute, "warn|ahead of|timedatectl"}, "behind": {-10 * time.Minute, "warn|behind|timedatectl"}, "a little": {-20 * time.Second, "ok|behind"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, "GOVC_SERVICE_URL", address, "GOVC_API_KEY", goodKey)
			w.now = func() time.Time { return time.Now().Add(tt.by) }
			_, found := w.doctor()
			w.want(found, map[string]string{"clock": tt.want})
		})
	}
}

// TestDoctorDoesNotLogIn: five logins that fail lock an address out.
func TestDoctorDoesNotLogIn(t *testing.T) {
	w := newWard(t, "GOVC_SERVICE_URL", served(t, wiretest.NewEmulator(wiretest.EmulatorOptions{})), "GOVC_USERNAME", "ada", "GOVC_PASSWORD", "secret-word")
	_, found := w.doctor()
	w.want(found, map[string]string{"credentials": "unknown|no login is tried"})
}

func TestDoctorOfConfiguration(t *testing.T) {
	w := newWard(t, "GOVC_SERVICE_URL", "nonsense", "GOVC_TIMEOUT", "soon")
	d, found := w.doctor()
	w.want(found, map[string]string{"configuration": "fail|govc.url|caiatop config check", "state-folder": "unknown|configuration", "identity": "unknown|configuration"})
	if d.StateDir != "" || !strings.Contains(found["configuration"].Finding, "1 more mistake") {
		t.Errorf("%+v", found["configuration"])
	}
	w = newWard(t, "GOVC_SERVICE_URL", "https://localhost:1", "GOVC_CA_FILE", filepath.Join(t.TempDir(), "none.pem"))
	_, found = w.doctor()
	w.want(found, map[string]string{"tls": "fail|govc.ca|PEM", "connect": "unknown|"})
	w = newWard(t)
	d, found = w.doctor()
	w.want(found, map[string]string{"connect": "unknown|embedded service", "identity": "unknown|embedded"})
	if !d.OK {
		t.Errorf("an embedded service that does not run is no failure: %+v", d)
	}
	w = newWard(t, "CAIA_USE_GOVC", "false")
	_, found = w.doctor()
	w.want(found, map[string]string{"connect": "ok|git-only"})
}

func TestDoctorOfTheStateFolder(t *testing.T) {
	w := newWard(t)
	dir := w.folder()
	step := func(want string) {
		t.Helper()
		_, found := w.doctor()
		w.want(found, map[string]string{"state-folder": want})
	}
	step("ok|for its owner only")
	if err := os.WriteFile(filepath.Join(dir, engine.KeyFile), []byte("k"), 0o644); err != nil {
		t.Fatal(err)
	}
	step("warn|embedded.key|chmod 600")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	step("warn|(mode 0755)|chmod 700")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	step("fail|is no folder|--state-dir")
	if os.Geteuid() != 0 { // who may write everywhere
		w = newWard(t, "CAIATOP_STATE_DIR", "/proc/caiatop")
		step("fail|not writable|--state-dir")
	}
}

func TestDoctorOfALockWithoutAnAnswer(t *testing.T) {
	w := newWard(t)
	lock, err := durable.AcquireLock(filepath.Join(w.folder(), engine.LockFile))
	if err != nil {
		t.Fatal(err)
	}
	_, found := w.doctor()
	w.want(found, map[string]string{"lock": fmt.Sprintf("warn|process %d holds|ps -p", os.Getpid()), "engine": "unknown|"})
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorAsksTheRunningEngine what only that knows.
func TestDoctorAsksTheRunningEngine(t *testing.T) {
	w := newWard(t, "GOVC_SERVICE_URL", served(t, ours(t)), "GOVC_API_KEY", goodKey)
	w.serve()
	w.engine.SetService(httpapi.ServiceFacts{Lineage: "0199", Epoch: 3})
	d, found := w.doctor()
	w.want(found, map[string]string{"lock": "ok|which answers", "engine": "ok|PRIMARY", "identity": "warn|does not hold the repository|filled again"})
	if !d.Running {
		t.Error("an engine runs")
	}
	for state, want := range map[string]string{"FALLBACK": "warn|FALLBACK: Five probes failed|wait", "LOCKED": "fail|LOCKED: Five probes failed|wait"} {
		w.engine.SetStatus(httpapi.Status{State: state, Reason: "five probes failed", Next: "wait", Ready: true})
		_, found = w.doctor()
		w.want(found, map[string]string{"engine": want})
	}
	w.engine.SetStatus(httpapi.Status{State: "PRIMARY", Unready: "the disk is full", Next: "free space"})
	_, found = w.doctor()
	w.want(found, map[string]string{"engine": "fail|the disk is full|free space"})
	w.engine.Fail(httpapi.ErrUnavailable)
	_, found = w.doctor()
	w.want(found, map[string]string{"engine": "fail|does not say", "identity": "unknown|"})
}

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
