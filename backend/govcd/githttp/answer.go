package githttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// The channels of the side-band.
const (
	bandPack     = 1
	bandProgress = 2
	bandError    = 3
)

// answer writes a response, each part of which may take a while, but the whole
// as long as it moves.
type answer struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one request
	w       io.Writer
	control *http.ResponseController
	stall   time.Duration // that the client may take for one packet
	may     func() bool   // asked about once a second
	now     func() time.Time
	asked   time.Time
	sent    time.Time // when something was written last
	begun   bool
	gone    bool // the client is
	packet  []byte
	band    int // 0: no side-band
}

// write writes to the connection.
func (a *answer) write(b []byte) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	now := a.now()
	if now.Sub(a.asked) >= time.Second {
		if !a.may() {
			return errDenied
		}
		a.asked = now
	}
	a.begun = true
	err := a.within(a.stall)
	if err == nil {
		_, err = a.w.Write(b)
	}
	if err == nil {
		// A stream of HTTP/2 would be reset by a deadline that passes while
		// nothing is written.
		err = a.within(0)
	}
	if err != nil {
		a.gone = true
		return err
	}
	a.sent = now
	return nil
}

// within bounds how long what is written may wait for the client; 0 is no
// bound.
func (a *answer) within(most time.Duration) error {
	until := time.Time{}
	if most > 0 {
		until = a.now().Add(most)
	}
	return unlessUnsupported(a.control.SetWriteDeadline(until))
}

func (a *answer) flush() error {
	err := a.within(a.stall)
	if err == nil {
		err = unlessUnsupported(a.control.Flush())
	}
	if err == nil {
		err = a.within(0)
	}
	a.gone = a.gone || err != nil
	return err
}

// unlessUnsupported drops the error of a connection that has no such control.
func unlessUnsupported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// begin reserves the header of the next packet of the side-band.
func (a *answer) begin(channel byte) {
	a.packet = append(a.packet[:0], '0', '0', '0', '0', channel)
}

// Write implements io.Writer for the pack. It collects whole packets.
func (a *answer) Write(b []byte) (int, error) {
	n := len(b)
	if len(a.packet) == 0 {
		a.begin(bandPack)
	}
	most := a.band
	if most == 0 {
		most = maxBand
	}
	for len(b) > 0 {
		part := min(len(b), most-len(a.packet))
		a.packet = append(a.packet, b[:part]...)
		b = b[part:]
		if len(a.packet) == most {
			if err := a.send(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// send writes the packet that was collected.
func (a *answer) send() error {
	const header = lineHeader + 1
	data := a.packet
	if len(data) <= header {
		return nil
	}
	if a.band == 0 {
		data = data[header:]
	} else {
		putLength(data, len(data)-lineHeader)
	}
	err := a.write(data)
	a.begin(bandPack)
	return err
}

// tell sends a message to whoever sits at the client, at once. What is too long
// is cut.
func (a *answer) tell(channel byte, message string) error {
	message = message[:min(len(message), smallBand-lineHeader-1)]
	b := append([]byte(flushLine), channel)
	b = append(b, message...)
	putLength(b, len(b)-lineHeader)
	if err := a.write(b); err != nil {
		return err
	}
	return a.flush()
}

// alive keeps a connection from being taken for a dead one while nothing is
// ready to be sent: an empty packet means nothing.
func (a *answer) alive() error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if a.band == 0 || a.now().Sub(a.sent) < beat {
		return nil
	}
	return a.tell(bandPack, "")
}

// beat is how long an answer may be silent at most while it is being prepared.
const beat = 5 * time.Second
