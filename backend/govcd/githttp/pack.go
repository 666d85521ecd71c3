package githttp

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"encoding/binary"
	"hash"
	"io"
	"runtime"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// largeObject is the size from which on an object is compressed straight into
	// the answer, in bytes (256 KiB).
	largeObject = 256 << 10
	// chunkObjects are compressed by one goroutine, which the order of the pack
	// then waits for.
	chunkObjects = 64
	// maxWorkers bounds the goroutines of one transfer.
	maxWorkers = 4
)

// packer writes the objects of a content as a pack.
type packer struct {
	*graph
	*content
	offsets  bool    // deltas may say where in the pack their base is
	places   []int64 // of the objects that were written
	out      io.Writer
	sum      hash.Hash
	written  int64
	deltas   int
	header   []byte // scratch
	compress *zlib.Writer
}

func newPacker(g *graph, c *content, offsets bool, out io.Writer) *packer {
	p := &packer{graph: g, content: c, offsets: offsets, sum: sha1.New()} //nolint:gosec // git's format
	if offsets {
		p.places = make([]int64, c.len())
	}
	p.out = io.MultiWriter(out, p.sum)
	return p
}

// Write implements io.Writer for what is compressed straight into the pack.
func (p *packer) Write(b []byte) (int, error) {
	n, err := p.out.Write(b)
	p.written += int64(n)
	return n, err
}

// write writes the pack. It reads ahead in some goroutines, which it waits for.
func (p *packer) write() error {
	count := p.len()
	header := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count)) //nolint:gosec // bounded by maxObjects
	if _, err := p.Write(header); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(p.ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	ahead := min(runtime.GOMAXPROCS(0), maxWorkers)
	pending := make(chan chan *chunk, ahead)
	working.Go(func() {
		defer close(pending)
		for from := 0; from < count; from += chunkObjects {
			made := make(chan *chunk, 1)
			select {
			case pending <- made:
			case <-ctx.Done():
				return
			}
			working.Go(func() {
				c := chunks.Get().(*chunk) //nolint:forcetypeassert // the pool makes nothing else
				c.fill(ctx, p, from, min(from+chunkObjects, count))
				made <- c
			})
		}
	})
	for made := range pending {
		c := <-made
		if err := p.writeChunk(c); err != nil {
			return err
		}
		chunks.Put(c)
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	_, err := p.out.Write(p.sum.Sum(nil))
	return err
}

func (p *packer) writeChunk(c *chunk) error {
	if c.err != nil {
		return c.err
	}
	at := 0
	for i, o := range c.parts {
		number := c.from + i
		if p.offsets {
			p.places[number] = p.written
		}
		if o.delta {
			p.deltas++
		}
		if err := p.writeHeader(number, o); err != nil {
			return err
		}
		if o.large {
			if err := p.writeLarge(number); err != nil {
				return err
			}
			continue
		}
		if _, err := p.Write(c.out.Bytes()[at:o.end]); err != nil {
			return err
		}
		at = o.end
	}
	return nil
}

func (p *packer) writeHeader(number int, o part) error {
	switch base := p.bases[number]; {
	case !o.delta:
		p.header = gitrepo.AppendEntryHeader(p.header[:0], p.kinds[number], o.size)
	case p.offsets && base >= 0:
		p.header = gitrepo.AppendEntryHeader(p.header[:0], plumbing.OFSDeltaObject, o.size)
		p.header = gitrepo.AppendDistance(p.header, p.written-p.places[base])
	default:
		name, _ := p.base(number)
		p.header = gitrepo.AppendEntryHeader(p.header[:0], plumbing.REFDeltaObject, o.size)
		p.header = append(p.header, name[:]...)
	}
	_, err := p.Write(p.header)
	return err
}

// writeLarge compresses an object into the answer. That it has the size that
// its header says is sure: it has the name.
func (p *packer) writeLarge(number int) error {
	data, err := p.object(p.names[number], p.kinds[number])
	if err != nil {
		return err
	}
	if p.compress == nil {
		if p.compress, err = zlib.NewWriterLevel(p, zlib.BestSpeed); err != nil {
			return err
		}
	}
	p.compress.Reset(p)
	if _, err := p.compress.Write(data); err != nil {
		return err
	}
	return p.compress.Close()
}

// chunk is some objects in a row, compressed.
type chunk struct {
	from     int
	parts    []part
	out      bytes.Buffer
	compress *zlib.Writer
	err      error
}

// part is one object.
type part struct {
	size  int // uncompressed; of the delta, if it is one
	end   int // in the buffer of the chunk
	delta bool
	large bool // is not in the buffer
}

var chunks = sync.Pool{New: func() any { return &chunk{} }}

func (c *chunk) fill(ctx context.Context, p *packer, from, to int) {
	c.from, c.parts, c.err = from, c.parts[:0], nil
	c.out.Reset()
	g := &graph{ctx: ctx, repo: p.repo}
	for number := from; number < to && c.err == nil; number++ {
		c.err = c.add(g, p.content, number)
	}
}

func (c *chunk) add(g *graph, all *content, number int) error {
	kind := all.kinds[number]
	data, err := g.object(all.names[number], kind)
	if err != nil {
		return err
	}
	o := part{size: len(data)}
	if base, ok := all.base(number); ok && len(data) <= largeObject {
		old, err := g.object(base, kind)
		if err != nil {
			return err
		}
		if made := deltaOf(kind, old, data); made != nil {
			data, o.size, o.delta = made, len(made), true
		}
	}
	if o.large = o.size > largeObject; !o.large {
		if err := c.deflate(data); err != nil {
			return err
		}
	}
	o.end = c.out.Len()
	c.parts = append(c.parts, o)
	return nil
}

func (c *chunk) deflate(data []byte) (err error) {
	if c.compress == nil {
		if c.compress, err = zlib.NewWriterLevel(&c.out, zlib.BestSpeed); err != nil {
			return err
		}
	} else {
		c.compress.Reset(&c.out)
	}
	if _, err := c.compress.Write(data); err != nil {
		return err
	}
	return c.compress.Close()
}
