package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// parkedUnreadable: somebody pushed a version of a document that cannot be read.
// The one before it stays in the index and is served; git's branch does not hold
// it any more, though its history does. That is left so until the folder is
// mended there or the document is written here; either passes what is parked.
const parkedUnreadable = "unreadable"

const spoiltAdvice = "The version before it is kept and served; mend that folder in git, or write the document again (caiatop put, edit or restore)"

// spoil notes a folder that cannot be read. What the commit has there may be
// the only version that git's branch holds of a document that the index knows.
func (in *intake) spoil(ctx context.Context, key store.Key, row state.Row, why error) error {
	if row.ID.IsZero() || row.Deleted || row.Folder != key.Folder {
		in.e.tellUnreadable(key.Folder.String(), why)
		return nil
	}
	if ours, err := in.e.pendingOurs(ctx, row); ours || err != nil {
		return err // it is committed on top
	}
	in.spoilt = append(in.spoilt, state.Parked{
		Store: gitReplica, ID: row.ID, Seq: row.Seq, Reason: parkedUnreadable, Detail: why.Error(), At: in.e.o.Now(),
	})
	return nil
}

// heal notes a document that the commit holds as the index does.
func (in *intake) heal(ctx context.Context, id document.ID) error {
	if in.e.o.State.ParkedCount() == 0 {
		return nil
	}
	parked, err := in.e.o.State.ParkedAt(ctx, id)
	if err == nil && slices.ContainsFunc(parked, isSpoilt) {
		in.healed = append(in.healed, id)
	}
	return local(err)
}

func isSpoilt(p state.Parked) bool { return p.Store == gitReplica && p.Reason == parkedUnreadable }

// park records what was noted, before the commit is declared known.
func (in *intake) park(ctx context.Context) error {
	if len(in.healed) > 0 {
		if err := in.e.o.State.Unpark(ctx, gitReplica, in.healed...); err != nil {
			return local(err)
		}
	}
	// What another push brought and git's cursor has not passed yet is parked
	// with it: the trailer of our next commit passes both.
	through := in.e.gitMark.now()
	for i := range in.spoilt {
		in.spoilt[i].Seq = min(in.spoilt[i].Seq, through)
	}
	if len(in.spoilt) > 0 {
		if err := in.e.o.State.Advance(ctx, state.Advance{Store: gitReplica, Seq: through, Park: in.spoilt}); err != nil {
			return local(err)
		}
	}
	for i, p := range in.spoilt {
		if i == toldParked {
			in.e.event(Warning, "parked", fmt.Sprintf("%s more documents were pushed to git in a form that cannot be read", number(len(in.spoilt)-toldParked)), spoiltAdvice)
			break
		}
		in.e.event(Warning, "parked", fmt.Sprintf("%q was pushed to git in a form that cannot be read: %s", p.ID, p.Detail), spoiltAdvice)
	}
	in.e.touch()
	return nil
}
