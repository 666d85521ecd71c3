package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/fault"
	"github.com/caiatech/caiatop/backend/store"
)

// Drills rehearse outages. What always holds of them:
//
//   - Nothing of a drill is written anywhere but into the journal: an engine that
//     is killed during one starts without it.
//   - The service itself is touched only if it is the embedded one, and its
//     folder never. Between the client and any other service stands a proxy for
//     as long as the drill runs: what the client says, and to whom, is the same.
//   - It ends by itself. One that cannot be ended is ended again every second,
//     and told.
const (
	// drillEnd bounds one attempt to end a drill.
	drillEnd = 10 * time.Second
	// cutAfter is how much is answered on an encrypted connection before it is
	// reset: more than the beginning of one, less than most work takes.
	cutAfter = 16 << 10
)

// DrillStatus is the drill that runs. The zero value says that none does.
type DrillStatus struct {
	Drill
	Started, Ends time.Time
	Err           string // why it could not be ended yet, unsanitised; "" if it need not
}

// Running reports whether there is one.
func (s DrillStatus) Running() bool { return s.Kind != "" }

// diverter is a client whose connections can be led elsewhere.
type diverter interface {
	// Divert leads to host:port, "" back; false if this client cannot.
	Divert(address string) bool
	Address() string
	Secure() bool
}

// drills is the one that runs, if any.
type drills struct {
	mu     sync.Mutex // one command at a time; held over I/O
	run    *drillRun
	closed bool
	timers sync.WaitGroup
}

// drillRun is a drill until it is ended.
type drillRun struct {
	drill   Drill
	started time.Time
	// end brings the service back. It may be called again after an error.
	end    func(context.Context) error
	cancel context.CancelFunc // of the timer
}

// StartDrill begins a drill and returns once the service is disturbed.
// ErrNoDrill, ErrDrillRuns, ErrNoPrimary or ErrClosing, and nothing is changed;
// another error says why the service could not be disturbed.
func (e *Engine) StartDrill(ctx context.Context, d Drill) (DrillStatus, error) {
	if err := d.complete(); err != nil {
		return DrillStatus{}, err
	}
	return e.startDrill(ctx, d)
}

// startDrill begins a drill whose measures are good.
func (e *Engine) startDrill(ctx context.Context, d Drill) (DrillStatus, error) {
	e.drills.mu.Lock()
	defer e.drills.mu.Unlock()
	if e.drills.closed {
		return DrillStatus{}, fmt.Errorf("drill: %w", ErrClosing)
	}
	if e.drills.run != nil {
		return DrillStatus{}, fmt.Errorf("%w: %s, for another %s", ErrDrillRuns, e.drills.run.drill.Kind, e.drillLeft())
	}
	if err := e.mayDrill(d.Kind); err != nil {
		return DrillStatus{}, err
	}
	if err := e.troubled(); err != nil {
		return DrillStatus{}, fmt.Errorf("drill: %w: the embedded service is down already: %w", store.ErrUnavailable, err)
	}
	end, err := e.disturb(ctx, d)
	if err != nil {
		return DrillStatus{}, fmt.Errorf("drill %s: %w: %w", d.Kind, store.ErrUnavailable, err)
	}
	timer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &drillRun{drill: d, started: e.o.Now(), end: end, cancel: cancel}
	e.drills.run = r
	status := DrillStatus{Drill: d, Started: r.started, Ends: r.started.Add(d.For)}
	e.setDrill(status)
	info, _ := drillInfo(d.Kind)
	e.event(Warning, kindDrill, fmt.Sprintf("The drill %s began, for %s: %s%s", d.Kind, d.For, info.Means, d.measures()),
		"It ends by itself, or press d (caiatop drill stop). Reads and writes go on")
	e.drills.timers.Go(func() { e.endInTime(timer, r) })
	e.prober.Hurry()
	return status, nil
}

// StopDrill ends the drill that runs and returns it; the zero value if none
// did. After an error the drill goes on, and is ended again every second.
func (e *Engine) StopDrill(ctx context.Context) (DrillStatus, error) {
	e.drills.mu.Lock()
	defer e.drills.mu.Unlock()
	r := e.drills.run
	if r == nil {
		return DrillStatus{}, nil
	}
	status := e.DrillStatus()
	return status, e.finishDrill(ctx, r, "by an operator")
}

// DrillStatus returns the drill that runs.
func (e *Engine) DrillStatus() DrillStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.drill
}

// mayDrill says why a kind cannot be held here. What could harm a service that
// is not ours is refused before anything is done.
func (e *Engine) mayDrill(kind DrillKind) error {
	if !e.talks() {
		return ErrNoPrimary
	}
	info, _ := drillInfo(kind)
	client, canDivert := e.o.Primary.(diverter)
	canDivert = canDivert && client.Divert("")
	switch {
	case info.Embedded && e.o.Embedded == nil:
		return fmt.Errorf("%w: %s is for the embedded service only, a real one could be harmed by it", ErrNoDrill, kind)
	case info.Plain && canDivert && client.Secure():
		return fmt.Errorf("%w: %s needs to tell one request from another, and those to this service are encrypted; take down, slow, reset, black-hole or bandwidth", ErrNoDrill, kind)
	case e.byProxy(kind) && !canDivert:
		return fmt.Errorf("%w: the connections of this client cannot be led through a proxy", ErrNoDrill)
	}
	if kind == DrillEmptyRestart {
		return e.mayForget()
	}
	return nil
}

// mayForget refuses to restart the service empty where it may hold what nothing
// else here does.
func (e *Engine) mayForget() error {
	if missing, _ := e.gitMissing(); !e.hasGit() || missing > 0 || !e.isKnown(gitReplica) {
		return fmt.Errorf("%w: git is not whole, so the service may hold the only copy of a document; look at: caiatop status", ErrNoDrill)
	}
	return nil
}

// byProxy reports whether a kind needs the proxy: at the embedded service, what
// can be done by it itself is.
func (e *Engine) byProxy(kind DrillKind) bool {
	return kind != DrillEmptyRestart && (kind != DrillDown || e.o.Embedded == nil)
}

// disturb does what a drill does, and returns how it is undone.
func (e *Engine) disturb(ctx context.Context, d Drill) (end func(context.Context) error, err error) {
	own := e.o.Embedded
	if e.byProxy(d.Kind) {
		return e.intercept(ctx, d)
	}
	back := func(context.Context) error { return own.Start() }
	begin := func() error { return nil }
	if d.Kind == DrillEmptyRestart {
		if !own.Keeps() { // it is the same service, before and after
			back, begin = func(context.Context) error { return nil }, own.Start
		} else {
			begin = own.StartEmpty
			back = func(ctx context.Context) error { return errors.Join(own.Stop(ctx), own.Start()) }
		}
	}
	if err = own.Stop(ctx); err == nil {
		err = begin()
	}
	if err != nil {
		return nil, errors.Join(err, own.Start())
	}
	return back, nil
}

// intercept puts the proxy between the client and its service.
func (e *Engine) intercept(ctx context.Context, d Drill) (end func(context.Context) error, err error) {
	client := e.o.Primary.(diverter)
	proxy := fault.New(fault.Options{Target: client.Address(), Random: e.o.Rand})
	if err = proxy.Set(d.fault(client.Secure())); err == nil {
		err = proxy.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, proxy.Close(ctx))
	}
	client.Divert(proxy.Addr())
	return func(ctx context.Context) error {
		client.Divert("")
		return proxy.Close(ctx)
	}, nil
}

// fault is what the proxy does in a drill.
func (d *Drill) fault(encrypted bool) fault.Mode {
	switch d.Kind {
	case DrillSlow:
		return fault.Slow(d.Delay, d.Jitter)
	case DrillErrors:
		return fault.Errors(d.Rate, d.Path)
	case DrillReset:
		if encrypted {
			return fault.Cut(cutAfter)
		}
		return fault.Broken(d.Rate)
	case DrillBlackHole:
		return fault.BlackHole()
	case DrillBandwidth:
		return fault.Bandwidth(d.Bandwidth)
	case DrillLostReplies:
		return fault.LostReplies(d.Rate)
	default:
		return fault.Down()
	}
}

// endInTime ends a drill when its time is over, and again until that works.
func (e *Engine) endInTime(ctx context.Context, r *drillRun) {
	for wait := r.drill.For; ; wait = time.Second {
		if pause(ctx, wait, nil); ctx.Err() != nil {
			return
		}
		e.drills.mu.Lock()
		if e.drills.run != r {
			e.drills.mu.Unlock()
			return
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drillEnd)
		err := e.finishDrill(limited, r, "its time was over")
		cancel()
		e.drills.mu.Unlock()
		if err == nil {
			return
		}
	}
}

// finishDrill brings the service back. The caller holds the mutex of the drills.
func (e *Engine) finishDrill(ctx context.Context, r *drillRun, why string) error {
	if err := r.end(ctx); err != nil {
		status := e.DrillStatus()
		status.Err = err.Error()
		e.setDrill(status)
		e.trouble(Error, kindDrill, fmt.Sprintf("The drill %s cannot be ended: %s", r.drill.Kind, err), "It is tried again every second; else start caiatop again, which knows of no drill")
		return fmt.Errorf("end the drill %s: %w: %w", r.drill.Kind, store.ErrUnavailable, err)
	}
	r.cancel()
	e.drills.run = nil
	e.setDrill(DrillStatus{})
	next := ""
	if e.current() != StatePrimary {
		next = "The service is sent what it missed after good probes; press r (caiatop recover) to do it now"
	}
	e.event(Info, kindDrill, fmt.Sprintf("The drill %s ended after %s: %s", r.drill.Kind, roundDuration(e.o.Now().Sub(r.started)), why), next)
	e.prober.Hurry()
	return nil
}

// closeDrills ends the drill that runs and admits no other. The embedded
// service is left as it is: it ends, too.
func (e *Engine) closeDrills(ctx context.Context) {
	e.drills.mu.Lock()
	e.drills.closed = true
	if r := e.drills.run; r != nil {
		e.drills.run = nil
		r.cancel()
		if e.byProxy(r.drill.Kind) {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drillEnd)
			if err := r.end(limited); err != nil {
				e.event(Warning, kindDrill, "The drill did not end well: "+err.Error(), "Nothing of it is left after the end of caiatop")
			}
			cancel()
		}
		e.setDrill(DrillStatus{})
	}
	e.drills.mu.Unlock()
	e.drills.timers.Wait()
}

func (e *Engine) setDrill(s DrillStatus) {
	e.mu.Lock()
	e.view.drill = s
	e.mu.Unlock()
	e.touch()
}

// silenced is why the service cannot be asked anything now, nil if it can.
func (e *Engine) silenced() error {
	s := e.DrillStatus()
	if !s.Kind.Silent() {
		return nil
	}
	return fmt.Errorf("%w: a drill (%s) keeps the service away: it ends by itself in %s, or press d (caiatop drill stop) to end it now", store.ErrUnavailable, s.Kind, e.drillLeft())
}

// drillLeft is how long the drill that runs still lasts.
func (e *Engine) drillLeft() time.Duration {
	return max(e.DrillStatus().Ends.Sub(e.o.Now()), 0).Round(time.Second)
}

// inDrill says of an outage that it happens in a drill. The caller holds the
// mutex.
func (e *Engine) inDrill(v *verdict) *verdict {
	if v == nil || !e.view.drill.Running() || v.held || v.to != StateFallback && v.to != StateReseeding {
		return v
	}
	told := *v
	told.reason = fmt.Sprintf("in a drill (%s), %s", e.view.drill.Kind, v.reason)
	return &told
}

// rehearsed is inDrill for whoever does not hold the mutex.
func (e *Engine) rehearsed(v *verdict) *verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inDrill(v)
}

// nextOf is what ends the state that v leads to, or what to do.
func (e *Engine) nextOf(v *verdict) string {
	if v.to == StateFallback && !v.held && e.DrillStatus().Running() {
		return drillNext
	}
	return v.next
}

// drillNext is what ends an outage that is rehearsed.
const drillNext = "The drill ends by itself, or press d (caiatop drill stop). Then good probes end this, or press r (caiatop recover)"
