package system

import (
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// newPage returns a page, and how often the memory was looked at.
func newPage(t *testing.T) (*Page, *int) {
	t.Helper()
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	tasks := task.New(t.Context())
	t.Cleanup(tasks.Close)
	looked := new(int)
	return New(Options{
		Tasks: tasks, Theme: ui.NewTheme(r, ui.Unicode()), Location: time.UTC,
		Process:  Process{Started: noon.Add(-time.Hour), Memory: func() int64 { *looked++; return int64(*looked) << 20 }},
		Settings: []config.Origin{{Key: "govc.ca", Value: "/etc/ca.pem", From: "config.yaml:3"}, {Key: "govc.token", Value: "[redacted]", From: "environment GOVC_AUTH_TOKEN"}},
	}), looked
}

func full() *engine.Stats {
	s := &engine.Stats{At: noon, State: engine.StatePrimary, Repository: "docs", StateDir: "/state", GitDir: "/state/documents.git"}
	s.Service = engine.Service{URL: "https://govc.example", Health: probe.Health{Up: true, At: noon, Err: strings.Repeat("trouble ", 40)}}
	s.Facts = engine.FactsOf(govc.Info{Dialect: "v2", Reason: strings.Repeat("because ", 50), Version: "1"})
	s.Facts.Access = govc.Access{
		Method: "token", Unused: []string{"API key"}, Subject: strings.Repeat("ada", 60), Rights: map[string]string{}, Insecure: true,
		Expires: noon, TLSVersion: "TLS 1.2", Peer: strings.Repeat("peer", 40), Proxy: "p:1", Problem: strings.Repeat("x", 300),
	}
	for i := range 20 {
		s.Facts.Access.Rights[strings.Repeat("r", i+1)] = "read"
	}
	return s
}

func TestEverySizeFits(t *testing.T) {
	p, _ := newPage(t)
	for _, stats := range []*engine.Stats{nil, {}, {At: noon, Phase: engine.PhaseGitOnly}, full()} {
		if stats != nil {
			p.SetStats(stats)
		}
		for _, w := range []int{0, 8, 30, 75, 76, 110, 200} {
			for _, h := range []int{0, 2, 5, 12, 17, 21, 60} {
				p.SetSize(w, h)
				for _, move := range []string{action.Top, action.PageDown, action.Bottom} {
					p.Do(move)
					lines := p.View()
					if len(lines) != h {
						t.Fatalf("%dx%d: %d lines", w, h, len(lines))
					}
					for _, line := range lines {
						if n := ansi.StringWidth(line); n != w {
							t.Fatalf("%dx%d: %d cells in %q", w, h, n, line)
						}
					}
				}
			}
		}
	}
}

// TestEverythingCanBeReached: page by page, at every size that shows a page,
// the first and the last line of each part come into view.
func TestEverythingCanBeReached(t *testing.T) {
	p, _ := newPage(t)
	p.SetStats(full())
	for _, size := range [][2]int{{120, 37}, {80, 21}, {76, 17}, {60, 12}, {40, 9}} {
		p.SetSize(size[0], size[1])
		p.Do(action.Top)
		seen := ""
		for before := -1; p.top != before; {
			before = p.top
			seen += strings.Join(p.View(), "\n")
			p.Do(action.PageDown)
		}
		for _, want := range []string{"Identity", "lineage", "Access & TLS", "INSECURE", "proxy", "This process", "log", "Capabilities", "batch", "tags", "Configuration", "govc.token", "[redacted]"} {
			if !strings.Contains(seen, want) {
				t.Errorf("%v: %q is never shown", size, want)
			}
		}
		bottom := strings.Join(p.View(), "\n")
		p.Do(action.Down)
		if strings.Join(p.View(), "\n") != bottom {
			t.Errorf("%v: it goes on past the end", size)
		}
	}
}

func TestUnknownIsSaid(t *testing.T) {
	p, _ := newPage(t)
	p.o.Process, p.o.Settings = Process{}, nil
	p.SetSize(120, 40)
	p.SetStats(&engine.Stats{At: noon, State: engine.StateProbing, Service: engine.Service{URL: "http://x"}})
	view := strings.Join(p.View(), "\n")
	for _, want := range []string{"not looked at yet", "dialect     -", "durable: -", "dns - connect - tls - first byte -", "lineage     -", "epoch       -", "ours        -", "credential  -", "memory      -", "process     -   up -"} {
		if !strings.Contains(view, want) {
			t.Errorf("%q is not shown:\n%s", want, view)
		}
	}
}

// TestTheWarningHasAWord, for those who see no colours.
func TestTheWarningHasAWord(t *testing.T) {
	p, _ := newPage(t)
	s := full()
	p.SetSize(120, 60)
	p.SetStats(s)
	if view := strings.Join(p.View(), "\n"); !strings.Contains(view, "■ INSECURE TLS") || !strings.Contains(view, "expired") {
		t.Errorf("no warning:\n%s", view)
	}
	safe := *s
	safe.Facts.Access.Insecure = false
	p.SetStats(&safe)
	if view := strings.Join(p.View(), "\n"); strings.Contains(view, "INSECURE") || !strings.Contains(view, "own CA /etc/ca.pem") {
		t.Errorf("a warning for nothing, or no CA:\n%s", view)
	}
}

// TestMemoryIsLookedAtSeldom, and only while somebody sees it.
func TestMemoryIsLookedAtSeldom(t *testing.T) {
	p, looked := newPage(t)
	p.SetSize(120, 40)
	run := func(cmd tea.Cmd) {
		if cmd != nil {
			if reply := cmd(); reply != nil {
				p.Update(reply)
			}
		}
	}
	at := func(seconds int) *engine.Stats {
		return &engine.Stats{At: noon.Add(time.Duration(seconds) * time.Second)}
	}
	run(p.SetStats(at(0)))
	if *looked != 0 {
		t.Error("it was looked at though nobody sees it")
	}
	run(p.SetVisible(true))
	for i := range 25 {
		run(p.SetStats(at(i)))
	}
	if *looked != 3 {
		t.Errorf("it was looked at %d times in 25 s, want 3", *looked)
	}
	if view := strings.Join(p.View(), "\n"); !strings.Contains(view, "3.00 MiB") || !strings.Contains(view, "up 1h 00m") {
		t.Errorf("not shown:\n%s", view)
	}
	run(p.SetVisible(false))
	run(p.SetStats(at(100)))
	if *looked != 3 {
		t.Error("it was looked at though nobody sees it any more")
	}
	if n := Memory(); n < 1<<20 {
		t.Errorf("this process takes %d bytes", n)
	}
}
