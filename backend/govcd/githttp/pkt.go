package githttp

import (
	"errors"
	"io"
	"strings"
)

// The limits of git's packet lines, in bytes.
const (
	maxLine    = 65516 // of the content of one packet
	lineHeader = 4
)

// packet is the sort of a packet line.
type packet uint8

const (
	text      packet = iota
	flush            // 0000
	delimiter        // 0001
	end              // the input is over
)

// lineReader reads packet lines. What it returns is valid until the next call.
type lineReader struct {
	from io.Reader
	buf  [maxLine]byte
}

// next reads one packet; a line comes without the line end that most have. The
// error is a *Refusal if the input is none, else that of the reader.
func (l *lineReader) next() (packet, string, error) {
	header := l.buf[:lineHeader]
	switch n, err := io.ReadFull(l.from, header); {
	case errors.Is(err, io.EOF) && n == 0:
		return end, "", nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return end, "", malformed("it ends within a packet")
	case err != nil:
		return end, "", err
	}
	size := 0
	for _, c := range header {
		digit := strings.IndexByte("0123456789abcdef", lower(c))
		if digit < 0 {
			return end, "", malformed("a packet has no length")
		}
		size = size<<4 | digit
	}
	switch {
	case size == 0:
		return flush, "", nil
	case size == 1:
		return delimiter, "", nil
	case size < lineHeader || size-lineHeader > maxLine:
		return end, "", malformed("a packet cannot have %d bytes", size)
	}
	data := l.buf[:size-lineHeader]
	if _, err := io.ReadFull(l.from, data); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = malformed("it ends within a packet")
		}
		return end, "", err
	}
	return text, strings.TrimSuffix(string(data), "\n"), nil
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c + ('a' - 'A')
	}
	return c
}

// What stands alone.
const (
	flushLine     = "0000"
	delimiterLine = "0001"
)

const digits = "0123456789abcdef"

// putLength writes the length of a packet with that much content.
func putLength(header []byte, content int) {
	n := content + lineHeader
	header[0], header[1], header[2], header[3] = digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]
}

// appendLine appends a packet that ends with a line end. What is too long for
// one is cut.
func appendLine(b []byte, parts ...string) []byte {
	at := len(b)
	b = append(b, flushLine...)
	for _, part := range parts {
		b = append(b, part...)
	}
	if len(b)-at-lineHeader >= maxLine {
		b = b[:at+lineHeader+maxLine-1]
	}
	b = append(b, '\n')
	putLength(b[at:], len(b)-at-lineHeader)
	return b
}
