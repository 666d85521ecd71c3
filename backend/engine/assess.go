package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Keys of the state file's meta table that record the attachment.
const (
	metaLineage = "primary.lineage"
	metaEpoch   = "primary.epoch"
	// metaJoining is the lineage that a new state is taking over.
	metaJoining = "primary.joining"
	// metaBegan is the URL of the service for which a state was made that held
	// nothing then.
	metaBegan = "primary.began"
	// metaRefill is set while everything is copied to the primary.
	metaRefill = "primary.refill"
)

const adoptHint = "If this service is to hold these documents: caiatop recover --adopt"

// assess looks at the service as if for the first time and says which state
// follows: the identity marker decides. An error means that the service cannot
// be judged now.
func (e *Engine) assess(ctx context.Context, adopt bool) (*verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Budget)
	defer cancel()
	info, err := e.o.Primary.Describe(ctx)
	if err != nil {
		return e.unjudged(err)
	}
	e.setInfo(info)
	marker, found, err := e.o.Primary.ReadMarker(ctx)
	if err != nil {
		return e.unjudged(err)
	}
	lineage := e.o.State.Meta(metaLineage)
	epoch, err := parseEpoch(e.o.State.Meta(metaEpoch))
	if err != nil {
		return nil, err
	}
	e.breaker.clear()
	switch {
	case found && marker.Lineage == lineage && marker.Epoch == epoch:
		if e.o.State.Meta(metaRefill) != "" {
			return reseeding("an earlier copy to the service was not finished"), nil
		}
		if e.lastLost(ctx) {
			return lost("the service no longer holds the document that was written last"), nil
		}
		if back, err := e.wentBack(ctx); err != nil || back {
			if err != nil {
				return e.unjudged(err)
			}
			return lost(e.serviceName() + " went back to an earlier time: it lacks the commit that was recorded last"), nil
		}
		return &verdict{to: StateReplaying, reason: "the service is the one that this state belongs to"}, nil
	case found && marker.Lineage == lineage:
		return reseeding(fmt.Sprintf("the service is at epoch %d, this state at %d", marker.Epoch, epoch)), nil
	case found && e.o.Embedded != nil && lineage == "":
		return e.assessOwn(ctx, marker)
	case found:
		return e.assessForeign(ctx, marker, lineage, adopt)
	case e.o.Embedded != nil && e.current() == StateProbing && (!e.o.Embedded.Keeps() || e.o.State.Tip(primaryReplica) == ""):
		return reseeding("the embedded service starts empty"), nil
	case lineage == "" && e.o.State.Meta(metaRefill) != "":
		return reseeding("an earlier copy to the service was not finished"), nil
	case lineage != "" || e.o.Embedded != nil:
		return lost(e.serviceName() + " came back without its data (the identity marker is absent)"), nil
	}
	return e.assessNew(ctx, adopt)
}

// serviceName says which service is meant where its folder matters.
func (e *Engine) serviceName() string {
	if e.DrillStatus().Kind == DrillEmptyRestart {
		return "the embedded service"
	}
	if e.o.Embedded != nil && e.o.Embedded.Keeps() {
		return "the embedded service, whose folder was deleted, replaced or restored from a copy,"
	}
	return "the service"
}

// unjudged tells refused credentials from an outage.
func (e *Engine) unjudged(err error) (*verdict, error) {
	if strange, ok := errors.AsType[*govc.NotGovcError](err); ok && e.current() != StateLocked {
		return locked(strange.Error(), "Check GOVC_SERVICE_URL and start again, or press r (caiatop recover) once a govc service answers there"), nil
	}
	if errors.Is(err, store.ErrUnauthorized) {
		if e.current() == StateLocked {
			return nil, err
		}
		return refused(err), nil
	}
	return nil, err
}

// assessOwn meets an embedded service that holds documents already, with a state
// that was made anew: nobody else uses the folder, so it is ours. What git holds
// is taken over first.
func (e *Engine) assessOwn(ctx context.Context, marker govc.Marker) (*verdict, error) {
	select {
	case <-e.adopted:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting until the index knows what git holds: %w", ctx.Err())
	}
	if err := e.o.State.SetMeta(ctx, metaRebuild, "own"); err != nil {
		return nil, local(err)
	}
	v, err := e.assessForeign(ctx, marker, "", true)
	if v != nil {
		v.reason = "this state was made anew, and the embedded service holds documents already"
	}
	return v, err
}

// assessForeign meets a marker of another lineage: a new state joins it, any
// other state needs a person.
func (e *Engine) assessForeign(ctx context.Context, marker govc.Marker, lineage string, adopt bool) (*verdict, error) {
	if err := e.awaitAdopted(ctx); err != nil {
		return nil, err
	}
	joining := e.o.State.Meta(metaJoining) == marker.Lineage
	mayJoin := adopt || joining
	if !mayJoin && lineage == "" {
		var err error
		if mayJoin, err = e.mayJoin(ctx); err != nil {
			return nil, err
		}
	}
	if !mayJoin {
		return locked(
			fmt.Sprintf("the service holds another repository (lineage %s, ours is %s)", marker.Lineage, orNone(lineage)),
			adoptHint+"; or point GOVC_SERVICE_URL at another service"), nil
	}
	// The lineage is ours only once everything is taken over. What is recorded
	// before leads back here after a crash or an outage.
	first := metaJoining
	if adopt {
		first = metaRefill
	}
	if err := e.o.State.SetMeta(ctx, first, marker.Lineage); err != nil {
		return nil, local(err)
	}
	if _, err := e.hold(ctx, primaryReplica); err != nil {
		return nil, local(err)
	}
	if err := e.importHeld(ctx); err != nil {
		return nil, err
	}
	if err := e.attach(ctx, marker.Lineage, marker.Epoch); err != nil {
		return nil, err
	}
	if err := e.recordNewest(ctx); err != nil {
		return nil, err
	}
	if adopt {
		return reseeding("adopted by the operator"), nil
	}
	if err := e.o.State.SetMeta(ctx, metaJoining, ""); err != nil {
		return nil, local(err)
	}
	return &verdict{to: StateReplaying, reason: "joined the repository that the service holds"}, nil
}

// assessNew meets a service without a marker that this state was never
// attached to: only if both sides are empty is it taken without asking.
func (e *Engine) assessNew(ctx context.Context, adopt bool) (*verdict, error) {
	if err := e.awaitAdopted(ctx); err != nil {
		return nil, err
	}
	created, err := e.o.Primary.EnsureRepo(ctx)
	if err != nil {
		return nil, err
	}
	empty := created
	if !empty {
		if empty, err = e.o.Primary.Empty(ctx); err != nil {
			return nil, err
		}
	}
	if !adopt && (!empty || !e.isNew()) {
		return locked(
			fmt.Sprintf("repository %q at the service has no identity marker, and it or this state holds documents already", e.o.Repository),
			adoptHint), nil
	}
	if err := e.importHeld(ctx); err != nil {
		return nil, err
	}
	return reseeding("first attachment to this service"), nil
}

// isNew reports whether this state holds nothing, or began empty in front of this
// very service and belongs to none yet: what was written since was written for
// it. Without that, whether a write came before the first look at the service
// would decide.
func (e *Engine) isNew() bool {
	s := e.o.State.Summary()
	began := e.o.State.Meta(metaBegan)
	return e.o.State.Meta(metaLineage) == "" && (s.MaxSeq == 0 && s.Documents == 0 || began != "" && began == e.o.URL)
}

// noteBeginning records of a state that was made anew whether it began empty,
// before anything is written to it.
func (e *Engine) noteBeginning(ctx context.Context) error {
	if s := e.o.State.Summary(); s.MaxSeq > 0 || s.Documents > 0 {
		return nil
	}
	return local(e.o.State.SetMeta(ctx, metaBegan, e.o.URL))
}

// attach records which repository this state belongs to.
func (e *Engine) attach(ctx context.Context, lineage string, epoch int64) error {
	if err := e.o.State.SetMeta(ctx, metaEpoch, strconv.FormatInt(epoch, 10)); err != nil {
		return local(err)
	}
	if err := e.o.State.SetMeta(ctx, metaLineage, lineage); err != nil {
		return local(err)
	}
	return nil
}

// raiseEpoch writes the marker that says that the service is whole again, and
// then records it here. A crash in between leads to one more comparison.
func (e *Engine) raiseEpoch(ctx context.Context) (commit string, err error) {
	epoch, err := parseEpoch(e.o.State.Meta(metaEpoch))
	if err != nil {
		return "", err
	}
	lineage := e.o.State.Meta(metaLineage)
	if lineage == "" {
		lineage = e.o.NewID()
		// Recorded before the marker exists: a crash here leaves a state that
		// knows its lineage and refills the service.
		if err := e.attach(ctx, lineage, epoch); err != nil {
			return "", err
		}
	}
	marker, found, err := e.o.Primary.ReadMarker(ctx)
	if err != nil {
		return "", err
	}
	if found && marker.Lineage == lineage {
		epoch = max(epoch, marker.Epoch)
	}
	next := govc.Marker{Lineage: lineage, Epoch: epoch + 1, Created: e.o.Now().UTC()}
	if commit, err = e.o.Primary.WriteMarker(ctx, next); err != nil {
		return "", err
	}
	e.noteTip(commit)
	return commit, e.attach(ctx, lineage, next.Epoch)
}

// beganAnew is how much later a service must have begun than it did before, by
// its uptime, to be another one: more than uptimes are rounded, and than an
// answer takes.
const beganAnew = 500 * time.Millisecond

// describeAnew asks a service that was started again what it is: it may be
// another build, or keep its data no more. An outage between two probes leads
// to no other look at it. Only a service of ours is asked: at any other one the
// question can meet a writer, and one that was started again has no marker.
func (e *Engine) describeAnew(ctx context.Context, found probe.Found) error {
	if found.Uptime <= 0 || !e.talks() {
		return nil
	}
	began := e.o.Now().Add(-found.Uptime)
	e.mu.Lock()
	before, ours := e.view.began, e.view.info.Implementation != ""
	e.view.began = began
	e.mu.Unlock()
	if before.IsZero() || !ours || began.Sub(before) < beganAnew {
		return nil
	}
	info, err := e.o.Primary.Describe(ctx)
	if err != nil {
		e.mu.Lock()
		e.view.began = before // the next probe asks
		e.mu.Unlock()
		return err
	}
	e.setInfo(info)
	return nil
}

// checkMarker is part of every full probe while the primary serves: a service
// that answers but lost or changed its data must not be trusted a second
// longer.
func (e *Engine) checkMarker(ctx context.Context) error {
	if e.current() != StatePrimary {
		return nil
	}
	marker, found, err := e.o.Primary.ReadMarker(ctx)
	switch {
	case errors.Is(err, store.ErrUnauthorized):
		e.interrupt(refused(err), StatePrimary)
		return err
	case err != nil:
		return err
	case !found:
		e.interrupt(lost(e.serviceName()+" came back without its data (the identity marker is absent)"), StatePrimary)
	case marker.Lineage != e.o.State.Meta(metaLineage):
		e.interrupt(locked("the service now holds another repository (lineage "+marker.Lineage+")", adoptHint), StatePrimary)
	case marker.Epoch < e.epoch():
		e.interrupt(reseeding(fmt.Sprintf("the service went back to epoch %d", marker.Epoch)), StatePrimary)
	}
	return nil
}

func (e *Engine) epoch() int64 {
	epoch, err := parseEpoch(e.o.State.Meta(metaEpoch))
	if err != nil {
		return 0
	}
	return epoch
}

func parseEpoch(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	epoch, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, local(fmt.Errorf("epoch in the state file: %w", err))
	}
	return epoch, nil
}

// lastLost reports whether the document that this process wrote last reads as
// absent, or as an earlier version of ours.
func (e *Engine) lastLost(ctx context.Context) bool {
	e.mu.Lock()
	last := e.lastWritten
	e.mu.Unlock()
	if last.key.ID.IsZero() {
		return false
	}
	row, err := e.o.State.Lookup(ctx, last.key.ID)
	if err != nil || row.Deleted || row.Hash != last.hash {
		return false // written again or deleted since, by whomever: not a proof
	}
	doc, err := e.o.Primary.Get(ctx, last.key)
	if err != nil {
		return errors.Is(err, store.ErrNotFound)
	}
	hash, err := doc.Hash()
	if err != nil || hash == last.hash {
		return false
	}
	w := snapshotOf(row)
	return e.addEarlier(ctx, &w) == nil && w.isOurs(hash)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func roundDuration(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}
