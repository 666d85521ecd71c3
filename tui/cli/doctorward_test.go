package cli_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/config"
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
