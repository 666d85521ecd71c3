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

	"github.com/caiatech/caiatop/backend/frame"
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

// changes is a batch to send, and what the service is to answer of it.
type changes struct {
	frame.Batch
	want []frame.Hash // of the blobs that are put, in the order of the items
}

func (in *changes) put(path string, data []byte, hash frame.Hash, match frame.Match, base frame.Hash, group string) {
	in.Items = append(in.Items, frame.Item{Op: frame.Put, Match: match, Base: base, Group: group, Path: path, Data: data})
	in.want = append(in.want, hash)
}

func (in *changes) remove(path string, match frame.Match, base frame.Hash, group string) {
	in.Items = append(in.Items, frame.Item{Op: frame.Delete, Match: match, Base: base, Group: group, Path: path})
	in.want = append(in.want, frame.Hash{})
}

// made is what a service answers to a batch.
type made struct {
	commit string
	items  []madeItem
}

type madeItem struct {
	frame.Done
	odd bool // it is no answer to this item
}

// is compares what was stored of an item with what was sent.
func (in *changes) is(i int, got madeItem) error {
	if got.Code != "" || got.odd || got.Hash != in.want[i] {
		return fmt.Errorf("govc: batch: %w: the service stored something else at %s than was sent", store.ErrConflict, in.Items[i].Path)
	}
	return nil
}

// blobHash names content as git does.
func blobHash(data []byte) (out frame.Hash) {
	h := sha1.New()
	var header [32]byte
	_, _ = h.Write(append(strconv.AppendInt(append(header[:0], "blob "...), int64(len(data)), 10), 0)) // a hash takes all
	_, _ = h.Write(data)
	h.Sum(out[:0])
	return out
}

// items adds the changes that a task takes, each against what is there before,
// so that what somebody else wrote meanwhile is not overwritten. They are made
// together or not at all.
func (t *task) items(in *changes, group string) {
	folder, first := t.op.Key.Folder.String(), len(in.Items)
	if t.folder && t.before.partial {
		in.remove(folder, frame.Anything, frame.Hash{}, group)
		return
	}
	base := func(name string) (frame.Match, frame.Hash) {
		if hash, seen := t.held[name]; seen {
			return frame.Blob, hash
		}
		if t.before.partial {
			return frame.Anything, frame.Hash{}
		}
		return frame.Nothing, frame.Hash{}
	}
	remove := t.stale
	if t.folder {
		remove = slices.Sorted(maps.Keys(t.held))
	}
	for _, name := range remove {
		match, hash := base(name)
		in.remove(folder+"/"+name, match, hash, group)
	}
	for i, f := range t.files {
		match, hash := base(f.Name)
		in.put(folder+"/"+f.Name, f.Data, t.blobs[i], match, hash, group)
	}
	if t.guessed && len(t.held) == 0 && len(in.Items) > first {
		in.Items[first].NewFolder = true
	}
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
	done, err := c.sendBatch(ctx, in, batch.Ops)
	if err != nil {
		c.forgetAll(tasks)
		return store.Receipt{}, err
	}
	err = c.judgeBatch(ctx, in, done, owner)
	if err != nil {
		c.forgetAll(tasks)
	} else {
		c.keepAll(tasks)
	}
	receipt := store.Receipt{Commit: done.commit}
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
func requestOf(batch store.Batch, tasks []*task, group func(task int) string) (in *changes, owner []*task) {
	most := 0
	for _, t := range tasks {
		most += len(t.files) + len(t.stale)
		if t.folder {
			most += max(len(t.held), 1)
		}
	}
	in = &changes{
		Batch: frame.Batch{
			Message: batch.Message(), Author: batch.Author.Name, Email: batch.Author.Email, At: batch.At.UTC(),
			Items: make([]frame.Item, 0, most),
		},
		want: make([]frame.Hash, 0, most),
	}
	owner = make([]*task, 0, most)
	for i, t := range tasks {
		t.items(in, group(i))
		for len(owner) < len(in.Items) {
			owner = append(owner, t)
		}
	}
	return in, owner
}

// judgeBatch compares what was stored with what was sent.
func (c *Client) judgeBatch(ctx context.Context, in *changes, done made, owner []*task) error {
	var contested []*task
	var refused error
	for i, got := range done.items {
		t := owner[i]
		switch got.Code {
		case "":
			if err := in.is(i, got); err != nil {
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
					Op: "write " + in.Items[i].Path, Status: http.StatusConflict, Code: bounded(got.Code, maxStart), Message: bounded(got.Error, maxText),
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

// sendBatch sends a batch, in the form that the service takes best. It may be
// repeated, because the service does what one key asks for only once.
func (c *Client) sendBatch(ctx context.Context, in *changes, ops []store.Op) (made, error) {
	in.Message, in.Author, in.Email = signed(in.Message, in.Author, in.Email)
	if len(in.Items) > c.limits.items {
		return made{}, errNoBatch
	}
	header := http.Header{headerKey: {c.batchKey(ops)}}
	if c.frames() {
		header["Content-Type"], header["Accept"] = []string{frame.Type}, []string{frame.Accept}
		done, err := c.sendBody(ctx, in, in.Append(make([]byte, 0, in.Size())), header)
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Status != http.StatusUnsupportedMediaType {
			return done, err
		}
		// Another service has taken the place of the one that had announced it.
		header = http.Header{headerKey: header[headerKey]}
	}
	body, err := encodeBatch(in)
	if err != nil {
		return made{}, err
	}
	return c.sendBody(ctx, in, body, header)
}

const headerKey = "Idempotency-Key"

// frames reports whether the service takes and answers the form of package frame.
func (c *Client) frames() bool {
	info := c.info.Load()
	return info != nil && info.Has(capFrame)
}

// sendBody sends the body of a batch.
func (c *Client) sendBody(ctx context.Context, in *changes, body []byte, header http.Header) (made, error) {
	q := request{
		op: "write batch", method: http.MethodPost, path: c.repoPath("/api/v2", "/batch"), write: true, repeat: true,
		header: header, timeout: c.timeouts.Write + time.Duration(len(body)>>20)*time.Second,
	}
	var err error
	if q.body, err = c.limits.pack(body); err != nil {
		return made{}, err
	}
	if len(q.body) != len(body) {
		q.header.Set("Content-Encoding", "gzip")
	}
	r, err := c.call(ctx, q)
	if err != nil && (r.status != http.StatusConflict || r.code() != "BATCH_FAILED") {
		return made{}, err
	}
	done, err := readMade(r, in)
	if err != nil || len(done.items) != len(in.Items) {
		return made{}, fmt.Errorf("govc: write batch: %w: %w", store.ErrAmbiguous, c.notGovc(r, "it does not answer every item of the batch"))
	}
	return done, nil
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
