package cli

import (
	"context"
	"errors"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// Drill implements httpapi.Drills.
func (l Local) Drill(context.Context) (httpapi.DrillStatus, error) {
	return l.drill(l.engine.DrillStatus()), nil
}

// StartDrill implements httpapi.Drills.
func (l Local) StartDrill(ctx context.Context, d httpapi.Drill) (httpapi.DrillStatus, error) {
	status, err := l.engine.StartDrill(ctx, engine.Drill{
		Kind: engine.DrillKind(d.Kind), For: duration(d.Seconds, time.Second), Delay: duration(d.DelayMS, time.Millisecond),
		Jitter: duration(d.JitterMS, time.Millisecond), Rate: d.Rate, Path: d.Path, Bandwidth: d.BytesPerSecond,
	})
	return l.drill(status), drillError(err)
}

// drillError is apiError with advice that fits a drill.
func drillError(err error) error {
	fix := ""
	switch {
	case errors.Is(err, engine.ErrDrillRuns):
		fix = stopDrill
	case errors.Is(err, engine.ErrNoDrill):
		fix = "see: caiatop drill start --help"
	}
	return httpapi.NewError(apiError(err), fix)
}

// StopDrill implements httpapi.Drills.
func (l Local) StopDrill(ctx context.Context) (httpapi.DrillStatus, error) {
	status, err := l.engine.StopDrill(ctx)
	out := l.drill(status)
	out.Running, out.Ends = err != nil, nil
	return out, apiError(err)
}

// duration is n units, and out of every limit what no duration can hold.
func duration(n float64, unit time.Duration) time.Duration {
	const most = float64(24 * time.Hour)
	return time.Duration(max(min(n*float64(unit), most), -most))
}

// drill adds to a drill which ones can be held.
func (l Local) drill(s engine.DrillStatus) httpapi.DrillStatus {
	out := toDrill(s)
	for _, info := range engine.DrillsAt(l.engine.Stats().Service) {
		out.Kinds = append(out.Kinds, httpapi.DrillKind{Kind: string(info.Kind), Means: info.Means, Takes: info.Takes})
	}
	return out
}

func toDrill(s engine.DrillStatus) httpapi.DrillStatus {
	if !s.Running() {
		return httpapi.DrillStatus{Kinds: []httpapi.DrillKind{}}
	}
	return httpapi.DrillStatus{
		Kinds: []httpapi.DrillKind{}, Running: true, Started: &s.Started, Ends: &s.Ends, Error: s.Err,
		Drill: httpapi.Drill{
			Kind: string(s.Kind), Seconds: s.For.Seconds(), DelayMS: milliseconds(s.Delay), JitterMS: milliseconds(s.Jitter),
			Rate: s.Rate, Path: s.Path, BytesPerSecond: s.Bandwidth,
		},
	}
}
