package gitrepo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zlib"
)

// How the maintenance compresses entries. Commits do not compress theirs, see
// appendStored: 100,000 documents in batches are on the disk in two thirds of
// the time, and a single one costs no compressor. The zlib header tells what
// has still to be done.
const (
	// levelFinal is what the maintenance writes: small texts take 1 % more than
	// with level 7, which is as slow as git's own default and makes as much of
	// them.
	levelFinal = 6
	// levelSmall does as well for a few bytes and for trees, which are mostly
	// names of objects.
	levelSmall = 5
	smallBytes = 128
)

const (
	// chunkObjects and chunkBytes bound what one goroutine compresses before
	// it hands over.
	chunkObjects = 64
	chunkBytes   = 1 << 20
	// pooledBytes bounds the buffers that are kept for the next object.
	pooledBytes = 1 << 20
)

// deflater is a compressor, kept for the next object: making one costs more
// than compressing a small object.
type deflater struct{ zlib *zlib.Writer }

func deflaterPool(level int) *sync.Pool {
	return &sync.Pool{New: func() any {
		z, err := zlib.NewWriterLevel(nil, level)
		if err != nil {
			panic("gitrepo: zlib refuses its own constant: " + err.Error())
		}
		return &deflater{z}
	}}
}

var deflaters = map[int]*sync.Pool{
	levelSmall: deflaterPool(levelSmall), levelFinal: deflaterPool(levelFinal),
}

// deflate appends a zlib stream of data.
func deflate(out *bytes.Buffer, data []byte, level int) error {
	if level == levelFinal && len(data) < smallBytes {
		level = levelSmall
	}
	pool := deflaters[level]
	d := pool.Get().(*deflater) //nolint:forcetypeassert // the pool makes nothing else
	defer pool.Put(d)
	d.zlib.Reset(out)
	if _, err := d.zlib.Write(data); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := d.zlib.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

// appendStored appends a zlib stream that holds data as it is: blocks of at most
// 65,535 bytes with their length twice, and the checksum.
func appendStored(out *bytes.Buffer, data []byte) {
	const longest = 0xffff
	var scratch [5]byte
	out.Write([]byte{0x78, 0x01})
	for rest := data; ; {
		n := min(len(rest), longest)
		scratch[0] = 0
		if n == len(rest) {
			scratch[0] = 1 // the last block
		}
		binary.LittleEndian.PutUint16(scratch[1:], uint16(n))  //nolint:gosec // at most 0xffff
		binary.LittleEndian.PutUint16(scratch[3:], ^uint16(n)) //nolint:gosec // at most 0xffff
		out.Write(scratch[:])
		out.Write(rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	binary.BigEndian.PutUint32(scratch[:], adler32.Checksum(data))
	out.Write(scratch[:4])
}

// unfinishedStream tells the streams that compress less than the maintenance would:
// the header of zlib names the level in four steps.
func unfinishedStream(header byte) bool { return header>>6 == 0 }

// chunk is a run of objects that one goroutine encodes.
type chunk struct {
	from, to int
	input    window
	out      bytes.Buffer
	ends     []int // of the entries in out
	err      error
	done     chan struct{}
}

var chunks = sync.Pool{New: func() any { return &chunk{} }}

func (c *chunk) run(ctx context.Context, encode func(i int, c *chunk) error) {
	c.out.Reset()
	c.ends = c.ends[:0]
	c.err = nil
	for i := c.from; i < c.to && c.err == nil; i++ {
		if c.err = ctx.Err(); c.err == nil {
			c.err = encode(i, c)
		}
		c.ends = append(c.ends, c.out.Len())
	}
}

// emit hands the entries on, in their order.
func (c *chunk) emit(to func(i int, payload []byte) error) error {
	if c.err != nil {
		return c.err
	}
	start := 0
	for n, end := range c.ends {
		if err := to(c.from+n, c.out.Bytes()[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (c *chunk) release() {
	c.input.pack = nil
	if c.out.Cap() <= pooledBytes {
		chunks.Put(c)
	}
}

// inOrder encodes n objects, in up to workers goroutines, and emits them one
// after the other. size tells about how much work an object is, in bytes. It
// holds at most workers+1 chunks, and no goroutine outlives it.
func inOrder(ctx context.Context, n, workers int, size func(i int) int,
	encode func(i int, c *chunk) error, emit func(i int, payload []byte) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	var running []*chunk // in order
	drain := func() error {
		c := running[0]
		running = running[1:]
		<-c.done
		defer c.release()
		return c.emit(emit)
	}
	for from := 0; from < n; {
		to, bytes := from, 0
		for to < n && to-from < chunkObjects && bytes < chunkBytes {
			bytes += size(to)
			to++
		}
		c := chunks.Get().(*chunk) //nolint:forcetypeassert // the pool makes nothing else
		c.from, c.to, c.done = from, to, make(chan struct{})
		last := len(running) == 0 && to == n
		if workers < 2 || last {
			c.run(ctx, encode)
			close(c.done)
		} else {
			group.Go(func() {
				defer close(c.done)
				c.run(ctx, encode)
			})
		}
		running = append(running, c)
		for len(running) > 0 && (workers < 2 || len(running) > workers) {
			if err := drain(); err != nil {
				return err
			}
		}
		from = to
	}
	for len(running) > 0 {
		if err := drain(); err != nil {
			return err
		}
	}
	return nil
}

// idleWorkers leaves one processor to the callers.
func idleWorkers() int { return max(1, runtime.GOMAXPROCS(0)-1) }
