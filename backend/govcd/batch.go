package govcd

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

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

	by gitrepo.Signature // of the caller, see authorOf
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
	return CommitRequest{Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: in.Timestamp, by: in.by}
}

type batchAnswer struct {
	Hash   string            `json:"hash,omitempty"` // of the commit
	Parent string            `json:"parent,omitempty"`
	Error  string            `json:"error,omitempty"` // if no item was made
	Code   string            `json:"code,omitempty"`
	Items  []batchItemAnswer `json:"items"` // in the order of the request

	replayed bool
}

type batchItemAnswer struct {
	Path  string `json:"path"`
	Hash  string `json:"hash,omitempty"` // of the blob that the commit has at the path
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}

func (s *Service) postCommit(w http.ResponseWriter, r *http.Request, t target) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var in CommitRequest
	if err := bindFrom(bytes.NewReader(body), &in); err != nil {
		return err
	}
	if err := checkCommit(in); err != nil {
		return err
	}
	in.by = authorOf(r)
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer release()
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
	body, err := readUnpacked(r)
	if err != nil {
		return err
	}
	if err := checkMembers(body); err != nil {
		return err
	}
	var in BatchRequest
	if err := bindBatch(body, &in); err != nil {
		return err
	}
	in.by = authorOf(r)
	if err := checkCommit(in.commit()); err != nil {
		return err
	}
	if n := len(in.Items); n == 0 || n > MaxBatch {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("a batch has 1 to %d items, not %d", MaxBatch, n))
	}
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer release()
	sc, how, err := conductOf(r, body)
	if err != nil {
		return err
	}
	made, err := repo.batch(r.Context(), sc.branch, &in, how)
	noteCommit(r, sc.branch, made.Hash)
	if err != nil {
		return err
	}
	if made.replayed {
		w.Header().Set(headerReplayed, "true")
	}
	if made.Code != "" {
		note(r).Result = made.Code
		return answer(w, http.StatusConflict, made)
	}
	return answer(w, http.StatusCreated, made)
}

// conductOf reads the headers of a request that makes a commit.
func conductOf(r *http.Request, body []byte) (sc scope, how conduct, err error) {
	if sc, how.cond, err = writeOf(r); err != nil {
		return sc, how, err
	}
	how.key, err = keyOf(r, sc, body)
	return sc, how, err
}

// readBody reads a whole body.
func readBody(r *http.Request) ([]byte, error) {
	var into bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= MaxBody {
		into.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := into.ReadFrom(r.Body); err != nil {
		return nil, fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	}
	return into.Bytes(), nil
}

// packed reports whether the body of a request must be unpacked.
func packed(r *http.Request) bool { return r.Header.Get("Content-Encoding") != "" }

// readUnpacked reads a whole body that may be packed with gzip.
func readUnpacked(r *http.Request) ([]byte, error) {
	if !packed(r) {
		return readBody(r)
	}
	if how := r.Header.Get("Content-Encoding"); !strings.EqualFold(how, "gzip") {
		return nil, fail(http.StatusUnsupportedMediaType, "UNSUPPORTED_CONTENT_ENCODING", "Content encoding '"+how+"' not allowed")
	}
	from, err := gzip.NewReader(r.Body)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(from, MaxUnpacked+1))
	}
	switch {
	case err != nil:
		return nil, fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	case len(body) > MaxUnpacked:
		return nil, &failure{
			Status: http.StatusRequestEntityTooLarge, Code: "REQUEST_TOO_LARGE", Text: "Request body too large",
			Details: map[string]any{"max_size": MaxUnpacked},
		}
	}
	return body, nil
}

// errNoneMade: no item of a batch can be made.
var errNoneMade = errors.New("no item of the batch can be made")

// batch makes of those items that can be made one commit.
func (r *repo) batch(ctx context.Context, branch string, in *BatchRequest, how conduct) (batchAnswer, error) {
	items := parseItems(in.Items)
	var cost int64 // of the files
	tried := false
	t, err := r.inTurn(ctx, branch, how, func(at place) (p prepared, err error) {
		if tried {
			items = parseItems(in.Items) // what was found upon another commit is forgotten
		}
		tried = true
		changes, err := groundAt(at).planBatch(ctx, items)
		if err == nil && len(changes) == 0 {
			err = errNoneMade
		}
		if err != nil {
			return p, err
		}
		p, cost, err = r.chargeBatch(in.commit(), how.key, changes)
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
		out, err := r.answerBatch(ctx, t.tip, in, items)
		out.Error, out.Code = errNoneMade.Error(), "BATCH_FAILED"
		return out, err
	case err != nil:
		return batchAnswer{}, err
	case t.earlier != nil:
		return r.replayedBatch(ctx, in, items, t.earlier)
	}
	r.mend(ctx, items)
	out, err := r.answerBatch(ctx, t.made, in, items)
	out.Hash, out.Parent = t.made.String(), named(t.tip)
	return out, err
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

// answerBatch tells of each item what the commit has, or why it was left out.
func (r *repo) answerBatch(ctx context.Context, at gitrepo.Hash, in *BatchRequest, items []item) (out batchAnswer, err error) {
	out.Items = make([]batchItemAnswer, len(items))
	var find *gitrepo.Finder // not made where nothing was
	for i := range items {
		it, told := &items[i], &out.Items[i]
		told.Path = in.Items[i].Path
		if it.failed != nil {
			told.Error, told.Code = it.failed.Text, it.failed.Code
		}
		if it.failed != nil || it.delete {
			continue
		}
		if find == nil {
			if find, err = r.git.Finder(ctx, at); err != nil {
				return out, err
			}
		}
		e, err := find.Nearest(ctx, it.path)
		if err == nil && e.Path != it.path.String() {
			err = errors.New("a commit does not have what was put into it")
		}
		if err != nil {
			return out, fmt.Errorf("read back %s: %w", it.path, err)
		}
		told.Hash = e.Hash.String()
	}
	return out, nil
}

// replayedBatch answers a batch again that was answered before.
func (r *repo) replayedBatch(ctx context.Context, in *BatchRequest, items []item, e *keyEntry) (batchAnswer, error) {
	for _, l := range e.left {
		items[l.index].failed = &failure{Code: l.code, Text: l.text}
	}
	c, err := r.git.ReadCommit(ctx, e.commit)
	if err != nil {
		return batchAnswer{}, err
	}
	var parent gitrepo.Hash
	if len(c.Parents) > 0 {
		parent = c.Parents[0]
	}
	if e.restored {
		if err := r.markLeft(ctx, parent, e.commit, items); err != nil {
			return batchAnswer{}, err
		}
	}
	out, err := r.answerBatch(ctx, e.commit, in, items)
	out.Hash, out.replayed = e.commit.String(), true
	out.Parent = named(parent)
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
