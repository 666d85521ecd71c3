package govcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// MaxBatch bounds the items of one batch.
	MaxBatch = 4096
	// MaxUnpacked bounds the body of a batch after it was unpacked, in bytes.
	MaxUnpacked = 4 * MaxBody
)

// BatchRequest is the body of POST batch (CapBatch).
type BatchRequest struct {
	Message   string      `json:"message" binding:"required"`
	Author    string      `json:"author"`
	Email     string      `json:"email"`
	Timestamp time.Time   `json:"timestamp"`
	Items     []BatchItem `json:"items" binding:"required"`
}

// BatchItem is one change of a batch.
type BatchItem struct {
	Op       string  `json:"op"` // "put" or "delete"; a delete takes a file or a folder
	Path     string  `json:"path"`
	Content  *string `json:"content"`  // of a put
	Encoding string  `json:"encoding"` // of the content: "", "utf-8", "base64"
	// Match is the blob hash that the file must have in the newest commit, ""
	// if it must not exist, "*" if it must.
	Match *string `json:"if_match"`
	// NewFolder: a put fails if the newest commit has the folder of the file
	// (CapNewFolder).
	NewFolder bool `json:"new_folder"`
	// Group names items that are all made or all left out; "" is none.
	Group string `json:"group"`
}

func (in *BatchRequest) commit() CommitRequest {
	return CommitRequest{Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: in.Timestamp}
}

// asked is a batch that somebody asks for, in either form.
type asked struct {
	commit CommitRequest
	items  []item
}

// outcome is what became of a batch. Where no item was made there is no commit.
type outcome struct {
	commit, parent gitrepo.Hash
	items          []item         // as they were asked for
	blobs          []gitrepo.Hash // that the commit has at their paths, zero for what was deleted or left out
	replayed       bool
}

type batchAnswer struct {
	Hash   string            `json:"hash,omitempty"` // of the commit
	Parent string            `json:"parent,omitempty"`
	Error  string            `json:"error,omitempty"` // if no item was made
	Code   string            `json:"code,omitempty"`
	Items  []batchItemAnswer `json:"items"` // in the order of the request
}

type batchItemAnswer struct {
	Path  string `json:"path"`
	Hash  string `json:"hash,omitempty"` // of the blob that the commit has at the path
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}

func (s *Service) postCommit(w http.ResponseWriter, r *http.Request, t target) error {
	body, release, err := readBody(r)
	if err != nil {
		return err
	}
	defer release()
	var in CommitRequest
	if err := bindFrom(bytes.NewReader(body), &in); err != nil {
		return err
	}
	if err := checkCommit(in); err != nil {
		return err
	}
	in.by = authorOf(r)
	repo, leave, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer leave()
	sc, how, err := conductOf(r, body)
	if err != nil {
		return err
	}
	made, err := repo.commit(r.Context(), sc, in, how)
	noteCommit(r, sc.branch, made.Hash)
	if err != nil {
		return err
	}
	if made.replayed {
		w.Header().Set(headerReplayed, "true")
	}
	return answer(w, http.StatusCreated, made)
}

func (s *Service) postBatch(w http.ResponseWriter, r *http.Request, t target) error {
	body, release, err := readUnpacked(r)
	if err != nil {
		return err
	}
	if s.disk == nil { // else somebody may still write what a request that ended had asked for
		defer release()
	}
	in, err := askedBy(r, body)
	if err != nil {
		return err
	}
	in.commit.by = authorOf(r)
	if err := checkCommit(in.commit); err != nil {
		return err
	}
	if n := len(in.items); n == 0 || n > MaxBatch {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("a batch has 1 to %d items, not %d", MaxBatch, n))
	}
	repo, leave, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer leave()
	sc, how, err := conductOf(r, body)
	if err != nil {
		return err
	}
	done, err := repo.batch(r.Context(), sc.branch, in, how)
	noteCommit(r, sc.branch, named(done.commit))
	if err != nil {
		return err
	}
	if done.replayed {
		w.Header().Set(headerReplayed, "true")
	}
	status := http.StatusCreated
	if done.commit.IsZero() {
		note(r).Result = codeNoneMade
		status = http.StatusConflict
	}
	if framed(r) {
		return answerFrame(w, status, done.frame())
	}
	return answer(w, status, done.answer())
}

// askedBy reads the body of a batch, to which the contents of its items may belong.
func askedBy(r *http.Request, body []byte) (asked, error) {
	if frame.Is(r.Header.Get("Content-Type")) {
		return askedInFrame(body)
	}
	if err := checkMembers(body); err != nil {
		return asked{}, err
	}
	var in BatchRequest
	if err := bindBatch(body, &in); err != nil {
		return asked{}, err
	}
	if len(in.Items) > MaxBatch {
		return asked{in.commit(), make([]item, len(in.Items))}, nil // to be refused
	}
	return asked{in.commit(), parseItems(in.Items)}, nil
}

// conductOf reads the headers of a request that makes a commit.
func conductOf(r *http.Request, body []byte) (sc scope, how conduct, err error) {
	if sc, how.cond, err = writeOf(r); err != nil {
		return sc, how, err
	}
	how.key, err = keyOf(r, sc, body)
	return sc, how, err
}

// errNoneMade: no item of a batch can be made.
var errNoneMade = errors.New("no item of the batch can be made")

const codeNoneMade = "BATCH_FAILED"

// batch makes of those items that can be made one commit.
func (r *repo) batch(ctx context.Context, branch string, in asked, how conduct) (outcome, error) {
	items := in.items
	var cost int64 // of the files
	t, err := r.inTurn(ctx, branch, how, func(at place) (p prepared, err error) {
		forget(items) // it may be another try, upon another commit
		changes, err := groundAt(at).planBatch(ctx, items)
		if err == nil && len(changes) == 0 {
			err = errNoneMade
		}
		if err != nil {
			return p, err
		}
		p, cost, err = r.chargeBatch(in.commit, how.key, changes)
		p.changes, p.left = changes, leftOf(items)
		return p, err
	}, func(t turn, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.refund(cost + t.cost)
			return
		}
		r.committed(cost + t.cost)
		r.advance(branch, t.tip, t.made, t.author)
	})
	switch {
	case errors.Is(err, errNoneMade):
		return outcome{items: items, blobs: make([]gitrepo.Hash, len(items))}, nil
	case err != nil:
		return outcome{}, err
	case t.earlier != nil:
		return r.replayedBatch(ctx, items, t.earlier)
	}
	r.mend(ctx, items)
	blobs, err := r.storedBlobs(ctx, t.made, items)
	return outcome{commit: t.made, parent: t.tip, items: items, blobs: blobs}, err
}

// chargeBatch charges for a commit, and for the files that it puts.
func (r *repo) chargeBatch(in CommitRequest, key *requestKey, changes []gitrepo.Change) (p prepared, files int64, err error) {
	for _, c := range changes {
		if !c.Delete {
			files += costOfFile(c.Path.String(), c.Data)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.charge(files, r.service.maxBytes); err != nil {
		return p, 0, err
	}
	if p, _, err = r.prepare(in, key); err != nil {
		r.refund(files)
	}
	return p, files, err
}

// leftOf tells which items are left out.
func leftOf(items []item) (left []leftItem) {
	for i := range items {
		if f := items[i].failed; f != nil {
			left = append(left, leftItem{i, f.Code, f.Text})
		}
	}
	return left
}

// storedBlobs reads back what a commit has at the path of each item that put
// something.
func (r *repo) storedBlobs(ctx context.Context, at gitrepo.Hash, items []item) ([]gitrepo.Hash, error) {
	blobs := make([]gitrepo.Hash, len(items))
	find, err := r.git.Finder(ctx, at)
	if err != nil {
		return nil, err
	}
	for i := range items {
		it := &items[i]
		if it.failed != nil || it.delete {
			continue
		}
		e, err := find.Nearest(ctx, it.path)
		if err == nil && e.Path != it.path.String() {
			err = errors.New("a commit does not have what was put into it")
		}
		if err != nil {
			return nil, fmt.Errorf("read back %s: %w", it.path, err)
		}
		blobs[i] = e.Hash
	}
	return blobs, nil
}

// answer is what JSON tells of a batch.
func (m *outcome) answer() batchAnswer {
	out := batchAnswer{Hash: named(m.commit), Parent: named(m.parent), Items: make([]batchItemAnswer, len(m.items))}
	if m.commit.IsZero() {
		out.Error, out.Code = errNoneMade.Error(), codeNoneMade
	}
	for i := range m.items {
		out.Items[i] = batchItemAnswer{Path: m.items[i].name, Hash: named(m.blobs[i])}
		if f := m.items[i].failed; f != nil {
			out.Items[i].Error, out.Items[i].Code = f.Text, f.Code
		}
	}
	return out
}

// replayedBatch answers a batch again that was answered before.
func (r *repo) replayedBatch(ctx context.Context, items []item, e *keyEntry) (outcome, error) {
	for _, l := range e.left {
		items[l.index].failed = &failure{Code: l.code, Text: l.text}
	}
	c, err := r.git.ReadCommit(ctx, e.commit)
	if err != nil {
		return outcome{}, err
	}
	out := outcome{commit: e.commit, items: items, replayed: true}
	if len(c.Parents) > 0 {
		out.parent = c.Parents[0]
	}
	if e.restored {
		if err := r.markLeft(ctx, out.parent, e.commit, items); err != nil {
			return outcome{}, err
		}
	}
	out.blobs, err = r.storedBlobs(ctx, e.commit, items)
	return out, err
}

// markLeft marks items that a commit does not show as failed: why is not known
// any more.
func (r *repo) markLeft(ctx context.Context, before, at gitrepo.Hash, items []item) error {
	for i := range items {
		it := &items[i]
		if it.failed != nil {
			continue
		}
		e, found, err := r.find(ctx, at, it.path)
		made := found && !e.IsDir && e.Hash == blobHash(it.data)
		if err == nil && it.delete {
			var was gitrepo.Entry
			was, made, err = r.find(ctx, before, it.path)
			made = made && (!found || was.Hash != e.Hash) // something else may have been put there
		}
		if err != nil {
			return err
		}
		if !made {
			it.failed = fail(http.StatusConflict, "LEFT_OUT", "the item was left out; a restart lost the reason")
		}
	}
	return nil
}
