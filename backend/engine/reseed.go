package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// snapshotPage is how many documents a snapshot copies at a time.
const snapshotPage = govcBatchOps

// stepReseeding copies every document to a primary that lost its data, writes
// the marker that declares it whole, and leads to the replay of what came
// meanwhile. Nothing the primary holds is overwritten unless it is ours.
func (e *Engine) stepReseeding(ctx context.Context) *verdict {
	for ctx.Err() == nil {
		v, err := e.reseed(ctx)
		if err == nil {
			return v
		}
		if v := e.judgeReseed(ctx, err); v != nil {
			return v
		}
	}
	return nil
}

// judgeReseed is judge, but that a repository which vanishes while it is
// refilled only means to begin again.
func (e *Engine) judgeReseed(ctx context.Context, err error) *verdict {
	if errors.Is(err, store.ErrIdentity) {
		if why := e.breaker.report(e.o.Now(), true); why != "" {
			return unreachable(why + ", the last one: " + err.Error())
		}
		return nil
	}
	return e.judge(ctx, err)
}

func (e *Engine) reseed(ctx context.Context) (*verdict, error) {
	fresh, err := e.o.Primary.EnsureRepo(ctx)
	if err != nil {
		return nil, err
	}
	// Whatever is appended from here on is replayed after the copy. That a copy
	// was begun is recorded first: a crash leads back here.
	if err := e.o.State.SetMeta(ctx, metaRefill, "begun"); err != nil {
		return nil, local(err)
	}
	through, err := e.hold(ctx, primaryReplica)
	if err != nil {
		return nil, local(err)
	}
	total := e.o.State.Summary().Documents
	e.setProgress("copying documents to govc", total)
	defer e.clearProgress()
	started := e.o.Now()
	copied, missing, err := e.copyAll(ctx, fresh)
	if err != nil {
		return nil, err
	}
	if err := e.raiseEpoch(ctx); err != nil {
		return nil, err
	}
	if err := e.o.State.Attach(ctx, primaryReplica, through); err != nil {
		return nil, local(err)
	}
	if err := e.o.State.SetMeta(ctx, metaRefill, ""); err != nil {
		return nil, local(err)
	}
	e.govcMark.reset(through)
	e.setReplicaError(primaryReplica, nil) // it has been looked at
	e.mu.Lock()
	clear(e.missing)
	e.mu.Unlock()
	text := fmt.Sprintf("Copied %d documents to govc in %s", copied, roundDuration(e.o.Now().Sub(started)))
	level := Info
	if missing > 0 {
		level = Error
		text += fmt.Sprintf("; %d documents of the index were found in no store", missing)
	}
	e.event(level, "reseed", text)
	return &verdict{to: StateReplaying, reason: "the service was refilled"}, nil
}

// hold makes the outbox keep everything after the newest operation, for a
// replica that is about to take a snapshot, and returns that operation. A
// replica with a cursor has that held already.
func (e *Engine) hold(ctx context.Context, replica string) (through int64, err error) {
	for {
		through = e.o.State.Summary().MaxSeq
		if _, attached := e.o.State.Cursor(replica); attached {
			return through, nil
		}
		err := e.o.State.Attach(ctx, replica, through)
		if !errors.Is(err, state.ErrTrimmed) {
			return through, err
		}
	}
}

// copyAll brings every document of the index to the primary, in the order of
// identities. In a repository that was created a moment ago nothing is looked
// up before it is written.
func (e *Engine) copyAll(ctx context.Context, fresh bool) (copied, missing int64, err error) {
	after := ""
	for {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return copied, missing, local(err)
		}
		if len(rows) == 0 {
			return copied, missing, nil
		}
		list := make([]wanted, 0, len(rows))
		for _, row := range rows {
			w := snapshotOf(row)
			if !fresh {
				if err := e.addEarlier(ctx, &w); err != nil {
					return copied, missing, err
				}
			}
			list = append(list, w)
		}
		_, parked, err := e.bring(ctx, list, !fresh)
		if err != nil {
			return copied, missing, err
		}
		if err := e.parkAll(ctx, parked); err != nil {
			return copied, missing, err
		}
		for _, p := range parked {
			if p.Reason == parkedMissing {
				missing++
			}
		}
		copied += int64(len(rows) - len(parked))
		e.advanceProgress(int64(len(rows)))
		after = rows[len(rows)-1].ID.String()
	}
}

// earlierVersions is how many revisions of a document are known as ours when a
// service comes back with old data.
const earlierVersions = 50

// addEarlier adds the versions of a document that git remembers: where the
// primary holds one of them, it is an earlier state of ours.
func (e *Engine) addEarlier(ctx context.Context, w *wanted) error {
	revisions, err := e.o.Git.History(ctx, w.newest.Key, earlierVersions)
	if err != nil {
		return local(err)
	}
	for _, r := range revisions {
		if r.Deleted {
			continue
		}
		doc, err := e.o.Git.GetAt(ctx, r.Commit, w.newest.Key)
		if err != nil {
			return local(err)
		}
		hash, err := doc.Hash()
		if err != nil {
			return local(err)
		}
		w.ours[hash] = struct{}{}
	}
	return nil
}

// parkAll records what a snapshot could not bring, without moving a cursor.
func (e *Engine) parkAll(ctx context.Context, parked []state.Parked) error {
	if len(parked) == 0 {
		return nil
	}
	seq, _ := e.o.State.Cursor(primaryReplica)
	if err := e.o.State.Advance(ctx, state.Advance{Store: primaryReplica, Seq: seq, Park: parked}); err != nil {
		return local(err)
	}
	for _, p := range parked {
		e.event(Warning, "parked", fmt.Sprintf("%q is set aside at govc (%s): %s", p.ID, p.Reason, p.Detail))
	}
	return nil
}

// importListed takes over documents that the primary holds and the index does
// not know, where the service can list them.
func (e *Engine) importListed(ctx context.Context) error {
	imported := 0
	for entry, err := range e.o.Primary.List(ctx) {
		if errors.Is(err, errors.ErrUnsupported) {
			e.event(Info, "inbound", "This service cannot list its documents: what others wrote to it is noticed only when it is read")
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := e.o.State.Lookup(ctx, entry.Key.ID); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return local(err)
			}
			continue
		}
		doc, err := e.o.Primary.Get(ctx, entry.Key)
		if err != nil {
			return err
		}
		if err := e.inbound(ctx, entry.Key, &doc, primaryReplica, nil); err != nil {
			return err
		}
		imported++
	}
	if imported > 0 {
		e.event(Info, "inbound", fmt.Sprintf("Took over %d documents that the service held already", imported))
	}
	return nil
}

// inbound records somebody else's version of a document: doc as origin holds
// it, nil if it was deleted there. If expect is given and the index has moved
// on from it, nothing is recorded and the error wraps store.ErrConflict.
func (e *Engine) inbound(ctx context.Context, key store.Key, doc *document.Document, origin string, expect *document.Hash) error {
	op := state.Operation{OpID: e.o.NewID(), Key: key, Doc: doc, At: e.o.Now(), Origin: origin, Expect: expect}
	if doc != nil {
		hash, err := doc.Hash()
		if err != nil {
			return local(err)
		}
		op.Hash = hash
	}
	if _, err := e.o.State.Append(ctx, []state.Operation{op}); err != nil {
		return local(err)
	}
	e.appended()
	return nil
}

// conflict keeps both versions: theirs keeps the place, ours goes on as a copy
// whose identity carries the operation's, so that a second replay finds it and
// stops.
func (e *Engine) conflict(ctx context.Context, w wanted, op store.Op, theirs document.Document) error {
	if op.Doc == nil {
		// Modify beats delete.
		e.event(Warning, "conflict", fmt.Sprintf("%q was changed at govc after it was deleted here: their version stays", op.Key.ID))
		return e.inbound(ctx, op.Key, &theirs, primaryReplica, nil)
	}
	mark := w.newest.OpID
	if mark == "" { // from a snapshot: the version names itself
		mark = w.newest.Hash.String()[:12]
	}
	copyID, err := conflictID(op.Key.ID, mark)
	if err != nil {
		return local(err)
	}
	ours := op.Doc.Clone()
	ours.ID = copyID
	hash, err := ours.Hash()
	if err != nil {
		return local(err)
	}
	their, err := theirs.Hash()
	if err != nil {
		return local(err)
	}
	now := e.o.Now()
	ops := []state.Operation{{OpID: e.o.NewID(), Key: op.Key, Doc: &theirs, Hash: their, At: now, Origin: primaryReplica}}
	if _, err := e.o.State.Lookup(ctx, copyID); errors.Is(err, store.ErrNotFound) {
		ops = append(ops, state.Operation{OpID: e.o.NewID(), Key: store.NewKey(e.o.Layout, ours), Doc: &ours, Hash: hash, At: now})
	} else if err != nil {
		return local(err)
	}
	if _, err := e.o.State.Append(ctx, ops); err != nil {
		return local(err)
	}
	e.appended()
	e.event(Warning, "conflict", fmt.Sprintf("%q was changed at govc too: their version keeps the place, ours is kept as %q", op.Key.ID, copyID))
	return nil
}

// conflictID names the copy of a document that keeps our version.
func conflictID(id document.ID, mark string) (document.ID, error) {
	suffix := ".conflict-" + mark
	base := id.String()
	if most := document.MaxID - len(suffix); len(base) > most {
		digest := document.ShortHash(base)
		base = strings.ToValidUTF8(base[:most-len(digest)-1], "") + "-" + digest
	}
	return document.ParseID(base + suffix)
}
