package tui

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/system"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

type feed struct{ c chan *engine.Stats }

func (f feed) Current() *engine.Stats        { return nil }
func (f feed) Changes() <-chan *engine.Stats { return f.c }

func id(t testing.TB, s string) document.ID {
	t.Helper()
	out, err := document.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// healthy is what a busy console in order looks like.
func healthy() *engine.Stats {
	s := &engine.Stats{
		At: noon, State: engine.StatePrimary, Since: noon.Add(-724 * time.Second), Phase: engine.PhaseDual, Switches: 1,
		Service: engine.Service{
			URL: "http://127.0.0.1:41873", Embedded: true, Durable: true, Dialect: "v2",
			Health: probe.Health{
				Up: true, At: noon, Since: noon.Add(-724 * time.Second), Latency: 412 * time.Microsecond, Streak: 700, Status: "healthy",
				Version: "1.0.0-dev", Uptime: 192 * time.Minute,
				Checks: map[string]string{"storage": "healthy", "memory": "healthy", "repositories": "healthy"},
			},
		},
		Stores: []engine.StoreStats{
			{Name: probe.Govc, Cursor: 12840}, {Name: probe.Git, Cursor: 12839, Lag: 1}, {Name: "text", Cursor: 12840},
		},
		Documents: 10000, Bytes: 48_200_000, Cached: 512,
		Events: []engine.Event{
			{At: noon.Add(-12 * time.Minute), Level: engine.Info, Text: "Back on govc: it answered 15 probes in a row"},
			{At: noon.Add(-12 * time.Minute), Level: engine.Info, Text: "Replayed 214 writes to govc, 0 conflicts"},
			{At: noon.Add(-14 * time.Minute), Level: engine.Warning, Text: "Fallback: 5 probes in a row were refused (connect: connection refused)"},
		},
		Safe: []string{"state", "git"}, Also: []string{"govc"}, Repository: "caia-documents", Reads: 190_400, Writes: 41_200,
		StateDir: "/home/ada/.local/state/caiatop/embedded/caia-documents",
		GitDir:   "/home/ada/.local/state/caiatop/embedded/caia-documents/documents.git",
	}
	s.Facts = engine.FactsOf(govc.Info{
		Dialect: govc.DialectV2, Reason: "NEW (API v2), because GET /api/v1/repos/no-such-repo/log?limit=0 answers INVALID_LIMIT; /version names caiatop-govcd and 22 capabilities",
		Version: "1.0.0-dev", Implementation: "caiatop-govcd", Capabilities: announced(), Embedded: true, Durable: true,
	})
	s.Facts.Lineage, s.Facts.Epoch = "0199a2f4-7c1e-7d3a-9b1c-5a6f0c2d4e81", 7
	s.Facts.Tip, s.Facts.TipAt = "1b550c4c20e54c5364d5e7049fbd7835cf95e0ff", noon.Add(-4*time.Second)
	s.Facts.Access = govc.Access{
		Method: govc.MethodAPIKey, Confirmed: true, Subject: "admin", Rights: map[string]string{"*": "admin"}, Peer: "127.0.0.1:41873",
	}
	s.Facts.Latency = govc.Latency{Connect: 210 * time.Microsecond, FirstByte: 380 * time.Microsecond, Reused: true, At: noon}
	add := func(op probe.Op, place probe.Store, p50 time.Duration, rate float64) {
		o := probe.OpStats{Op: op, Store: place, Count: 900, Rate: rate, P50: p50, P95: 2 * p50, P99: 3 * p50, Max: 14 * p50}
		for i := range o.LatencySeries {
			o.LatencySeries[i] = p50 + time.Duration(i/3*7%5)*p50/5
			o.RateSeries[i] = rate * (1 + math.Sin(float64(i)/6)) / 2
		}
		for i := 30; i < 34; i++ {
			o.RateSeries[i], o.LatencySeries[i] = 0, 0
		}
		s.Ops = append(s.Ops, o)
	}
	add(probe.Read, probe.Engine, 131*time.Microsecond, 1904)
	add(probe.Write, probe.Engine, 312*time.Microsecond, 412)
	add(probe.Write, probe.Govc, 208*time.Microsecond, 412)
	add(probe.Write, probe.Git, 1104*time.Microsecond, 8.25)
	add(probe.Read, probe.Govc, 98*time.Microsecond, 1904)
	add(probe.Search, probe.Engine, 4200*time.Microsecond, 0.31)
	return s
}

// announced are all capabilities that this program knows, sorted.
func announced() []string {
	var names []string
	for _, c := range engine.CapabilitiesOf(govc.Info{}) {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// plain is a real govc behind https, which can do little.
func plain() *engine.Stats {
	s := healthy()
	s.Service.URL, s.Service.Embedded, s.Service.Durable = "https://govc.example:8443", false, false
	tip := s.Facts
	s.Facts = engine.FactsOf(govc.Info{
		Dialect: govc.DialectV2, Reason: "NEW (API v2), because GET /api/v1/repos/no-such-repo/log?limit=0 answers INVALID_LIMIT", Version: "1.0.0-dev",
	})
	s.Facts.Lineage, s.Facts.Epoch, s.Facts.Tip, s.Facts.TipAt = tip.Lineage, tip.Epoch, tip.Tip, tip.TipAt
	s.Facts.Access = govc.Access{
		Method: govc.MethodLogin, Confirmed: true, Subject: "ada", Rights: map[string]string{"caia-documents": "write", "team-*": "read"},
		Expires: noon.Add(50 * time.Minute), Renews: true, CSRF: true, TLSVersion: "TLS 1.3", Peer: "govc.example, by Example CA", Proxy: "proxy.example:3128",
	}
	s.Facts.Latency = govc.Latency{
		DNS: 1240 * time.Microsecond, Connect: 9300 * time.Microsecond, TLS: 21_400 * time.Microsecond, FirstByte: 12_600 * time.Microsecond, Reused: true, At: noon,
	}
	return s
}

// insecure is plain with a certificate that nobody checks and a token that has
// ended.
func insecure() *engine.Stats {
	s := plain()
	s.Facts.Access.Insecure, s.Facts.Access.Method = true, govc.MethodToken
	s.Facts.Access.Expires, s.Facts.Access.Renews = noon.Add(-time.Minute), false
	return s
}

// unknown is what is known of a service that nobody has met yet.
func unknown() *engine.Stats {
	s := healthy()
	s.State, s.Since, s.Facts, s.Service.Health, s.Service.Dialect = engine.StateProbing, noon.Add(-time.Second), engine.Facts{}, probe.Health{}, ""
	return s
}

func fallback() *engine.Stats {
	s := healthy()
	s.State, s.Since, s.Switches = engine.StateFallback, noon.Add(-42*time.Second), 2
	s.Reason = "Five probes in a row failed: connection refused"
	s.Next = "Probing every second; the service is taken back after 15 s of good answers, or press r"
	s.Service.Health.Up, s.Service.Health.Since, s.Service.Health.Streak = false, s.Since, 42
	s.Service.Health.Err = "Get \"http://127.0.0.1:41873/health\": dial tcp 127.0.0.1:41873: connect: connection refused"
	s.Outbox = engine.Outbox{Pending: 214, Oldest: noon.Add(-40 * time.Second), Bytes: 99_000}
	s.Stores[0].Lag, s.Stores[0].Err = 214, "connection refused"
	s.Also = nil
	s.Events = append([]engine.Event{{At: s.Since, Level: engine.Error, Text: "Fallback: 5 probes in a row were refused"}}, s.Events...)
	return s
}

func reseeding() *engine.Stats {
	s := healthy()
	s.State, s.Since = engine.StateReseeding, noon.Add(-9*time.Second)
	s.Reason, s.Next = "The service came back empty", "Every document is copied back; reads come from git meanwhile"
	s.Progress = &engine.Progress{What: "copying documents to govc", Done: 1240, Total: 10000, Started: noon.Add(-9 * time.Second)}
	s.Outbox = engine.Outbox{Pending: 8760, Oldest: noon.Add(-9 * time.Second)}
	return s
}

func locked() *engine.Stats {
	s := healthy()
	s.State, s.Since = engine.StateLocked, noon.Add(-3*time.Minute)
	s.Reason = "The service holds another repository than the one these documents belong to"
	s.Next = "Point at the right service, or run: caiatop recover --adopt"
	s.Outbox.Pending = 3
	return s
}

func empty() *engine.Stats {
	s := healthy()
	s.Documents, s.Bytes, s.Writes, s.Reads, s.Ops, s.Events = 0, 0, 0, 0, nil, nil
	s.Switches = 0
	s.Stores = []engine.StoreStats{{Name: probe.Govc}, {Name: probe.Git}, {Name: "text"}}
	return s
}

// happen adds n events of every kind and age to a journal.
func happen(j *journal.Journal, n int) {
	story := []journal.Entry{
		{Level: journal.Info, Kind: "state", Text: "PRIMARY: govc answers, nothing is pending"},
		{Level: journal.Warning, Kind: "slow", Text: "A write to git took 2.41 s: waiting for the disk"},
		{
			Level: journal.Error, Kind: "state", Text: "FALLBACK: five probes in a row failed: Get \"http://127.0.0.1:41873/health\": dial tcp 127.0.0.1:41873: connect: connection refused",
			Next: "The service is taken back by itself after 15 s of good probes; press r on the overview to do it now.",
		},
		{Level: journal.Info, Kind: "replay", Text: "Replayed 214 writes to govc, 0 conflicts"},
		{Level: journal.Warning, Kind: "conflict", Text: "report-00003 was changed on both sides: theirs keeps the place, ours is report-00003.conflict-12840", Next: "Open both and keep what is right."},
		{Level: journal.Info, Kind: "log", Text: "request served path=/api/v1/repos status=200 took=1.2ms"},
	}
	for i := range n {
		e := story[i%len(story)]
		e.At = noon.Add(time.Duration(i-n) * 47 * time.Minute)
		j.Add(e)
	}
}

// session is a model whose commands run at once.
type session struct {
	*Model
	t    testing.TB
	quit bool
	now  time.Time
	// waited is what the session wanted to wait for; the wait is cut short.
	waited []time.Duration
}

func start(t testing.TB, lib *library, s *engine.Stats, w, h int, profile termenv.Profile) *session {
	t.Helper()
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(profile)
	out := &session{t: t, now: noon}
	out.Model = New(t.Context(), Options{
		Feed: feed{}, Documents: lib, Control: lib, Renderer: r, Location: time.UTC, Events: lib.events,
		Drafts: lib.drafts, Owner: "ada",
		Process: system.Process{
			Version: "1.2.3", Go: "go1.26.8", PID: 4242, Started: noon.Add(-26 * time.Hour), Memory: func() int64 { return 41 << 20 },
			Socket: "/home/ada/.local/state/caiatop/embedded/caia-documents/control.sock", HTTP: "127.0.0.1:8088",
			Log: "/home/ada/.local/state/caiatop/embedded/caia-documents/caiatop.log",
		},
		Settings: settings(t), SettingsFile: "/home/ada/.config/caiatop/config.yaml",
		Now: func() time.Time { return out.now },
		Bench: func(_ context.Context, progress func(bench.Progress)) (bench.Report, error) {
			progress(bench.Progress{What: "write on git", Done: 3, Total: 10})
			return report(), lib.fail
		},
	})
	out.pause = func(_ context.Context, d time.Duration) bool {
		out.waited = append(out.waited, d)
		return false
	}
	t.Cleanup(out.Close)
	out.send(tea.WindowSizeMsg{Width: w, Height: h})
	if s != nil {
		out.send(statsMsg{s})
	}
	return out
}

// settings are what a configuration looks like: defaults, a secret, and what the
// environment and a flag say.
func settings(t testing.TB) []config.Origin {
	t.Helper()
	given := map[string]string{"GOVC_AUTH_TOKEN": "hush-hush-hush-hush", "CAIATOP_STATE_DIR": "/home/ada/.local/state/caiatop"}
	cfg, err := config.Load(config.Input{
		Flags: map[string]string{"http-addr": "127.0.0.1:8088"},
		Env:   func(name string) (string, bool) { v, ok := given[name]; return v, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	// Not all of them, so that a new setting changes no screen.
	shown := []string{
		"govc.url", "govc.token", "govc.api_key", "govc.insecure", "govc.repo", "govc.timeout", "phase", "layout", "state.dir",
		"embedded.port", "gitrepo.cache", "http.addr", "http.token", "backup.remote", "backup.interval", "backup.known_hosts", "log.level",
	}
	return slices.DeleteFunc(cfg.Origins(), func(o config.Origin) bool { return !slices.Contains(shown, o.Key) })
}

func report() bench.Report {
	row := func(op, place string, published, p50 time.Duration) bench.Row {
		return bench.Row{Op: op, Store: place, Published: published, Count: 1000, P50: p50, P95: 2 * p50, P99: 3 * p50, Max: 9 * p50, Rate: float64(time.Second) / float64(p50)}
	}
	return bench.Report{
		At: noon, Took: 62 * time.Second, Documents: 1000, DocBytes: 1024, Machine: "linux/amd64, 2 cores, go1.26.8",
		Rows: []bench.Row{
			row("write", "memory", 0, 2*time.Microsecond), row("write", "git", 3310*time.Microsecond, 41*time.Microsecond),
			row("write", "govc", 900*time.Microsecond, 1100*time.Microsecond),
			{Op: "merge", Store: "git", Published: 3 * time.Millisecond},
		},
	}
}

// send passes a message through Update, and everything that follows from it.
func (s *session) send(msg tea.Msg) {
	_, cmd := s.Update(msg)
	s.run(cmd)
}

func (s *session) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.QuitMsg:
		s.quit = true
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	default:
		s.send(msg)
	}
}

var named = map[string]tea.KeyType{
	"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft,
	"right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd,
	"ctrl+s": tea.KeyCtrlS, "ctrl+f": tea.KeyCtrlF, "ctrl+c": tea.KeyCtrlC, "ctrl+u": tea.KeyCtrlU, "backspace": tea.KeyBackspace,
	"shift+tab": tea.KeyShiftTab, "delete": tea.KeyDelete,
}

// press sends keys by their names; anything else is typed as it is.
func (s *session) press(keys ...string) {
	for _, k := range keys {
		if k == "alt+esc" {
			s.send(tea.KeyMsg{Type: tea.KeyEsc, Alt: true})
			continue
		}
		if letter, ok := strings.CutPrefix(k, "alt+"); ok {
			s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(letter), Alt: true})
			continue
		}
		if kind, ok := named[k]; ok {
			s.send(tea.KeyMsg{Type: kind})
			continue
		}
		s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)})
	}
}

var errBroken = errors.New("disk on fire")
