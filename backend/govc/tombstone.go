package govc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// tombstone takes the place of metadata.json where a service cannot delete.
type tombstone struct {
	Tombstone bool      `json:"tombstone"`
	ID        string    `json:"id"`
	Op        string    `json:"op"`
	Time      time.Time `json:"time"`
}

// deletion is the record of a delete, at deletionPath. It comes before the
// tombstone, so that a torn delete is known.
type deletion struct {
	ID       string    `json:"id"`
	Base     string    `json:"base"` // hash of the version that was deleted; "" if it could not be read
	Op       string    `json:"op"`
	Time     time.Time `json:"time"`
	Restored string    `json:"restored,omitempty"` // operation that put the id again
}

func isTombstone(metadata []byte) bool {
	var t tombstone
	return json.Unmarshal(metadata, &t) == nil && t.Tombstone
}

func deletionPath(id document.ID) string {
	sum := sha256.Sum256([]byte(id.String()))
	return "caiatop/deleted/" + hex.EncodeToString(sum[:]) + ".json"
}

// bury records a delete and puts a tombstone in the document's place.
func bury(ctx context.Context, d dialect, batch store.Batch, t *task) error {
	base := ""
	if t.before.doc != nil {
		h, err := t.before.doc.Hash()
		if err != nil {
			return err
		}
		base = h.String()
	}
	id := t.op.Key.ID
	record := deletion{ID: id.String(), Base: base, Op: t.op.ID, Time: batch.At.UTC()}
	if err := addJSON(ctx, d, deletionPath(id), record); err != nil {
		return err
	}
	stone := tombstone{Tombstone: true, ID: id.String(), Op: t.op.ID, Time: batch.At.UTC()}
	return addJSON(ctx, d, t.op.Key.Folder.String()+"/"+document.MetadataFile, stone)
}

// restore marks the record of an earlier delete before the document is put
// again.
func restore(ctx context.Context, d dialect, batch store.Batch, op store.Op) error {
	path := deletionPath(op.Key.ID)
	record := deletion{ID: op.Key.ID.String()}
	data, err := d.read(ctx, path)
	if err != nil && !isNotFound(err) {
		return err
	}
	if err == nil {
		if err := json.Unmarshal(data, &record); err != nil {
			return fmt.Errorf("govc: read %s: %w: %w", path, store.ErrCorrupt, err)
		}
	}
	record.Restored, record.Time = op.ID, batch.At.UTC()
	if record.Restored == "" {
		record.Restored = "unknown"
	}
	return addJSON(ctx, d, path, record)
}

func addJSON(ctx context.Context, d dialect, path string, value any) error {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("govc: encode %s: %w", path, err)
	}
	return d.add(ctx, path, append(body, '\n'))
}
