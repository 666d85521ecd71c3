package overview

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/probe"
)

// outage is a FALLBACK as the engine tells it.
func outage() *engine.Stats {
	return &engine.Stats{
		At: noon, State: engine.StateFallback, Since: noon.Add(-42 * time.Second), Documents: 6,
		Reason: `5 calls in a row failed, the last one: unavailable: govc: check liveness: Get "http://127.0.0.1:1/health/live": dial tcp 127.0.0.1:1: connect: connection refused`,
		Next:   "It ends after 15s of good probes, or press r to try now",
		Outbox: engine.Outbox{Pending: 214, Oldest: noon.Add(-40 * time.Second)},
		Safe:   []string{"state", "git"},
	}
}

// flat is a page as running text.
func flat(p *Page) string {
	var left, right []string // columns of panes
	for _, line := range p.View() {
		l, r, _ := strings.Cut(line, "││")
		left, right = append(left, l), append(right, r)
	}
	text := strings.Join(append(left, right...), " ")
	for _, border := range []string{"│", "─", "╭", "╮", "╰", "╯"} {
		text = strings.ReplaceAll(text, border, " ")
	}
	return strings.Join(strings.Fields(text), " ")
}

// bodies are the sizes of the page on terminals of 80x24, 60x15, 120x40.
var bodies = [][2]int{{80, 21}, {60, 12}, {120, 37}}

func TestFallbackIsTold(t *testing.T) {
	for _, size := range bodies {
		p := newPage()
		p.SetSize(size[0], size[1])
		p.SetStats(outage())
		got := flat(p)
		for _, want := range []string{
			"FALLBACK for 42s", "why 5 calls in a row failed, the last one: connection refused",
			"next It ends after 15s of good probes, or press r to try now", "outbox 214 oldest 40s",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: %q is not shown:\n%s", size, want, strings.Join(p.View(), "\n"))
			}
		}
	}
}

func TestADrillSaysHowItEnds(t *testing.T) {
	s := outage()
	s.Drill.Kind, s.Service.Drill = engine.DrillDown, engine.DrillDown
	s.Next = "The drill ends by itself, or press d (caiatop drill stop). Then good probes end this, or press r (caiatop recover)"
	for _, size := range bodies {
		p := newPage()
		p.SetSize(size[0], size[1])
		p.SetStats(s)
		if got := flat(p); !strings.Contains(got, "next The drill ends by itself, or press d") {
			t.Errorf("%v:\n%s", size, strings.Join(p.View(), "\n"))
		}
	}
}

func TestLockedSaysWhatToDo(t *testing.T) {
	s := outage()
	s.State, s.Reason = engine.StateLocked, "the service holds another repository (lineage 1f2e3d, ours is 9a8b7c)"
	s.Next = "If this service is to hold these documents: caiatop recover --adopt; or point GOVC_SERVICE_URL at another service"
	for _, size := range bodies {
		p := newPage()
		p.SetSize(size[0], size[1])
		p.SetStats(s)
		got := flat(p)
		for _, want := range []string{"LOCKED for 42s", "why The service holds another repository", "next " + s.Next} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: %q is not shown:\n%s", size, want, strings.Join(p.View(), "\n"))
			}
		}
	}
}

func TestEventsAreWholeWhereThereIsRoom(t *testing.T) {
	s := outage()
	s.Events = []engine.Event{
		{At: noon, Text: "FALLBACK, from PRIMARY: " + s.Reason},
		{At: noon, Text: "PRIMARY, from REPLAYING: the service holds every acknowledged write"},
	}
	p := newPage()
	p.SetSize(120, 37)
	p.SetStats(s)
	whole := strings.Join(strings.Fields(strings.Join(p.why(34, 30), " ")), " ")
	for _, text := range []string{"calls in a row failed, the last one: unavailable", "the service holds every acknowledged write"} {
		if !strings.Contains(whole, text) || strings.Contains(whole, "…") {
			t.Errorf("with 30 lines of room, %q is not in %q", text, whole)
		}
	}
	low := p.why(56, 4)
	if len(low) > 4 || !strings.Contains(strings.Join(low, " "), "PRIMARY, from REPLAYING") {
		t.Errorf("one event takes all of a low pane: %q", low)
	}
}

func TestNothingToChartTakesNoRoom(t *testing.T) {
	p := newPage()
	p.SetSize(120, 37)
	s := &engine.Stats{At: noon, State: engine.StatePrimary, Documents: 6}
	p.SetStats(s)
	if strings.Contains(flat(p), "highest") {
		t.Errorf("empty charts:\n%s", strings.Join(p.View(), "\n"))
	}
	busy := *s
	op := probe.OpStats{Op: probe.Write, Store: probe.Engine, Count: 1}
	op.RateSeries[probe.SparkPoints-1] = 1
	busy.Ops = []probe.OpStats{op}
	p.SetStats(&busy)
	if !strings.Contains(flat(p), "highest 1.00/s") {
		t.Errorf("no charts:\n%s", strings.Join(p.View(), "\n"))
	}
}

func TestDurable(t *testing.T) {
	p := newPage()
	no := false
	p.SetStats(&engine.Stats{At: noon, Service: engine.Service{URL: "http://x"}, Facts: engine.Facts{Durable: &no}})
	if got := p.kept(36); got != "durable: no, in memory only" {
		t.Errorf("a service that says no: %q", got)
	}
	for want, s := range map[string]engine.Service{
		"durable: yes": {Durable: true}, "durable: no, in memory only": {Embedded: true}, "durable: not declared": {URL: "http://x"},
	} {
		p.SetStats(&engine.Stats{At: noon, Service: s})
		if got := p.kept(36); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
		p.SetStats(&engine.Stats{At: noon, Service: s, Facts: engine.Facts{Access: govc.Access{Insecure: true}}})
		if got := p.kept(36); !strings.HasPrefix(got, "■ INSECURE TLS  durable") || ansi.StringWidth(got) > 36 {
			t.Errorf("%+v: %q does not warn, or has no room", s, got)
		}
	}
}
