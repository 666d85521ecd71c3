package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// incomplete is the cursor of a full-text index whose snapshot was not
// finished: it is made again at the next start.
const incomplete = -1

// runText keeps the full-text index in step. It is a replica like any other,
// with its own cursor, and callers never wait for it.
func (e *Engine) runText(ctx context.Context) {
	failures := 0
	retry := func(err error) {
		if ctx.Err() != nil {
			return
		}
		e.setReplicaError(textReplica, err)
		if failures == 0 {
			e.event(Error, "search", "The full-text index cannot be filled: "+err.Error(),
				"Search shows older documents only; it is tried again. If it lasts, stop caiatop and delete derived.db in the state folder: it is made anew")
		}
		failures++
		pause(ctx, min(time.Duration(failures)*time.Second, 30*time.Second), nil)
	}
	for ctx.Err() == nil {
		e.doTextWork(ctx)
		err := e.catchUpText(ctx)
		if err == nil {
			break
		}
		retry(err)
	}
	for ctx.Err() == nil {
		e.gate.yield(ctx, textYieldMost)
		e.doTextWork(ctx)
		n, err := e.textRound(ctx)
		if err != nil {
			retry(err)
			continue
		}
		if failures > 0 {
			failures = 0
			e.setReplicaError(textReplica, nil)
		}
		if n == 0 {
			select {
			case <-ctx.Done():
			case <-e.wakeText:
			}
		}
	}
}

// catchUpText fills an index that is new, or older than what the outbox still
// holds, from a snapshot.
func (e *Engine) catchUpText(ctx context.Context) error {
	cursor := e.o.Derived.Cursor()
	hint, attached := e.o.State.Cursor(textReplica)
	if attached && !e.o.Derived.Fresh() && cursor >= hint {
		e.textMark.reset(cursor)
		e.markKnown(textReplica)
		return nil
	}
	if err := e.awaitContent(ctx); err != nil {
		return err
	}
	// Held first, so that nothing after the snapshot is trimmed meanwhile.
	through, err := e.hold(ctx, textReplica)
	if err != nil {
		return err
	}
	ended, indexed := func(string) {}, 0
	if e.o.State.Summary().Documents > textBatchOps { // otherwise it takes a moment
		ended = e.job("making the full-text index")
	}
	after := ""
	for {
		rows, err := e.o.State.Scan(ctx, after, textBatchOps)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID.String()
		ops := make([]state.TextOp, 0, len(rows))
		for _, row := range rows {
			doc, err := e.known(ctx, row)
			if errors.Is(err, store.ErrNotFound) {
				continue // found nowhere here; verification lists it
			}
			if err != nil {
				return err
			}
			ops = append(ops, textOp(doc))
		}
		if err := e.o.Derived.Index(ctx, ops, incomplete); err != nil {
			return err
		}
		indexed += len(ops)
		e.gate.yield(ctx, textYieldMost)
	}
	if err := e.o.Derived.Index(ctx, nil, through); err != nil {
		return err
	}
	if err := e.o.State.Advance(ctx, state.Advance{Store: textReplica, Seq: through}); err != nil {
		return err
	}
	e.textMark.reset(through)
	e.markKnown(textReplica)
	ended(count(indexed, "document"))
	return nil
}

func (e *Engine) markKnown(replica string) {
	e.mu.Lock()
	e.view.known[replica] = true
	e.mu.Unlock()
	e.touch()
}

func (e *Engine) textRound(ctx context.Context) (int, error) {
	rows, err := e.o.State.Next(ctx, e.textMark.now(), textBatchOps, textBatchBytes)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	newest := make(map[document.ID]state.Outgoing, len(rows))
	for _, row := range rows {
		newest[row.Key.ID] = row
	}
	ops := make([]state.TextOp, 0, len(newest))
	for _, row := range rows {
		if newest[row.Key.ID].Seq != row.Seq {
			continue
		}
		if row.Delete {
			ops = append(ops, state.TextOp{ID: row.Key.ID, Delete: true})
			continue
		}
		doc, err := e.payload(ctx, row)
		if errors.Is(err, store.ErrNotFound) {
			// A newer version replaced it and only that one is kept; its own
			// operation follows.
			continue
		}
		if err != nil {
			return 0, err
		}
		ops = append(ops, textOp(doc))
	}
	last := rows[len(rows)-1].Seq
	if err := e.o.Derived.Index(ctx, ops, last); err != nil {
		return 0, err
	}
	if err := e.o.State.Advance(ctx, state.Advance{Store: textReplica, Seq: last}); err != nil {
		return 0, fmt.Errorf("state file: %w", err)
	}
	e.textMark.pass(last, "")
	e.touch()
	return len(rows), nil
}

// textOp is what can be searched of a document.
func textOp(doc document.Document) state.TextOp {
	var meta strings.Builder
	meta.WriteString(doc.Source.Type.String() + " " + doc.Source.URL + " " + doc.Source.Path)
	flatten(&meta, doc.Content.Metadata)
	return state.TextOp{ID: doc.ID, Text: doc.Content.Text, Meta: meta.String()}
}

// flatten writes the keys and values of metadata as words.
func flatten(out *strings.Builder, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) { // the same words for the same metadata
			out.WriteString(" " + name)
			flatten(out, v[name])
		}
	case []any:
		for _, inner := range v {
			flatten(out, inner)
		}
	case string:
		out.WriteString(" " + v)
	case json.Number:
		out.WriteString(" " + v.String())
	case nil:
	default:
		fmt.Fprintf(out, " %v", v)
	}
}

// feedMemory hands fresh documents to the memory replicator. Where that is
// behind, they are left out and forgotten there: the memory store is a cache, and
// a stale version in it is never served, because its hash is not the one that the
// index knows, but it would be counted.
func (e *Engine) feedMemory(ops []state.Operation, issued []state.Issued) {
	batch := make([]store.Op, 0, len(ops))
	for i, op := range ops {
		batch = append(batch, store.Op{ID: op.OpID, Key: issued[i].Key, Doc: op.Doc})
	}
	select {
	case e.feedC <- batch:
		return
	default:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, op := range batch {
		if len(e.unfed) < maxUnfed {
			e.unfed[op.Key.ID] = struct{}{}
		}
	}
}

// maxUnfed bounds the documents that are remembered to be forgotten.
const maxUnfed = 100_000

// forgetUnfed drops from memory what was left out, once all before it is there.
func (e *Engine) forgetUnfed() {
	if len(e.feedC) > 0 {
		return
	}
	var ids map[document.ID]struct{}
	e.mu.Lock()
	if len(e.unfed) > 0 {
		ids, e.unfed = e.unfed, map[document.ID]struct{}{}
	}
	e.mu.Unlock()
	for id := range ids {
		e.o.Memory.Drop(id)
	}
}

// runMemory writes to the memory store.
func (e *Engine) runMemory(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case batch := <-e.feedC:
			if _, err := e.o.Memory.Apply(ctx, store.Batch{Ops: batch}); err != nil && ctx.Err() == nil {
				e.trouble(Error, "memory", "A document could not be kept in memory: "+err.Error(), "Nothing is lost, the other stores serve it")
			}
			e.forgetUnfed()
		}
	}
}
