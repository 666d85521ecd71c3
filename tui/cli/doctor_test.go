package cli_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/cli"
)

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
	for _, name := range []string{"HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "") // names are looked up here
	}
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

// TestDoctorNamesTheProxy that leads nowhere: no TLS was spoken then, and the
// address of the service is not at fault.
func TestDoctorNamesTheProxy(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"} {
		t.Setenv(name, "")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer closed.Close()
	for name, tt := range map[string]struct {
		proxy string
		want  map[string]string
	}{
		"refuses":        {closed.URL, map[string]string{"connect": "fail|does not lead to docs.test: Forbidden|HTTPS_PROXY", "tls": "unknown|a step before it failed", "http": "unknown|"}},
		"nobody listens": {"http://" + refused, map[string]string{"connect": "fail|nothing listens at the proxy " + refused + "|HTTPS_PROXY", "tls": "unknown|"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", tt.proxy)
			w := newWard(t, "GOVC_SERVICE_URL", "https://docs.test")
			_, found := w.doctor()
			w.want(found, tt.want)
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
	if !d.OK || d.Warnings < 1 || found["latency"].TookMS < 250 {
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

// TestDoctorOfRights: who may do too little, or not for long, is told so.
func TestDoctorOfRights(t *testing.T) {
	next := ours(t)
	for name, tt := range map[string]struct {
		whoami string
		renews bool // the running engine has it renewed
		want   string
	}{
		"reader":       {`{"id":"ada","repo_permissions":{"caia-documents":"read"}}`, false, "fail|may read at caia-documents, and no more|grant"},
		"elsewhere":    {`{"id":"ada","repo_permissions":{"other-*":"admin"}}`, false, "fail|may do nothing at caia-documents|grant"},
		"by pattern":   {`{"id":"ada","repo_permissions":{"caia-*":"write","*":"read"}}`, false, "ok|ada, who may write at caia-documents"},
		"soon over":    {`{"id":"ada","repo_permissions":{"*":"write"},"expires_at":"2026-03-14T15:00:00Z"}`, false, "warn|it ends in 3h 00m|newer"},
		"renewed":      {`{"id":"ada","repo_permissions":{"*":"write"},"expires_at":"2026-03-14T15:00:00Z"}`, true, "ok|it ends in 3h 00m, and the running engine renews it"},
		"already over": {`{"id":"ada","repo_permissions":{"*":"write"},"expires_at":"2026-03-14T11:00:00Z"}`, false, "fail|it ended at 2026-03-14|GOVC_AUTH_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, "GOVC_API_KEY", goodKey, "GOVC_SERVICE_URL", served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v1/auth/whoami" {
					next.ServeHTTP(w, r)
					return
				}
				fmt.Fprint(w, tt.whoami) //nolint:errcheck // the client would say so
			})))
			w.now = func() time.Time { return time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC) }
			if tt.renews {
				w.serve()
				w.engine.SetService(httpapi.ServiceFacts{Access: &httpapi.ServiceAccess{Renews: true}})
			}
			_, found := w.doctor()
			w.want(found, map[string]string{"credentials": tt.want})
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
