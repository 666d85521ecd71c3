package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// owned is an engine in this process, which others reach at its socket and, if
// it has one, at its address.
type owned struct {
	Local
	host   *engine.Host
	server *httpapi.Server
	stop   context.CancelFunc
	served sync.WaitGroup
	// failed tells of a server that ended before it was asked to.
	failed chan error
}

// serve answers at the control socket of dir, as one of the kinds of holders,
// until the session is closed.
func serve(host *engine.Host, dir, kind string, caller Caller) (*owned, error) {
	o := &owned{host: host, failed: make(chan error, 2)}
	o.Local = NewLocal(host.Engine).As(httpapi.Holder{Kind: kind, Command: caller.Command}, caller.Job)
	listener, err := httpapi.Listen(dir)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		return nil, errors.Join(fault("the control socket cannot be opened", err), host.Close(ctx))
	}
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.server = httpapi.NewServer(o.Local, host.Log())
	o.served.Go(func() { o.failed <- o.server.Serve(ctx, listener) })
	return o, nil
}

// Control implements Session.
func (o *owned) Control() httpapi.Control { return o.Local }

// Close ends the servers and then the engine.
func (o *owned) Close(ctx context.Context) error {
	o.stop()
	o.served.Wait()
	close(o.failed)
	var all error
	for err := range o.failed {
		all = errors.Join(all, err)
	}
	return errors.Join(all, o.host.Close(ctx))
}

// settle waits until the state of the primary means something.
func (o *owned) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	feed := o.host.Subscribe()
	defer feed.Close()
	for {
		switch o.host.Stats().State {
		case engine.StateProbing, engine.StateReplaying, engine.StateReseeding:
		default:
			return
		}
		select {
		case <-feed.C:
		case <-ctx.Done():
			return
		}
	}
}

// remote is the engine of another process.
type remote struct{ *httpapi.Client }

// Control implements Session.
func (r remote) Control() httpapi.Control { return r.Client }

// Close leaves the engine running.
func (r remote) Close(context.Context) error {
	r.Client.Close()
	return nil
}

// following is a session that outlives the engine it talks to: commands serve
// one another while they run, and each takes its engine with it when it ends.
// It is for one goroutine.
type following struct {
	current  Session // nil after it was closed and no other was found
	open     func(context.Context) (Session, error)
	patience time.Duration
}

// errLostDelete: a delete was sent twice, and the second engine had not all of
// the documents.
var errLostDelete = fmt.Errorf("%w during the delete; now not all of these documents are there: they were deleted, or never were", httpapi.ErrGone)

// errLostReplace: a conditional write was sent twice, and the second engine had
// another version than the one to be replaced.
var errLostReplace = fmt.Errorf("%w during the write; now there is another version: this one, or one of somebody else", httpapi.ErrGone)

// follow sends a request, and again to the next engine when the one that it
// was sent to went away before its answer, until patience ends.
//
// What was asked may have been done all the same. To send it twice is harmless
// here: a put leaves alone what is there by then (see Put), a delete finds
// nothing left to delete (see Delete), reads change nothing, and the actions
// lead to a state in which the engine may be already.
func follow[T any](ctx context.Context, f *following, request func(Session) (T, error)) (T, error) {
	deadline := time.Now().Add(f.patience)
	for {
		if f.current == nil {
			var none T
			return none, httpapi.ErrNotRunning
		}
		reply, err := request(f.current)
		gone := errors.Is(err, httpapi.ErrGone) || errors.Is(err, httpapi.ErrNotRunning)
		if !gone || ctx.Err() != nil || time.Now().After(deadline) {
			return reply, err
		}
		if err := f.reopen(ctx); err != nil {
			return reply, err
		}
	}
}

func (f *following) reopen(ctx context.Context) error {
	old := f.current
	f.current = nil
	if err := old.Close(ctx); err != nil {
		return err
	}
	next, err := f.open(ctx)
	if err != nil {
		return err
	}
	f.current = next
	return nil
}

// act is follow for requests without a reply.
func (f *following) act(ctx context.Context, request func(Session) error) error {
	_, err := follow(ctx, f, func(s Session) (struct{}, error) { return struct{}{}, request(s) })
	return err
}

// Put implements httpapi.Documents.
//
// Where the answer to the first try was lost, what is there by then, just like
// that, is not written once more.
func (f *following) Put(ctx context.Context, docs []httpapi.Document) (httpapi.Ack, error) {
	lost := false
	return follow(ctx, f, func(s Session) (httpapi.Ack, error) {
		if lost {
			left, err := lacking(ctx, s, docs)
			if err != nil || len(left) == 0 {
				return httpapi.Ack{Durability: string(engine.Local)}, err
			}
			docs = left
		}
		ack, err := s.Put(ctx, docs)
		lost = lost || errors.Is(err, httpapi.ErrGone)
		return ack, err
	})
}

// Get implements httpapi.Documents.
func (f *following) Get(ctx context.Context, id string) (httpapi.Document, error) {
	return follow(ctx, f, func(s Session) (httpapi.Document, error) { return s.Get(ctx, id) })
}

// Delete implements httpapi.Documents. Where the answer to the first try was
// lost, that a document is not there no longer means that nothing was deleted.
func (f *following) Delete(ctx context.Context, ids []string) (httpapi.Ack, error) {
	return f.conditional(ctx, errLostDelete, func(s Session) (httpapi.Ack, error) { return s.Delete(ctx, ids) })
}

// List implements httpapi.Documents.
func (f *following) List(ctx context.Context, query httpapi.ListQuery) (httpapi.Page, error) {
	return follow(ctx, f, func(s Session) (httpapi.Page, error) { return s.List(ctx, query) })
}

// Search implements httpapi.Documents.
func (f *following) Search(ctx context.Context, query string, limit int) (httpapi.Hits, error) {
	return follow(ctx, f, func(s Session) (httpapi.Hits, error) { return s.Search(ctx, query, limit) })
}

// History implements httpapi.Versions.
func (f *following) History(ctx context.Context, id string, limit int) ([]httpapi.Revision, error) {
	return follow(ctx, f, func(s Session) ([]httpapi.Revision, error) { return s.History(ctx, id, limit) })
}

// GetAt implements httpapi.Versions.
func (f *following) GetAt(ctx context.Context, id, commit string) (httpapi.Document, error) {
	return follow(ctx, f, func(s Session) (httpapi.Document, error) { return s.GetAt(ctx, id, commit) })
}

// Restore implements httpapi.Versions, with the same doubt as Replace.
func (f *following) Restore(ctx context.Context, id, commit, base string) (httpapi.Ack, error) {
	return f.conditional(ctx, errLostReplace, func(s Session) (httpapi.Ack, error) { return s.Restore(ctx, id, commit, base) })
}

// Replace implements httpapi.Conditional. Where the answer to the first try was
// lost, that the document was changed may mean that it was changed by that.
func (f *following) Replace(ctx context.Context, doc httpapi.Document, base string) (httpapi.Ack, error) {
	return f.conditional(ctx, errLostReplace, func(s Session) (httpapi.Ack, error) { return s.Replace(ctx, doc, base) })
}

// Remove implements httpapi.Conditional, with the same doubt as Replace.
func (f *following) Remove(ctx context.Context, id, base string) (httpapi.Ack, error) {
	return f.conditional(ctx, errLostDelete, func(s Session) (httpapi.Ack, error) { return s.Remove(ctx, id, base) })
}

// conditional is follow for a write that can be done only once.
func (f *following) conditional(ctx context.Context, doubt error, write func(Session) (httpapi.Ack, error)) (httpapi.Ack, error) {
	lost := false
	ack, err := follow(ctx, f, func(s Session) (httpapi.Ack, error) {
		ack, err := write(s)
		lost = lost || errors.Is(err, httpapi.ErrGone)
		return ack, err
	})
	if lost && (errors.Is(err, httpapi.ErrNotFound) || errors.Is(err, httpapi.ErrConflict)) {
		return ack, doubt
	}
	return ack, err
}

// Undo implements httpapi.Versions.
func (f *following) Undo(ctx context.Context, id string) (httpapi.Change, error) {
	return follow(ctx, f, func(s Session) (httpapi.Change, error) { return s.Undo(ctx, id) })
}

// Stats implements httpapi.Facts.
func (f *following) Stats(ctx context.Context) (httpapi.Stats, error) {
	return follow(ctx, f, func(s Session) (httpapi.Stats, error) { return s.Stats(ctx) })
}

// Metrics implements httpapi.Facts.
func (f *following) Metrics(ctx context.Context) (httpapi.Metrics, error) {
	return follow(ctx, f, func(s Session) (httpapi.Metrics, error) { return s.Metrics(ctx) })
}

// ResetMetrics implements httpapi.Facts.
func (f *following) ResetMetrics(ctx context.Context) error {
	return f.act(ctx, func(s Session) error { return s.ResetMetrics(ctx) })
}

// Events implements httpapi.Facts.
func (f *following) Events(ctx context.Context, since uint64, limit int) ([]httpapi.Event, error) {
	return follow(ctx, f, func(s Session) ([]httpapi.Event, error) { return s.Events(ctx, since, limit) })
}

// Note implements httpapi.Facts.
func (f *following) Note(ctx context.Context, note httpapi.Note) error {
	return f.act(ctx, func(s Session) error { return s.Note(ctx, note) })
}

// Service implements httpapi.Services.
func (f *following) Service(ctx context.Context) (httpapi.ServiceFacts, error) {
	return follow(ctx, f, func(s Session) (httpapi.ServiceFacts, error) { return s.Service(ctx) })
}

// Backup implements httpapi.Backups. A push that was done already does nothing
// the second time.
func (f *following) Backup(ctx context.Context, anew bool) (httpapi.BackupRun, error) {
	return follow(ctx, f, func(s Session) (httpapi.BackupRun, error) { return s.Backup(ctx, anew) })
}

// VerifyBackup implements httpapi.Backups.
func (f *following) VerifyBackup(ctx context.Context) (httpapi.BackupReport, error) {
	return follow(ctx, f, func(s Session) (httpapi.BackupReport, error) { return s.VerifyBackup(ctx) })
}

// Phase implements httpapi.Phases.
func (f *following) Phase(ctx context.Context) (httpapi.Phase, error) {
	return follow(ctx, f, func(s Session) (httpapi.Phase, error) { return s.Phase(ctx) })
}

// SetPhase implements httpapi.Phases. A change that went on without its engine is
// met again by the next one.
func (f *following) SetPhase(ctx context.Context, phase string) error {
	return f.act(ctx, func(s Session) error { return s.SetPhase(ctx, phase) })
}

// Drill implements httpapi.Drills.
func (f *following) Drill(ctx context.Context) (httpapi.DrillStatus, error) {
	return follow(ctx, f, func(s Session) (httpapi.DrillStatus, error) { return s.Drill(ctx) })
}

// StartDrill implements httpapi.Drills. One that the first engine began has
// ended with it.
func (f *following) StartDrill(ctx context.Context, d httpapi.Drill) (httpapi.DrillStatus, error) {
	return follow(ctx, f, func(s Session) (httpapi.DrillStatus, error) { return s.StartDrill(ctx, d) })
}

// StopDrill implements httpapi.Drills.
func (f *following) StopDrill(ctx context.Context) (httpapi.DrillStatus, error) {
	return follow(ctx, f, func(s Session) (httpapi.DrillStatus, error) { return s.StopDrill(ctx) })
}

// Verify implements httpapi.Verifications. One that runs already may be the one
// that was begun by the first try.
func (f *following) Verify(ctx context.Context, o httpapi.VerifyOptions) (httpapi.Verification, error) {
	return follow(ctx, f, func(s Session) (httpapi.Verification, error) { return s.Verify(ctx, o) })
}

// Verification implements httpapi.Verifications.
func (f *following) Verification(ctx context.Context) (httpapi.Verification, error) {
	return follow(ctx, f, func(s Session) (httpapi.Verification, error) { return s.Verification(ctx) })
}

// StopVerification implements httpapi.Verifications.
func (f *following) StopVerification(ctx context.Context) (httpapi.Verification, error) {
	return follow(ctx, f, func(s Session) (httpapi.Verification, error) { return s.StopVerification(ctx) })
}

// Parked implements httpapi.Parkings.
func (f *following) Parked(ctx context.Context, limit int) (httpapi.ParkedList, error) {
	return follow(ctx, f, func(s Session) (httpapi.ParkedList, error) { return s.Parked(ctx, limit) })
}

// RetryParked implements httpapi.Parkings.
func (f *following) RetryParked(ctx context.Context, ids []string) (httpapi.Retried, error) {
	return follow(ctx, f, func(s Session) (httpapi.Retried, error) { return s.RetryParked(ctx, ids) })
}

// DropParked implements httpapi.Parkings. Where the answer to the first try was
// lost, that nothing is set aside means that it was done.
func (f *following) DropParked(ctx context.Context, id string, lose bool) error {
	lost := false
	err := f.act(ctx, func(s Session) error {
		err := s.DropParked(ctx, id, lose)
		if lost && errors.Is(err, httpapi.ErrNotFound) {
			return nil
		}
		lost = lost || errors.Is(err, httpapi.ErrGone)
		return err
	})
	return err
}

// Control implements Session.
func (f *following) Control() httpapi.Control { return f }

// Status implements httpapi.Control.
func (f *following) Status(ctx context.Context) (httpapi.Status, error) {
	return follow(ctx, f, func(s Session) (httpapi.Status, error) { return s.Control().Status(ctx) })
}

// Fallback implements httpapi.Control.
func (f *following) Fallback(ctx context.Context) error {
	return f.act(ctx, func(s Session) error { return s.Control().Fallback(ctx) })
}

// Recover implements httpapi.Control.
func (f *following) Recover(ctx context.Context, adopt bool) error {
	return f.act(ctx, func(s Session) error { return s.Control().Recover(ctx, adopt) })
}

// Sync implements httpapi.Control.
func (f *following) Sync(ctx context.Context) error {
	return f.act(ctx, func(s Session) error { return s.Control().Sync(ctx) })
}

// Close closes the session that it has come to.
func (f *following) Close(ctx context.Context) error {
	if f.current == nil {
		return nil
	}
	return f.current.Close(ctx)
}
