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
	// Group names items that are all made or all left out; "" is none.
	Group string `json:"group"`
}

func (in *BatchRequest) commit() CommitRequest {
	return CommitRequest{Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: in.Timestamp}
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
	var in BatchRequest
	if err := bindBytes(body, &in); err != nil {
		return err
	}
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
	if err != nil {
		return err
	}
	if made.replayed {
		w.Header().Set(headerReplayed, "true")
	}
	if made.Code != "" {
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

// batch makes of those items that can be made one commit.
func (r *repo) batch(ctx context.Context, branch string, in *BatchRequest, how conduct) (batchAnswer, error) {
	items := parseItems(in.Items)
	leave, err := r.enter(ctx)
	if err != nil {
		return batchAnswer{}, err
	}
	defer leave()
	if done, err := r.keys.find(how.key, r.service.now()); err != nil || done != nil {
		return r.replayedBatch(ctx, in, items, done, err)
	}
	tip, err := r.head(branch)
	if err == nil {
		err = how.cond.checkTip(branch, tip)
	}
	if err != nil {
		return batchAnswer{}, err
	}
	changes, err := r.groundAt(tip).planBatch(ctx, items)
	if err != nil {
		return batchAnswer{}, err
	}
	if len(changes) == 0 {
		out, _, err := r.answerBatch(ctx, tip, in, items)
		out.Error, out.Code = "no item of the batch can be made", "BATCH_FAILED"
		return out, err
	}
	hash, at, err := r.commitBatch(ctx, branch, tip, in.commit(), how.key, changes)
	if err != nil {
		return batchAnswer{}, err
	}
	out, left, err := r.answerBatch(ctx, hash, in, items)
	r.remember(how.key, keyEntry{commit: hash, at: at, left: left})
	out.Hash, out.Parent = hash.String(), named(tip)
	return out, err
}

// commitBatch charges for changes and commits them.
func (r *repo) commitBatch(
	ctx context.Context, branch string, tip gitrepo.Hash, in CommitRequest, key *requestKey, changes []gitrepo.Change,
) (gitrepo.Hash, time.Time, error) {
	cost := int64(0)
	for _, c := range changes {
		if !c.Delete {
			cost += costOfFile(c.Path.String(), c.Data)
		}
	}
	r.mu.Lock()
	err := r.charge(cost, r.service.maxBytes)
	var p prepared
	if err == nil {
		if p, _, err = r.prepare(in, key); err != nil {
			r.refund(cost)
		}
	}
	r.mu.Unlock()
	if err != nil {
		return gitrepo.Hash{}, time.Time{}, err
	}
	p.changes = changes
	hash, err := r.makeCommit(ctx, branch, tip, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.refund(cost + p.cost)
		return hash, p.at, err
	}
	r.advance(branch, tip, hash, p.author)
	return hash, p.at, nil
}

// answerBatch tells of each item what the commit has, or why it was left out.
func (r *repo) answerBatch(ctx context.Context, at gitrepo.Hash, in *BatchRequest, items []item) (out batchAnswer, left []leftItem, err error) {
	out.Items = make([]batchItemAnswer, len(items))
	for i := range items {
		it, told := &items[i], &out.Items[i]
		told.Path = in.Items[i].Path
		if it.failed != nil {
			told.Error, told.Code = it.failed.Text, it.failed.Code
			left = append(left, leftItem{i, it.failed.Code, it.failed.Text})
			continue
		}
		if it.delete {
			continue
		}
		e, found, err := r.find(ctx, at, it.path)
		if err == nil && !found {
			err = errors.New("a commit does not have what was put into it")
		}
		if err != nil {
			return out, left, fmt.Errorf("read back %s: %w", it.path, err)
		}
		told.Hash = e.Hash.String()
	}
	return out, left, nil
}

// replayedBatch answers a batch again that was answered before.
func (r *repo) replayedBatch(ctx context.Context, in *BatchRequest, items []item, e *keyEntry, err error) (batchAnswer, error) {
	if err != nil {
		return batchAnswer{}, err
	}
	for _, l := range e.left {
		items[l.index].failed = &failure{Code: l.code, Text: l.text}
	}
	c, err := r.git.ReadCommit(ctx, e.commit)
	if err != nil {
		return batchAnswer{}, err
	}
	out, _, err := r.answerBatch(ctx, e.commit, in, items)
	out.Hash, out.replayed = e.commit.String(), true
	if len(c.Parents) > 0 {
		out.Parent = c.Parents[0].String()
	}
	return out, err
}
