package frame

import (
	"encoding/binary"
	"fmt"
	"time"
)

// MaxItems bounds the items of a batch.
const MaxItems = 4096

// Op is what an item does.
type Op byte

// The operations.
const (
	Put    Op = 'p'
	Delete Op = 'd' // of a file or of a folder
)

// Match is what an item wants to be there.
type Match byte

// The conditions.
const (
	Anything Match = '-'
	Nothing  Match = '0'
	Exists   Match = '*'
	Blob     Match = '=' // Item.Base
)

// Item is one change of a batch.
type Item struct {
	Op        Op
	Match     Match
	NewFolder bool // see docs/wire.md
	Base      Hash // with Blob
	Group     string
	Path      string
	Data      []byte // of a put
}

// Batch is the request to change many files in one commit:
//
//	message, author and email texts, 0 or 1 and a time, number of items, of each:
//	op, match, 0 or 1 for NewFolder, base hash if match is '=', group and path texts, data content if op is 'p'
//
// A time is its seconds since 1970 as a varint with sign, and its nanoseconds.
type Batch struct {
	Message, Author, Email string
	At                     time.Time // zero for none
	Items                  []Item
}

// leastItem is what an item has at least, in bytes.
const leastItem = 5

// Append writes the message.
func (b *Batch) Append(to []byte) []byte {
	to = begin(to, batchKind)
	to = appendText(appendText(appendText(to, b.Message), b.Author), b.Email)
	if b.At.IsZero() {
		to = append(to, 0)
	} else {
		to = binary.AppendVarint(append(to, 1), b.At.Unix())
		to = binary.AppendUvarint(to, uint64(b.At.Nanosecond())) //nolint:gosec // not negative
	}
	to = binary.AppendUvarint(to, uint64(len(b.Items)))
	for i := range b.Items {
		to = b.Items[i].append(to)
	}
	return to
}

func (it *Item) append(to []byte) []byte {
	to = append(to, byte(it.Op), byte(it.Match), flag(it.NewFolder))
	if it.Match == Blob {
		to = append(to, it.Base[:]...)
	}
	to = appendText(appendText(to, it.Group), it.Path)
	if it.Op == Put {
		to = appendText(to, it.Data)
	}
	return to
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// Size is how many bytes Append writes at most.
func (b *Batch) Size() int {
	n := headerSize + sizeOf(len(b.Message)) + sizeOf(len(b.Author)) + sizeOf(len(b.Email)) + 1 + binary.MaxVarintLen64 + 2*binary.MaxVarintLen32
	for i := range b.Items {
		it := &b.Items[i]
		n += 3 + len(it.Base) + sizeOf(len(it.Group)) + sizeOf(len(it.Path)) + sizeOf(len(it.Data))
	}
	return n
}

// ReadBatch reads what Batch.Append wrote.
func ReadBatch(message []byte) (Batch, error) {
	r := open(message, batchKind)
	b := Batch{Message: r.text(), Author: r.text(), Email: r.text(), At: r.time()}
	n := r.count(leastItem)
	if n > MaxItems {
		r.fail(fmt.Sprintf("a batch has at most %d items, not %d", MaxItems, n))
	} else if n > 0 {
		b.Items = make([]Item, n)
	}
	group := ""
	for i := range b.Items {
		it := &b.Items[i]
		r.item(it, group)
		if r.err != nil {
			return Batch{}, r.err
		}
		group = it.Group
	}
	if err := r.end(); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// item reads an item. Items of one group mostly follow each other.
func (r *reader) item(it *Item, group string) {
	it.Op, it.Match, it.NewFolder = Op(r.byte()), Match(r.byte()), r.flag()
	switch it.Match {
	case Blob:
		it.Base = r.hash()
	case Anything, Nothing, Exists:
	default:
		r.fail("an item has an unknown condition")
	}
	if len(group) > 0 && len(r.rest) > len(group) && int(r.rest[0]) == len(group) && group == string(r.rest[1:1+len(group)]) {
		it.Group, r.rest = group, r.rest[1+len(group):]
	} else {
		it.Group = r.text()
	}
	it.Path = r.text()
	switch it.Op {
	case Put:
		it.Data = r.content()
	case Delete:
	default:
		r.fail("an item has an unknown operation")
	}
}

func (r *reader) flag() bool {
	b := r.byte()
	if b > 1 {
		r.fail("a flag is neither 0 nor 1")
	}
	return b == 1
}

// time reads a time of the years 1 to 9999, which is what JSON can say, after the
// zero time, which is none.
func (r *reader) time() time.Time {
	if !r.flag() {
		return time.Time{}
	}
	zigzag := r.number()
	seconds := int64(zigzag >> 1) //nolint:gosec // the sign is in the last bit
	if zigzag&1 != 0 {
		seconds = ^seconds
	}
	nanoseconds := r.number()
	at := time.Unix(seconds, 0).UTC()
	if nanoseconds >= uint64(time.Second) || seconds <= firstSecond || seconds > lastSecond {
		r.fail("a time is none of the years 1 to 9999")
		return time.Time{}
	}
	return at.Add(time.Duration(nanoseconds)) //nolint:gosec // less than a second
}

var (
	firstSecond = time.Time{}.Unix()
	lastSecond  = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - 1
)

// Done is what became of an item.
type Done struct {
	// Hash is what the commit has at the path; zero for a delete, and for an item
	// that was left out.
	Hash        Hash
	Code, Error string // why it was left out, Code is "" if it was not
}

// Made is the answer to a batch:
//
//	commit hash, hash of its parent, code and error texts, number of items, of each in the order of the request:
//	'+' and blob hash of a put, '-' of a delete, or '!' and code and error texts if it was left out
type Made struct {
	Commit, Parent Hash   // zero if there is none
	Code, Error    string // if no item was made
	Items          []Done
}

// Append writes the message.
func (m *Made) Append(to []byte) []byte {
	to = append(append(begin(to, madeKind), m.Commit[:]...), m.Parent[:]...)
	to = appendText(appendText(to, m.Code), m.Error)
	to = binary.AppendUvarint(to, uint64(len(m.Items)))
	for i := range m.Items {
		switch it := &m.Items[i]; {
		case it.Code != "":
			to = appendText(appendText(append(to, '!'), it.Code), it.Error)
		case it.Hash == Hash{}:
			to = append(to, '-')
		default:
			to = append(append(to, '+'), it.Hash[:]...)
		}
	}
	return to
}

// Size is how many bytes Append writes at most.
func (m *Made) Size() int {
	n := headerSize + len(m.Commit) + len(m.Parent) + sizeOf(len(m.Code)) + sizeOf(len(m.Error)) + sizeOf(0)
	for i := range m.Items {
		n += 1 + max(len(m.Commit), sizeOf(len(m.Items[i].Code))+sizeOf(len(m.Items[i].Error)))
	}
	return n
}

// ReadMade reads what Made.Append wrote.
func ReadMade(message []byte) (Made, error) {
	r := open(message, madeKind)
	m := Made{Commit: r.hash(), Parent: r.hash(), Code: r.text(), Error: r.text()}
	n := r.count(1)
	if n > MaxItems {
		r.fail(fmt.Sprintf("a batch has at most %d items, not %d", MaxItems, n))
		n = 0
	}
	m.Items = make([]Done, n)
	for i := range m.Items {
		it := &m.Items[i]
		switch r.byte() {
		case '+':
			if it.Hash = r.hash(); it.Hash == (Hash{}) {
				r.fail("a put has no hash")
			}
		case '-':
		case '!':
			if it.Code, it.Error = r.text(), r.text(); it.Code == "" {
				r.fail("an item was left out without a reason")
			}
		default:
			r.fail("an item has an unknown outcome")
		}
	}
	if err := r.end(); err != nil {
		return Made{}, err
	}
	return m, nil
}
