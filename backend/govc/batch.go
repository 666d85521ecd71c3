package govc

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// batchLimits are those of a service that takes batches.
type batchLimits struct {
	items    int
	body     int // bytes, as they are sent
	unpacked int // bytes, before they are compressed
}

var usualLimits = batchLimits{items: 4096, body: maxBody, unpacked: 4 * maxBody}

// errNoBatch: the changes are more than one batch takes.
var errNoBatch = errors.New("too much for one batch")

type batchRequest struct {
	Message   string      `json:"message"`
	Author    string      `json:"author"`
	Email     string      `json:"email"`
	Timestamp *time.Time  `json:"timestamp,omitempty"`
	Items     []batchItem `json:"items"`
}

// size is about how many bytes a request has; the names of fields, hashes and
// escaped line ends are a guess.
func (in *batchRequest) size() int {
	n := len(in.Message) + len(in.Author) + len(in.Email) + 128
	for i := range in.Items {
		n += len(in.Items[i].Path) + 160
		if text := in.Items[i].Content; text != nil {
			n += len(*text) + len(*text)/16
		}
	}
	return n
}

type batchItem struct {
	Op      string  `json:"op"`
	Path    string  `json:"path"`
	Content *string `json:"content,omitempty"`
	// Match is the hash of the blob that the change is made against, "" for
	// none; nil makes it whatever is there.
	Match *string `json:"if_match,omitempty"`
	// NewFolder: there must be nothing at all in the folder of the path.
	NewFolder bool   `json:"new_folder,omitempty"`
	Group     string `json:"group,omitempty"`

	want string // hash of the blob of Content
}

type batchAnswer struct {
	Hash  string       `json:"hash"`
	Items []itemAnswer `json:"items"`
}

type itemAnswer struct {
	Path  string `json:"path"`
	Hash  string `json:"hash"`
	Error string `json:"error"`
	Code  string `json:"code"`
}

// is compares what was stored with what was sent.
func (a itemAnswer) is(sent batchItem) error {
	if a.Code != "" || a.Path != sent.Path || a.Hash != sent.want {
		return fmt.Errorf("govc: batch: %w: the service stored something else at %s than was sent", store.ErrConflict, sent.Path)
	}
	return nil
}

// blobHash names content as git does.
func blobHash(data []byte) string {
	h := sha1.New()
	var header [32]byte
	_, _ = h.Write(append(strconv.AppendInt(append(header[:0], "blob "...), int64(len(data)), 10), 0)) // a hash takes all
	_, _ = h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

func putItem(path string, data []byte, hash string, match *string, group string) batchItem {
	text := string(data)
	return batchItem{Op: "put", Path: path, Content: &text, Match: match, Group: group, want: hash}
}

// items are the changes that a task takes, each against what is there before,
// so that what somebody else wrote meanwhile is not overwritten. They are made
// together or not at all.
func (t *task) items(group string) []batchItem {
	folder := t.op.Key.Folder.String()
	absent := ""
	base := func(name string) *string {
		if hash, seen := t.held[name]; seen {
			return &hash
		}
		if t.before.partial {
			return nil
		}
		return &absent
	}
	if t.folder && t.before.partial {
		return []batchItem{{Op: "delete", Path: folder, Group: group}}
	}
	remove := t.stale
	if t.folder {
		remove = slices.Sorted(maps.Keys(t.held))
	}
	out := make([]batchItem, 0, len(remove)+len(t.files))
	for _, name := range remove {
		out = append(out, batchItem{Op: "delete", Path: folder + "/" + name, Match: base(name), Group: group})
	}
	for i, f := range t.files {
		out = append(out, putItem(folder+"/"+f.Name, f.Data, t.blobs[i], base(f.Name), group))
	}
	if t.guessed && len(t.held) == 0 && len(out) > 0 {
		out[0].NewFolder = true
	}
	return out
}

// applyAtOnce makes the changes of a batch by one request where what this
// client remembers of the documents holds, else by one that looks and one that
// writes. The caller has the right to write to them. It is errNoBatch if they are too much.
func (c *Client) applyAtOnce(ctx context.Context, info Info, batch store.Batch, tasks []*task) (store.Receipt, error) {
	c.recall(tasks)
	if info.Has(capNewFolder) && c.guess(info, tasks) {
		receipt, done, err := c.applyGuessed(ctx, batch, tasks)
		if done || err != nil {
			return receipt, err
		}
	}
	left, err := c.planAll(ctx, info, tasks)
	if err != nil {
		return store.Receipt{}, err
	}
	c.learn(tasks)
	if len(left) == 0 {
		return store.Receipt{}, contested(tasks)
	}
	receipt, err := c.applyBatch(ctx, only(batch, left), left)
	return receipt, cmp.Or(err, contested(tasks))
}

// applyBatch makes all changes by one request and one commit. The hashes that
// the service answers are those of what it stored: they are the read-back. A
// document that was changed by somebody else since it was looked at is left
// out, and the error is a store.ErrConflict; the others are written.
func (c *Client) applyBatch(ctx context.Context, batch store.Batch, tasks []*task) (store.Receipt, error) {
	in, owner := requestOf(batch, tasks, strconv.Itoa)
	if len(in.Items) == 0 {
		return store.Receipt{}, nil
	}
	made, err := c.sendBatch(ctx, in, batch.Ops)
	if err != nil {
		c.forgetAll(tasks)
		return store.Receipt{}, err
	}
	err = c.judgeBatch(ctx, in, made, owner)
	if err != nil {
		c.forgetAll(tasks)
	} else {
		c.keepAll(tasks)
	}
	receipt := store.Receipt{Commit: made.Hash}
	if err == nil {
		receipt.Written = len(tasks)
	}
	return receipt, err
}

// only is a batch of what these tasks do: its message tells what changes.
func only(batch store.Batch, tasks []*task) store.Batch {
	if len(tasks) == len(batch.Ops) {
		return batch
	}
	batch.Ops = make([]store.Op, len(tasks))
	for i, t := range tasks {
		batch.Ops[i] = t.op
	}
	return batch
}

// requestOf makes the request for some tasks, and tells whose each item is.
func requestOf(batch store.Batch, tasks []*task, group func(task int) string) (in batchRequest, owner []*task) {
	in = batchRequest{
		Message: batch.Message(), Author: batch.Author.Name, Email: batch.Author.Email, Timestamp: timestamp(batch.At),
		Items: make([]batchItem, 0, 3*len(tasks)),
	}
	owner = make([]*task, 0, 3*len(tasks))
	for i, t := range tasks {
		items := t.items(group(i))
		in.Items = append(in.Items, items...)
		for range items {
			owner = append(owner, t)
		}
	}
	return in, owner
}

// judgeBatch compares what was stored with what was sent.
func (c *Client) judgeBatch(ctx context.Context, in batchRequest, made batchAnswer, owner []*task) error {
	var contested []*task
	var refused error
	for i, got := range made.Items {
		t, sent := owner[i], in.Items[i]
		switch got.Code {
		case "":
			if err := got.is(sent); err != nil {
				return err
			}
		case "GROUP_FAILED": // another item of the document says why
		case "PRECONDITION_FAILED", "FILE_NOT_FOUND":
			if len(contested) == 0 || contested[len(contested)-1] != t {
				contested = append(contested, t)
			}
		default:
			if refused == nil {
				refused = &RefusedError{
					Op: "write " + sent.Path, Status: http.StatusConflict, Code: bounded(got.Code, maxStart), Message: bounded(got.Error, maxText),
				}
			}
		}
	}
	if refused != nil || len(contested) == 0 {
		return refused
	}
	info, err := c.described(ctx)
	if err != nil {
		return fmt.Errorf("govc: batch: %w: %w", store.ErrAmbiguous, err)
	}
	// Whoever was faster may have written the same.
	return c.readBack(ctx, info, contested)
}

// sendBatch sends a batch. It may be repeated, because the service does what
// one key asks for only once.
func (c *Client) sendBatch(ctx context.Context, in batchRequest, ops []store.Op) (batchAnswer, error) {
	in.Message, in.Author, in.Email = signed(in.Message, in.Author, in.Email)
	if len(in.Items) > c.limits.items {
		return batchAnswer{}, errNoBatch
	}
	body, err := encodeSized(in, in.size())
	if err != nil {
		return batchAnswer{}, err
	}
	q := request{
		op: "write batch", method: http.MethodPost, path: c.repoPath("/api/v2", "/batch"), write: true, repeat: true,
		header:  http.Header{"Idempotency-Key": {c.batchKey(ops)}},
		timeout: c.timeouts.Write + time.Duration(len(body)>>20)*time.Second,
	}
	if q.body, err = c.limits.pack(body); err != nil {
		return batchAnswer{}, err
	}
	if len(q.body) != len(body) {
		q.header.Set("Content-Encoding", "gzip")
	}
	r, err := c.call(ctx, q)
	if err != nil && (r.status != http.StatusConflict || r.code() != "BATCH_FAILED") {
		return batchAnswer{}, err
	}
	var made batchAnswer
	if err := decode(r.body, &made); err != nil || len(made.Items) != len(in.Items) {
		return batchAnswer{}, fmt.Errorf("govc: write batch: %w: %w", store.ErrAmbiguous, c.notGovc(r, "it does not answer every item of the batch"))
	}
	return made, nil
}

// pack compresses a body that is too large as it is. Others are sent as they
// are: near by, compressing takes longer than sending.
func (l batchLimits) pack(body []byte) ([]byte, error) {
	if len(body) <= l.body {
		return body, nil
	}
	if len(body) > l.unpacked {
		return nil, errNoBatch
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("govc: compress batch: %w", err)
	}
	if _, err = w.Write(body); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("govc: compress batch: %w", err)
	}
	if out.Len() > l.body {
		return nil, errNoBatch
	}
	return out.Bytes(), nil
}

// batchKey is new with every call: the same request later is another one, made
// against what is there then.
func (c *Client) batchKey(ops []store.Op) string {
	h := sha256.New()
	for _, op := range ops {
		_, _ = fmt.Fprintf(h, "%q ", op.ID) // a hash takes all
	}
	_, _ = fmt.Fprintf(h, "\n%x %x %d %d\n", c.random(1<<62), c.random(1<<62), c.now().UnixNano(), c.batches.Add(1))
	return "caiatop-" + hex.EncodeToString(h.Sum(nil))
}
