package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// Type is the media type of every message of this version.
	Type = "application/vnd.caiatop.frame1"
	// Accept asks for a message, and for JSON where there is none.
	Accept = Type + ", application/json"

	version = 1
)

// ErrMalformed is wrapped by every error about a message that breaks the rules of
// this package.
var ErrMalformed = errors.New("malformed frame")

// Hash names a blob or a commit; zero is none.
type Hash = [20]byte

// kind tells messages apart, so that none is taken for another.
type kind byte

const (
	folderKind  kind = 'f'
	foldersKind kind = 'F'
	batchKind   kind = 'b'
	madeKind    kind = 'B'
)

// headerSize is what every message begins with, in bytes.
const headerSize = 4

func begin(to []byte, k kind) []byte { return append(to, 'C', 'F', version, byte(k)) }

func appendText[T string | []byte](to []byte, text T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// sizeOf is how many bytes appendText takes at most.
func sizeOf(n int) int { return n + binary.MaxVarintLen32 }

// Accepted reports whether an Accept header asks for messages.
func Accepted(header string) bool {
	if header == Accept || header == Type {
		return true
	}
	for one := range strings.SplitSeq(header, ",") {
		name, more, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(name), Type) {
			return !refused(more)
		}
	}
	return false
}

// refused reports a quality of zero.
func refused(parameters string) bool {
	for one := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			value = strings.TrimSpace(value)
			return value != "" && strings.Trim(value, "0.") == ""
		}
	}
	return false
}

// Is reports whether a Content-Type is that of messages.
func Is(header string) bool {
	if header == Type {
		return true
	}
	name, _, _ := strings.Cut(header, ";")
	return strings.TrimSpace(name) == Type
}

// reader reads a message. Once it met an error it reads nothing but zeros.
type reader struct {
	rest []byte
	err  error
}

// open begins to read a message of a kind.
func open(message []byte, k kind) *reader {
	r := &reader{rest: message}
	switch {
	case len(message) < headerSize || message[0] != 'C' || message[1] != 'F':
		r.fail("it does not begin as one")
	case message[2] != version:
		r.fail(fmt.Sprintf("its version is %d, not %d", message[2], version))
	case message[3] != byte(k):
		r.fail(fmt.Sprintf("it is of the kind %q, not %q", message[3], byte(k)))
	default:
		r.rest = message[headerSize:]
	}
	return r
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, why)
	}
	r.rest = nil
}

// end returns what went wrong; that something is left is wrong, too.
func (r *reader) end() error {
	if len(r.rest) > 0 {
		r.fail(fmt.Sprintf("%d bytes follow its end", len(r.rest)))
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail("it is cut short")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) number() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		n := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail("a number is cut short or too large")
		return 0
	}
	if r.rest[size-1] == 0 {
		r.fail("a number is not in its shortest form")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count reads how many things follow, of which each has at least some bytes.
func (r *reader) count(each int) int {
	n := r.number()
	if n > uint64(len(r.rest)/each) { //nolint:gosec // not negative
		r.fail(fmt.Sprintf("%d things are announced, and there are %d bytes", n, len(r.rest)))
		return 0
	}
	return int(n) //nolint:gosec // bounded above
}

// content reads any bytes.
func (r *reader) content() []byte {
	n := r.count(1)
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) text() string {
	b := r.content()
	if !utf8.Valid(b) {
		r.fail("a text is not UTF-8")
		return ""
	}
	return string(b)
}

func (r *reader) hash() (h Hash) {
	if len(r.rest) < len(h) {
		r.fail("it is cut short")
		return h
	}
	r.rest = r.rest[copy(h[:], r.rest):]
	return h
}
