package fault

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxHead bounds the head of a request or an answer, in bytes.
	maxHead = 64 << 10
	// maxLine bounds a line between the chunks of a body.
	maxLine = 4 << 10
	// refusal is the answer in the place of the target. Its header says whose
	// it is.
	refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nX-Fault: errors\r\n" +
		"Content-Length: 88\r\n\r\n" +
		`{"success":false,"code":"FAULT","error":"a drill answers in the place of this service"}` + "\n"
)

// errNotHTTP ends a link on which something is spoken that a mode cannot
// understand.
var errNotHTTP = errors.New("this is no HTTP/1")

// body says where the body of a message ends.
type body struct {
	length  int64 // -1: until the connection ends
	chunked bool
}

// converse carries one request and its answer after the other. Every byte that
// is carried is carried as it is: messages are parsed only to see what they
// are and where they end.
func (p *Proxy) converse(l *link, sent, received *counting) {
	from, back := bufio.NewReaderSize(l.client, piece), bufio.NewReaderSize(l.target, piece)
	for {
		more, err := p.exchange(l, from, back, sent, received)
		if errors.Is(err, errNotHTTP) {
			p.counters.strange.Add(1)
		}
		if err != nil || !more {
			l.end(err != nil && !errors.Is(err, io.EOF))
			return
		}
	}
}

// exchange carries one request and its answer, or does to them what the mode
// says. io.EOF: there is no further request.
func (p *Proxy) exchange(l *link, from, back *bufio.Reader, sent, received *counting) (more bool, err error) {
	head, err := readHead(from)
	if err != nil {
		return false, err
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return false, fmt.Errorf("%w: %w", errNotHTTP, err)
	}
	asked := body{request.ContentLength, len(request.TransferEncoding) > 0}
	hit := p.hits(l.mode, request)
	if hit && l.mode.kind == kindErrors {
		// Read to its end, so that the answer is not lost in a reset.
		if err := asked.copy(io.Discard, from); err != nil {
			return false, err
		}
		p.counters.faults.Add(1)
		_, err := io.WriteString(received, refusal)
		return !request.Close, err
	}
	if _, err := sent.Write(head); err != nil {
		return false, err
	}
	// A target may answer before it has read everything.
	var upload sync.WaitGroup
	var failed error
	upload.Go(func() { failed = asked.copy(sent, from) })
	more, err = answer(request, back, received, l.mode, hit)
	if err != nil || !more {
		if errors.Is(err, errFault) {
			p.counters.faults.Add(1) // before anybody can see it
		}
		// What it did not read by now it never will.
		l.end(err != nil)
		upload.Wait()
		return false, err
	}
	upload.Wait()
	return !request.Close, failed
}

// hits decides whether this request meets the fault.
func (p *Proxy) hits(m Mode, r *http.Request) bool {
	switch m.kind {
	case kindErrors:
		if !strings.HasPrefix(r.URL.Path, m.path) {
			return false
		}
	case kindLost:
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			return false
		}
	default:
	}
	return p.random() < m.rate
}

// answer carries the answer to a request. more is false when the connection
// ends with it.
func answer(request *http.Request, back *bufio.Reader, to io.Writer, m Mode, hit bool) (more bool, err error) {
	for {
		head, err := readHead(back)
		if err != nil {
			return false, noAnswer(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), request)
		if err != nil {
			return false, fmt.Errorf("%w: %w", errNotHTTP, err)
		}
		_ = response.Body.Close() // it reads from memory
		told := body{response.ContentLength, len(response.TransferEncoding) > 0}
		status := response.StatusCode
		if request.Method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
			told = body{}
		}
		if status >= 200 && hit && m.kind == kindLost {
			return false, errFault // it is done, and nobody is told
		}
		if _, err := to.Write(head); err != nil {
			return false, err
		}
		switch {
		case status == http.StatusSwitchingProtocols:
			return false, errNotHTTP
		case status < 200:
			continue // the answer itself follows
		case hit && m.kind == kindBroken:
			if err := told.half(to, back); err != nil {
				return false, err
			}
			return false, errFault
		}
		err = told.copy(to, back)
		return err == nil && !response.Close && (told.chunked || told.length >= 0), err
	}
}

// noAnswer makes an end where an answer should be a failure: io.EOF stands for
// a client that has no more requests.
func noAnswer(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// copy carries the body as it is.
func (b body) copy(to io.Writer, from *bufio.Reader) error {
	switch {
	case b.chunked:
		return copyChunks(to, from)
	case b.length < 0:
		_, err := io.Copy(to, from)
		return err
	}
	_, err := io.CopyN(to, from, b.length)
	return noAnswer(err)
}

// half carries the first half of a body, of a chunked one half of the first
// chunk.
func (b body) half(to io.Writer, from *bufio.Reader) error {
	length := b.length
	if b.chunked {
		line, size, err := readChunk(from)
		if err != nil {
			return err
		}
		if _, err := to.Write(line); err != nil {
			return err
		}
		length = size
	}
	if length < 0 {
		if _, err := from.Peek(1); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		length = int64(from.Buffered())
	}
	_, err := io.CopyN(to, from, length/2)
	return noAnswer(err)
}

// copyChunks carries a chunked body with its framing and trailers.
func copyChunks(to io.Writer, from *bufio.Reader) error {
	for {
		line, size, err := readChunk(from)
		if err != nil {
			return err
		}
		if _, err := to.Write(line); err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if _, err := io.CopyN(to, from, size+2); err != nil {
			return noAnswer(err)
		}
	}
	for read := 0; read < maxHead; {
		line, err := readLine(from, maxLine)
		if err != nil {
			return err
		}
		if _, err := to.Write(line); err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
		read += len(line)
	}
	return fmt.Errorf("%w: its trailers are too long", errNotHTTP)
}

// readChunk reads the line before a chunk and the size that it says.
func readChunk(from *bufio.Reader) (line []byte, size int64, err error) {
	if line, err = readLine(from, maxLine); err != nil {
		return nil, 0, err
	}
	digits, _, _ := strings.Cut(textproto.TrimString(string(line)), ";")
	number, err := strconv.ParseUint(textproto.TrimString(digits), 16, 62)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: the size of a chunk: %w", errNotHTTP, err)
	}
	return line, int64(number), nil
}

// readHead reads up to and with the empty line that ends a head. io.EOF: there
// was nothing.
func readHead(from *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		line, err := readLine(from, maxHead-len(head))
		head = append(head, line...)
		switch {
		case len(head) > 0 && errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case len(bytes.TrimRight(line, "\r\n")) == 0 && len(head) > len(line):
			return head, nil
		}
	}
}

// readLine reads one line with its end, of at most limit bytes.
func readLine(from *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > limit:
			return nil, fmt.Errorf("%w: a line of it is too long", errNotHTTP)
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if len(line) > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return line, err
		}
	}
}
