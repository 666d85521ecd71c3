package fault

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// piece is the most that is read at a time.
	piece = 32 << 10
	// pieces are on their way at a time where answers are slow: what does not
	// fit waits at the target.
	pieces = 64
	// beats is into how many pieces a second of a narrow line is divided.
	beats = 20
)

// late is a piece and when it is due.
type late struct {
	bytes []byte
	due   time.Time
}

// later returns a copy that delivers every piece later, in order. What comes
// close together is on its way together, so that the delay narrows nothing.
func (l *link) later(random func() float64) func(io.Writer, io.Reader) (int64, error) {
	return func(to io.Writer, from io.Reader) (int64, error) {
		way, failed := make(chan late, pieces), make(chan error, 1)
		go func() {
			defer close(way)
			failed <- l.send(way, from, random)
		}()
		var written int64
		for one := range way {
			if !l.wait(time.Until(one.due)) {
				continue // the rest is dropped
			}
			n, err := to.Write(one.bytes)
			written += int64(n)
			if err != nil {
				l.end(true) // the sender sees it
			}
		}
		return written, <-failed
	}
}

// send reads until the end and stamps every piece. No piece overtakes another.
func (l *link) send(way chan<- late, from io.Reader, random func() float64) error {
	var last time.Time
	for {
		bytes := make([]byte, piece)
		n, err := from.Read(bytes)
		if n > 0 {
			apart := time.Duration((2*random() - 1) * float64(l.mode.jitter))
			if due := time.Now().Add(l.mode.delay + apart); due.After(last) {
				last = due
			}
			select {
			case way <- late{bytes[:n], last}:
			case <-l.gone:
				return errFault
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line is one direction of a narrow way, which all connections share.
type line struct {
	mu   sync.Mutex
	free time.Time // when all that was admitted has passed
}

// admit takes n bytes onto the line and says how long they take from now.
func (n *line) admit(bytes, perSecond int64) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.free.Before(now) {
		n.free = now
	}
	n.free = n.free.Add(time.Duration(float64(bytes) / float64(perSecond) * float64(time.Second)))
	return n.free.Sub(now)
}

// paced returns a copy over a narrow line.
func (l *link) paced(n *line) func(io.Writer, io.Reader) (int64, error) {
	return func(to io.Writer, from io.Reader) (int64, error) {
		bytes := make([]byte, min(piece, max(1, l.mode.bytes/beats)))
		var written int64
		for {
			read, err := from.Read(bytes)
			if read > 0 {
				if !l.wait(n.admit(int64(read), l.mode.bytes)) {
					return written, errFault
				}
				w, failed := to.Write(bytes[:read])
				written += int64(w)
				if failed != nil {
					return written, failed
				}
			}
			if errors.Is(err, io.EOF) {
				return written, nil
			}
			if err != nil {
				return written, err
			}
		}
	}
}

// cut returns a copy that fails after so many bytes.
func cut(after int64) func(io.Writer, io.Reader) (int64, error) {
	return func(to io.Writer, from io.Reader) (int64, error) {
		n, err := io.CopyN(to, from, after)
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
		return n, errFault
	}
}
