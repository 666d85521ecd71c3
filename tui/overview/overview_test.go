package overview

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/tui/ui"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func newPage() *Page {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	return New(ui.NewTheme(r, ui.Unicode()), time.UTC)
}

func TestEverySizeFits(t *testing.T) {
	p := newPage()
	for _, stats := range []*engine.Stats{nil, {}, {At: noon, State: engine.StateFallback, Reason: strings.Repeat("why ", 99), Next: strings.Repeat("what ", 99), Progress: &engine.Progress{}}} {
		p.SetStats(stats)
		for w := 0; w < 210; w += 7 {
			for h := range 62 {
				p.SetSize(w, h)
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

func TestUnknownIsNeverZero(t *testing.T) {
	p := newPage()
	p.SetSize(80, 21)
	p.SetStats(&engine.Stats{
		At: noon, State: engine.StateProbing, Service: engine.Service{URL: "http://x"},
		Stores: []engine.StoreStats{{Name: probe.Git, Unknown: true}}, Documents: 1,
	})
	view := strings.Join(p.View(), "\n")
	for _, want := range []string{"not looked at yet", "git   - unknown now", "oldest -", "checks -"} {
		if !strings.Contains(view, want) {
			t.Errorf("%q is not shown:\n%s", want, view)
		}
	}
	for _, line := range strings.Split(view, "\n") {
		if strings.Contains(line, "engine") && strings.Contains(line, " 0 ") {
			t.Errorf("nothing measured is shown as zero: %q", line)
		}
	}
}

func TestADamagedStoreIsShownInStep(t *testing.T) {
	p := newPage()
	p.SetSize(120, 40)
	p.SetStats(&engine.Stats{
		At: noon, State: engine.StatePrimary, Service: engine.Service{URL: "http://x"},
		Stores: []engine.StoreStats{{Name: probe.Git, Cursor: 7, Damage: "object 12: \x1b[31mcorrupt"}},
	})
	view := strings.Join(p.View(), "\n")
	if !strings.Contains(view, "damaged: object 12: ^[[31mcorrupt") || strings.Contains(view, "in step") {
		t.Errorf("not shown:\n%s", view)
	}
}

// TestDamageThatTouchesNothingIsShownAsWhole: it is a warning.
func TestDamageThatTouchesNothingIsShownAsWhole(t *testing.T) {
	p := newPage()
	for _, size := range [][2]int{{80, 21}, {120, 37}, {200, 57}} {
		p.SetSize(size[0], size[1])
		p.SetStats(&engine.Stats{
			At: noon, State: engine.StatePrimary, Service: engine.Service{URL: "http://x"},
			Stores: []engine.StoreStats{{Name: probe.Git, Cursor: 7, Warning: "pack-\x1b12"}},
		})
		if view := strings.Join(p.View(), "\n"); !strings.Contains(view, "in step; damaged") {
			t.Errorf("%v: not shown:\n%s", size, view)
		}
	}
}

// TestTheLastCheckIsCutOff: what is not healthy comes first, and the check of the
// storage is seen at every size.
func TestTheLastCheckIsCutOff(t *testing.T) {
	p := newPage()
	for want, checks := range map[string]map[string]string{
		"storage ● repos ● memory ●": {"memory": "healthy", "repositories": "healthy", "storage": "healthy"},
		"memory ▲ warning storage ●": {"memory": "warning", "repositories": "healthy", "storage": "healthy", "audit": "healthy"},
	} {
		for _, size := range [][2]int{{80, 21}, {120, 37}, {200, 57}} {
			p.SetSize(size[0], size[1])
			p.SetStats(&engine.Stats{
				At: noon, State: engine.StatePrimary,
				Service: engine.Service{URL: "http://x", Health: probe.Health{Up: true, Checks: checks}},
			})
			if view := strings.Join(strings.Fields(strings.Join(p.View(), "\n")), " "); !strings.Contains(view, want) {
				t.Errorf("%v: %q is not shown:\n%s", size, want, strings.Join(p.View(), "\n"))
			}
		}
	}
}

func TestDrawnOnceASnapshot(t *testing.T) {
	p := newPage()
	p.SetSize(80, 21)
	stats := &engine.Stats{At: noon, State: engine.StatePrimary, Documents: 1}
	p.SetStats(stats)
	first := p.View()
	if again := p.View(); &again[0] != &first[0] {
		t.Error("the same snapshot was drawn twice")
	}
	next := *stats
	next.State = engine.StateFallback
	p.SetStats(&next)
	if strings.Join(p.View(), "") == strings.Join(first, "") {
		t.Error("another snapshot is not drawn")
	}
	p.SetSize(60, 15)
	if len(p.View()) != 15 {
		t.Error("another size is not drawn")
	}
}

func TestPlaces(t *testing.T) {
	tests := []struct {
		safe, also []string
		want       string
	}{
		{nil, nil, "-"},
		{nil, []string{"govc"}, "-"},
		{[]string{"state"}, nil, "state"},
		{[]string{"state", "git"}, []string{"govc"}, "state+git, also govc"},
	}
	for _, tt := range tests {
		if got := Places(&engine.Stats{Safe: tt.safe, Also: tt.also}); got != tt.want {
			t.Errorf("%v, %v: %q, want %q", tt.safe, tt.also, got, tt.want)
		}
	}
}

func TestMeasuredIsSorted(t *testing.T) {
	p := newPage()
	p.SetStats(&engine.Stats{Ops: []probe.OpStats{
		{Op: probe.Search, Store: probe.Engine, Count: 1},
		{Op: probe.Read, Store: probe.Git, Count: 1},
		{Op: probe.Write, Store: probe.Govc, Count: 1},
		{Op: probe.Read, Store: probe.Engine, Count: 1},
		{Op: probe.Delete, Store: probe.Govc},
	}})
	var got []string
	for _, s := range p.measured() {
		got = append(got, string(s.Op)+" "+string(s.Store))
	}
	want := "write engine, write govc, read engine, read git, search engine"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", strings.Join(got, ", "), want)
	}
}
