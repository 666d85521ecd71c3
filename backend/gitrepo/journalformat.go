package gitrepo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/go-git/go-git/v5/plumbing"
)

// A segment of the journal is a head and records, each of which begins at a
// multiple of journalBlock: what is written later never touches a sector of
// what was acknowledged.
//
//	head    magic, number of the use and its nonce, number of the first record,
//	        state, CRC32C
//	record  magic, nonce, its number, bytes of the payload, CRC32C of the payload,
//	        CRC32C of this beginning; then the payload: the name of the
//	        reference, where it was, where it is, the objects
//
// Numbers are little-endian. A file is used over and over; the nonce is random,
// so that no record of an earlier use counts.
const (
	journalBlock  = 4096
	headMagic     = 0x3148474a41494143 // "CAIAJGH1"
	recordMagic   = 0x3152474a41494143 // "CAIAJGR1"
	headBytes     = 8 + 8 + 8 + 8 + 8 + 4
	recordHeading = 8 + 8 + 8 + 8 + 4 + 4
	// stateLive: the records count. stateVoid: all of them are in a pack and
	// behind a reference.
	stateLive = 1
	stateVoid = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHead is the beginning of a segment.
type segmentHead struct {
	use   uint64 // counts the uses of all segments
	nonce uint64
	first uint64 // number of the first record
	state uint64
}

func (h segmentHead) append(b []byte) []byte {
	start := len(b)
	for _, n := range []uint64{headMagic, h.use, h.nonce, h.first, h.state} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseHead(b []byte) (h segmentHead, ok bool) {
	if len(b) < headBytes || binary.LittleEndian.Uint64(b) != headMagic {
		return h, false
	}
	sum := headBytes - 4
	if crc32.Checksum(b[:sum], castagnoli) != binary.LittleEndian.Uint32(b[sum:]) {
		return h, false
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	h = segmentHead{use: at(1), nonce: at(2), first: at(3), state: at(4)}
	return h, h.state == stateLive || h.state == stateVoid
}

// entry is one record: a move of a reference, with all objects that it needs.
type entry struct {
	number   uint64
	ref      string
	old, new Hash
	objects  []staged
}

// encode makes the record of an entry, padded to whole blocks, and returns the
// objects with their bytes in it.
func (e *entry) encode(nonce uint64) (record []byte, kept []staged) {
	size := recordHeading + 2*binary.MaxVarintLen64 + len(e.ref) + 2*hashSize
	for _, o := range e.objects {
		size += 1 + binary.MaxVarintLen64 + len(o.data)
	}
	b := make([]byte, recordHeading, blocks(size))
	b = binary.AppendUvarint(b, uint64(len(e.ref)))
	b = append(b, e.ref...)
	b = append(b, e.old[:]...)
	b = append(b, e.new[:]...)
	b = binary.AppendUvarint(b, uint64(len(e.objects)))
	kept = make([]staged, len(e.objects))
	for i, o := range e.objects {
		b = append(b, byte(o.kind)) //nolint:gosec // kinds are below 8
		b = binary.AppendUvarint(b, uint64(len(o.data)))
		at := len(b)
		b = append(b, o.data...)
		kept[i] = staged{hash: o.hash, object: object{o.kind, b[at:len(b):len(b)]}, base: o.base, name: o.name}
	}
	payload := b[recordHeading:]
	head := b[:0]
	for _, n := range []uint64{recordMagic, nonce, e.number, uint64(len(payload))} {
		head = binary.LittleEndian.AppendUint64(head, n)
	}
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	return b[:blocks(len(b))], kept
}

// blocks rounds up to whole blocks.
func blocks(n int) int { return (n + journalBlock - 1) / journalBlock * journalBlock }

// recordStart is the checked beginning of a record.
type recordStart struct {
	number uint64
	size   int // of the payload
	sum    uint32
}

func parseRecordStart(b []byte, nonce uint64) (r recordStart, ok bool) {
	if len(b) < recordHeading || binary.LittleEndian.Uint64(b) != recordMagic || binary.LittleEndian.Uint64(b[8:]) != nonce {
		return r, false
	}
	sum := recordHeading - 4
	if crc32.Checksum(b[:sum], castagnoli) != binary.LittleEndian.Uint32(b[sum:]) {
		return r, false
	}
	size := binary.LittleEndian.Uint64(b[24:])
	if size > maxSegment {
		return r, false
	}
	return recordStart{binary.LittleEndian.Uint64(b[16:]), int(size), binary.LittleEndian.Uint32(b[32:])}, true //nolint:gosec // bounded above
}

var errTruncated = errors.New("it ends too soon")

// parsePayload takes a record apart, whose checksum was right. It names the
// objects anew.
func parsePayload(number uint64, b []byte) (entry, error) {
	e := entry{number: number}
	take := func(n uint64) ([]byte, error) {
		if n > uint64(len(b)) {
			return nil, errTruncated
		}
		out := b[:n:n]
		b = b[n:]
		return out, nil
	}
	count := func() (uint64, error) {
		n, used := binary.Uvarint(b)
		if used <= 0 {
			return 0, errTruncated
		}
		b = b[used:]
		return n, nil
	}
	sized := func() ([]byte, error) {
		n, err := count()
		if err != nil {
			return nil, err
		}
		return take(n)
	}
	name, err := sized()
	if err != nil {
		return e, err
	}
	e.ref = string(name)
	if err := checkRef(e.ref); err != nil {
		return e, err
	}
	for _, h := range []*Hash{&e.old, &e.new} {
		raw, err := take(uint64(len(h)))
		if err != nil {
			return e, err
		}
		copy(h[:], raw)
	}
	n, err := count()
	if err != nil {
		return e, err
	}
	for range n {
		kind, err := take(1)
		if err != nil {
			return e, err
		}
		data, err := sized()
		if err != nil {
			return e, err
		}
		if k := plumbing.ObjectType(kind[0]); k != plumbing.BlobObject && k != plumbing.TreeObject && k != plumbing.CommitObject { //nolint:gosec // a byte
			return e, fmt.Errorf("an object of kind %d", kind[0])
		}
		s, err := stage(plumbing.ObjectType(kind[0]), data) //nolint:gosec // as above
		if err != nil {
			return e, err
		}
		e.objects = append(e.objects, s)
	}
	if len(b) > 0 {
		return e, fmt.Errorf("%d bytes follow its objects", len(b))
	}
	return e, nil
}

// readSegment returns the records of a segment, all that count. The last one
// may be torn: then it was never acknowledged and is passed over. Any other that
// is not whole is damage, which the error, an ErrCorrupt, tells.
func readSegment(data []byte) (h segmentHead, entries []entry, err error) {
	h, ok := parseHead(data)
	if !ok {
		return h, nil, lostHead(data)
	}
	if h.state == stateVoid {
		return h, nil, nil
	}
	at, number := journalBlock, h.first
	for at < len(data) {
		start, ok := parseRecordStart(data[at:], h.nonce)
		end := at + recordHeading + start.size
		if !ok || start.number != number || end > len(data) {
			break
		}
		payload := data[at+recordHeading : end]
		if crc32.Checksum(payload, castagnoli) != start.sum {
			break
		}
		e, err := parsePayload(number, payload)
		if err != nil {
			return h, entries, fmt.Errorf("%w: record %d of the journal: %w", ErrCorrupt, number, err)
		}
		entries = append(entries, e)
		at, number = at+blocks(recordHeading+start.size), number+1
	}
	// A record is written when the one before it was on the disk.
	for later := at; later < len(data); later += journalBlock {
		if start, ok := parseRecordStart(data[later:], h.nonce); ok && start.number > number {
			return h, entries, fmt.Errorf("%w: record %d of the journal at byte %d is damaged, but record %d follows: %s",
				ErrCorrupt, number, at, start.number, between(entries, data[later:], start))
		}
	}
	return h, entries, nil
}

// between says which commits are lost with a record.
func between(entries []entry, b []byte, next recordStart) string {
	from, to := "unknown", "unknown"
	if len(entries) > 0 {
		last := entries[len(entries)-1]
		from = last.ref + " at " + last.new.String()
	}
	if end := recordHeading + next.size; end <= len(b) {
		if e, err := parsePayload(next.number, b[recordHeading:end]); err == nil {
			to = e.ref + " at " + e.old.String()
		}
	}
	return fmt.Sprintf("acknowledged commits are lost, those after %s up to %s", from, to)
}

// lostHead is the error of a segment whose head cannot be read, nil where that
// is no loss: a head is on the disk before the first record is written.
func lostHead(data []byte) error {
	for at := journalBlock; at+recordHeading <= len(data); at += journalBlock {
		nonce := binary.LittleEndian.Uint64(data[at+8:])
		if start, ok := parseRecordStart(data[at:], nonce); ok {
			return fmt.Errorf("%w: the head of the journal is damaged, but it has record %d: %s", ErrCorrupt, start.number, between(nil, data[at:], start))
		}
	}
	return nil
}
