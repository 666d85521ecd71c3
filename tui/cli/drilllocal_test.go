package cli

import (
	"errors"
	"math"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

func TestDrillsOfAnEngine(t *testing.T) {
	l, host := newLocal(t, true)
	for _, wrong := range []httpapi.Drill{
		{Kind: "fire"}, {Kind: "down", Seconds: 0.5}, {Kind: "down", Seconds: 901}, {Kind: "down", Seconds: math.Inf(1)}, {Kind: "down", Seconds: -1e300}, {Kind: "slow", DelayMS: 1e300}, {Kind: "down", Rate: 1},
	} {
		if status, err := l.StartDrill(t.Context(), wrong); !errors.Is(err, httpapi.ErrInvalid) || status.Running {
			t.Errorf("%+v: %+v, %v", wrong, status, err)
		}
	}
	want := httpapi.Drill{Kind: "errors", Seconds: 60, Rate: 0.5, Path: "/nothing"}
	status, err := l.StartDrill(t.Context(), httpapi.Drill{Kind: "errors", Path: "/nothing"})
	if err != nil || !status.Running || status.Drill != want || status.Ends.Sub(*status.Started) != engine.DefaultDrill || len(status.Kinds) != len(engine.DrillKinds()) {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := l.StartDrill(t.Context(), want); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("a second one: %v", err)
	} else if told, ok := errors.AsType[*httpapi.Error](err); !ok || told.Fix != stopDrill {
		t.Errorf("a second one: %+v", err)
	}
	if now, err := l.Status(t.Context()); err != nil || now.Drill == nil || now.Drill.Kind != "errors" {
		t.Errorf("%+v, %v", now.Drill, err)
	}
	if ended, err := l.StopDrill(t.Context()); err != nil || ended.Running || ended.Kind != "errors" || ended.Ends != nil {
		t.Errorf("%+v, %v", ended, err)
	}
	if now, err := l.Drill(t.Context()); err != nil || now.Running || now.Kind != "" || host.DrillStatus().Running() {
		t.Errorf("%+v, %v", now, err)
	}
	alone, _ := newLocal(t, false)
	if _, err := alone.StartDrill(t.Context(), httpapi.Drill{Kind: "down"}); !errors.Is(err, httpapi.ErrInvalid) {
		t.Errorf("without a service: %v", err)
	}
	if now, err := alone.Drill(t.Context()); err != nil || len(now.Kinds) != 0 {
		t.Errorf("without a service: %+v, %v", now, err)
	}
}
