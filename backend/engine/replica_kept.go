package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// In the phase govc-only nothing but the service and the state file hold
// documents. Copies are kept in the state file of every document where the
// service does not keep its data over a restart, and else of those that it does
// not deliver (too large for it, refused). A payload leaves the outbox only once
// a copy or such a service has it: the kept copies are a replica like any other,
// with a cursor of their own.

// errServiceFirst: the copies depend on what the service has, and it does not
// serve now.
var errServiceFirst = errors.New("waiting for the govc service")

// keptReplica names the kept copies among the replicas.
const keptReplica = "kept"

const (
	// metaKept is what the kept copies are known to hold: keptAll documents, or
	// keptRest of what the service delivers; "" while that is not known.
	metaKept = "kept.holds"
	keptAll  = "all"
	keptRest = "rest"
	// metaDurable is what the service said last of its own durability.
	metaDurable    = "primary.durable"
	metaDurableYes = "yes"

	// DefaultKeptBytes bounds the kept copies where nothing else is set.
	DefaultKeptBytes = 4 << 30
	keptBatchBytes   = 8 << 20
	// keptLookEvery is how often a copy is looked at that may be needed no more.
	keptLookEvery = 5 * time.Second
)

// serviceDurable reports whether the service keeps what it acknowledged over a
// restart, as it says itself or said last. One that says nothing does not.
func (e *Engine) serviceDurable() bool {
	if e.o.Embedded != nil {
		return e.o.Embedded.Keeps()
	}
	return e.o.State.Meta(metaDurable) == metaDurableYes
}

// noteDurable records what the service says of itself.
func (e *Engine) noteDurable(ctx context.Context) error {
	e.mu.Lock()
	described, info := e.view.facts.Described, e.view.info
	e.mu.Unlock()
	if !described {
		return nil
	}
	says := ""
	if info.Durable && info.Implementation == govcd.Implementation {
		says = metaDurableYes
	}
	if says == e.o.State.Meta(metaDurable) {
		return nil
	}
	return local(e.o.State.SetMeta(ctx, metaDurable, says))
}

// runKept keeps copies until its context ends.
func (e *Engine) runKept(ctx context.Context) {
	for told := false; ctx.Err() == nil; {
		n, err := e.keptRound(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.setReplicaError(keptReplica, err)
			if !errors.Is(err, errServiceFirst) {
				told = true
				e.trouble(Error, "kept", "Copies cannot be kept: "+err.Error(),
					"What is written stays in the outbox meanwhile; look at the disk that holds the state folder, and at engine.kept_bytes")
			}
			pause(ctx, suspectRetry, nil)
			continue
		case told:
			told = false
			e.event(Info, "kept", "Copies are kept again", "")
		}
		if e.replicaError(keptReplica) != "" {
			e.setReplicaError(keptReplica, nil)
		}
		if n == 0 {
			pause(ctx, keptLookEvery, e.phased.wakeKept)
		}
	}
}

// keptRound does what is next and returns how many documents it was about.
func (e *Engine) keptRound(ctx context.Context) (int, error) {
	if err := e.noteDurable(ctx); err != nil {
		return 0, err
	}
	want, have := e.keptWanted(), e.o.State.Meta(metaKept)
	if want != have {
		var err error
		switch {
		case want == keptAll:
			err = e.keepAll(ctx)
		case have == "":
			err = e.keepRest(ctx)
		}
		// From all to the rest nothing has to be done: a copy goes once the service
		// was seen to have the document.
		if err == nil {
			err = local(e.o.State.SetMeta(ctx, metaKept, want))
		}
		if err != nil {
			return 0, err
		}
	}
	n, err := e.keptFollow(ctx, want)
	if n == 0 && err == nil && want == keptRest {
		n, err = e.dropKept(ctx)
	}
	return n, err
}

func (e *Engine) keptWanted() string {
	if e.serviceDurable() {
		return keptRest
	}
	return keptAll
}

// keptReady reports whether every document is where the phase govc-only has it.
func (e *Engine) keptReady(ctx context.Context) (bool, error) {
	want := e.keptWanted()
	if e.o.State.Meta(metaKept) != want {
		return false, nil
	}
	if want == keptRest {
		return true, nil
	}
	mark := e.keptMark.now()
	for after := ""; ; {
		rows, err := e.o.State.Unkept(ctx, after, snapshotPage)
		if err != nil || len(rows) == 0 {
			return err == nil, local(err)
		}
		if slices.ContainsFunc(rows, func(r state.Row) bool { return r.Seq <= mark }) {
			return false, nil
		}
		after = rows[len(rows)-1].ID.String()
	}
}

// keptFollow passes the next operations and returns how many. Copies of all
// documents are kept as they are written; where the service keeps its data, what
// it has passed is looked at.
func (e *Engine) keptFollow(ctx context.Context, want string) (int, error) {
	limit := e.o.State.Summary().MaxSeq
	if want == keptRest {
		limit, _ = e.o.State.Cursor(primaryReplica)
	}
	mark := e.keptMark.now()
	if limit <= mark {
		return 0, nil
	}
	rows, err := e.o.State.Next(ctx, mark, state.MaxKeep, keptBatchBytes)
	if err != nil {
		return 0, local(err)
	}
	rows = slices.DeleteFunc(rows, func(r state.Outgoing) bool { return r.Seq > limit })
	if len(rows) == 0 {
		return 0, nil
	}
	step := state.Keep{Store: keptReplica, Seq: rows[len(rows)-1].Seq, Release: want == keptAll, Spare: gitReplica}
	newest := make(map[document.ID]int64, len(rows))
	for _, row := range rows {
		newest[row.Key.ID] = row.Seq
	}
	for _, row := range rows {
		if newest[row.Key.ID] != row.Seq {
			continue
		}
		copied, err := e.keptOf(ctx, row, want)
		if err != nil {
			return 0, err
		}
		if copied.Doc == nil {
			step.Drop = append(step.Drop, copied)
		} else {
			step.Put = append(step.Put, copied)
		}
	}
	if err := e.o.State.Keep(ctx, step); err != nil {
		return 0, local(err)
	}
	e.keptMark.pass(step.Seq, "")
	e.touch()
	return len(rows), nil
}

// keptOf returns the copy to keep of an operation, without a document where none
// is needed: one before it goes then.
func (e *Engine) keptOf(ctx context.Context, row state.Outgoing, want string) (state.KeptCopy, error) {
	c := state.KeptCopy{ID: row.Key.ID, Seq: row.Seq, Hash: row.Hash}
	if row.Delete {
		return c, nil
	}
	if want == keptRest {
		aside, err := e.asideAtGovc(ctx, row.Key.ID)
		if err != nil || !aside {
			return c, err
		}
	}
	doc, err := e.payload(ctx, row)
	if errors.Is(err, store.ErrNotFound) {
		now, lookup := e.o.State.Lookup(ctx, row.Key.ID)
		switch {
		case lookup != nil && !errors.Is(lookup, store.ErrNotFound):
			return c, local(lookup)
		case lookup != nil || now.Seq != row.Seq:
			c.Seq = 0 // a later operation carries it; what is kept stays until then
			return c, nil
		}
	}
	if err != nil {
		return c, local(err)
	}
	c.Doc = &doc
	return c, nil
}

// asideAtGovc reports whether the newest version of a document is known not to
// be at the service.
func (e *Engine) asideAtGovc(ctx context.Context, id document.ID) (bool, error) {
	if e.o.State.ParkedCount() == 0 {
		return false, nil
	}
	parked, err := e.o.State.ParkedAt(ctx, id)
	return slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == primaryReplica }), local(err)
}

// dropKept looks at the next copies, and drops those of documents that the
// service delivers now. It returns how many it dropped.
func (e *Engine) dropKept(ctx context.Context) (int, error) {
	if e.o.State.Summary().Kept == 0 || !e.serving() {
		return 0, nil
	}
	page, err := e.o.State.KeptPage(ctx, e.phased.swept, state.MaxKeep)
	if err != nil {
		return 0, local(err)
	}
	if e.phased.swept = ""; len(page) == state.MaxKeep {
		e.phased.swept = page[len(page)-1].ID.String()
	}
	var rows []state.Row
	var step state.Keep
	for _, c := range page {
		aside, err := e.asideAtGovc(ctx, c.ID)
		if err != nil {
			return 0, err
		}
		row, err := e.o.State.Lookup(ctx, c.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			step.Drop = append(step.Drop, c)
		case err != nil:
			return 0, local(err)
		case !aside && row.Hash == c.Hash:
			rows = append(rows, row)
		}
	}
	lacks, err := e.undelivered(ctx, rows)
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if !slices.ContainsFunc(lacks, func(r state.Row) bool { return r.ID == row.ID }) {
			step.Drop = append(step.Drop, state.KeptCopy{ID: row.ID, Seq: row.Seq})
		}
	}
	if len(step.Drop) == 0 {
		return 0, nil
	}
	if err := e.o.State.Keep(ctx, step); err != nil {
		return 0, local(err)
	}
	e.touch()
	return len(step.Drop), nil
}

// roomToKeep refuses to write where the kept copies are at their limit. What is
// deleted makes room.
func (e *Engine) roomToKeep() error {
	s := e.o.State.Summary()
	if !e.phased.kept.on.Load() || s.KeptBytes+s.PayloadBytes < e.o.KeptBytes || s.KeptBytes == 0 {
		return nil
	}
	return fmt.Errorf("%w: the copies that the phase %s keeps have %d bytes, engine.kept_bytes allows %d: "+
		"raise it, delete documents, or have git again with caiatop phase set dual", store.ErrUnavailable, PhaseGovcOnly, s.KeptBytes+s.PayloadBytes, e.o.KeptBytes)
}
