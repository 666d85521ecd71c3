package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// futile is how often an object of a name may be unlike the one before it
	// until only each retryEvery-th is compared.
	futile     = 8
	retryEvery = 16
)

// batch is a commit on its way into a pack.
type batch struct {
	objects []staged
	bases   []int    // of each object, -1 if it is whole
	deltas  [][]byte // of those that are not
}

// leader is the object of a name that others are compared with.
type leader struct {
	at     int
	base   *deltaBase
	misses int
}

// writePack writes objects as one pack and returns the path of its index.
func writePack(ctx context.Context, files *spares, objects []staged) (string, error) {
	indexPath, err := placePack(ctx, files, objects, nil, nil)
	if err != nil {
		return "", err
	}
	return indexPath, files.volume.SyncDir(files.packs.dir)
}

// placePack is writePack without the sync of the folder. The pack is held by h,
// if that is set. It calls syncing, if that is set, when all is written and
// begins to be synced.
func placePack(ctx context.Context, files *spares, objects []staged, h *hold, syncing func()) (string, error) {
	indexPath, err := placeOnce(ctx, files, objects, h, syncing)
	if errors.Is(err, fs.ErrNotExist) {
		// git prune took a temporary file, as it does at any age if it is told so.
		indexPath, err = placeOnce(ctx, files, objects, h, syncing)
	}
	return indexPath, err
}

func placeOnce(ctx context.Context, files *spares, objects []staged, h *hold, syncing func()) (string, error) {
	w, err := newPackWriter(files, len(objects))
	if err != nil {
		return "", err
	}
	w.syncing = syncing
	if h != nil {
		w.keep = h.keep
	}
	b := newBatch(objects)
	if err := b.write(ctx, w); err != nil {
		return "", errors.Join(err, w.abort())
	}
	return w.place()
}

func newBatch(objects []staged) *batch {
	b := &batch{objects: objects}
	b.plan()
	return b
}

// plan looks for deltas: against what was at the same place before, and else
// against the first object of the same name. All that have one base are read
// with one step, which a chain of neighbours would not allow.
func (b *batch) plan() {
	b.bases = make([]int, len(b.objects))
	b.deltas = make([][]byte, len(b.objects))
	at := make(map[Hash]int)
	for i, o := range b.objects {
		b.bases[i] = -1
		if !o.base.IsZero() {
			at[o.base] = -1
		}
	}
	for i, o := range b.objects {
		if _, wanted := at[o.hash]; wanted {
			at[o.hash] = i
		}
	}
	type group struct {
		name string
		kind plumbing.ObjectType
	}
	leaders := make(map[group]*leader)
	for i, o := range b.objects {
		if len(o.data) < minDeltaBytes || len(o.data) > maxDeltaBytes {
			continue
		}
		// A base that comes later could be a delta of this one.
		if base, ok := at[o.base]; ok && base >= 0 && base < i && b.depth(base) < maxDeltaDepth && b.similar(base, o) {
			if b.try(i, base, newDeltaBase(b.objects[base].data)) {
				continue
			}
		}
		// Trees of one name have nothing in common but names.
		if o.kind != plumbing.BlobObject || o.name == "" {
			continue
		}
		key := group{o.name, o.kind}
		l := leaders[key]
		if l == nil {
			leaders[key] = &leader{at: i, base: newDeltaBase(o.data)}
			continue
		}
		if l.misses >= futile && i%retryEvery != 0 {
			continue
		}
		if b.try(i, l.at, l.base) {
			l.misses = 0
		} else {
			l.misses++
		}
	}
}

// similar reports whether an object can be the base of another.
func (b *batch) similar(base int, o staged) bool {
	p := b.objects[base]
	return p.kind == o.kind && len(p.data) <= maxDeltaBytes
}

func (b *batch) depth(i int) int {
	n := 0
	for ; b.bases[i] >= 0; i = b.bases[i] {
		n++
	}
	return n
}

// try makes object i a delta if that halves it.
func (b *batch) try(i, base int, d *deltaBase) bool {
	data := b.objects[i].data
	delta, ok := d.encode(data, len(data)/2)
	if ok {
		b.bases[i], b.deltas[i] = base, delta
	}
	return ok
}

func (b *batch) content(i int) []byte {
	if b.bases[i] >= 0 {
		return b.deltas[i]
	}
	return b.objects[i].data
}

// write writes the entries as they are: nobody who commits waits for their
// compression, which is the work of a quiet moment.
func (b *batch) write(ctx context.Context, w *packWriter) error {
	var stream bytes.Buffer
	for i, o := range b.objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		base := whole
		if b.bases[i] >= 0 {
			base = w.entries[b.bases[i]].offset
		}
		content := b.content(i)
		stream.Reset()
		appendStored(&stream, content)
		if err := w.add(o.hash, o.kind, len(content), base, stream.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
