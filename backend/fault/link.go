package fault

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection and its counterpart at the target. It keeps the mode
// that it was made in for its whole life.
type link struct {
	mode     Mode
	client   *net.TCPConn
	stopDial context.CancelFunc
	gone     chan struct{} // closed when it was ended
	done     chan struct{} // closed when nothing of it is left

	mu     sync.Mutex
	target *net.TCPConn // nil until the target was reached
	ended  bool
}

// errFault ends a link because its mode says so.
var errFault = errors.New("the fault that was asked for")

// carry brings a connection to the target and copies until both sides are
// done or one fails.
func (p *Proxy) carry(ctx context.Context, l *link) {
	defer l.stopDial()
	if l.mode.kind == kindBlackHole {
		_, _ = io.Copy(io.Discard, l.client) // how it ends is the same to everybody
		l.end(false)
		return
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		if l.end(true) {
			p.counters.unreached.Add(1)
		}
		return
	}
	target := conn.(*net.TCPConn)
	if !l.attach(target) {
		reset(target)
		return
	}
	sent, received := &counting{target, &p.counters.sent}, &counting{l.client, &p.counters.received}
	if l.mode.NeedsHTTP() {
		p.converse(l, sent, received)
		return
	}
	up, down := io.Copy, io.Copy
	switch l.mode.kind {
	case kindSlow:
		down = l.later(p.random)
	case kindBandwidth:
		up, down = l.paced(&p.up), l.paced(&p.down)
	case kindCut:
		down = cut(l.mode.bytes)
	default:
	}
	var other sync.WaitGroup
	other.Go(func() { l.pump(sent, l.client, up) })
	l.pump(received, target, down)
	other.Wait()
	l.end(false)
}

// pump copies one direction. The end of one direction leaves the other open; a
// failure ends both, as a reset.
func (l *link) pump(to *counting, from io.Reader, carry func(io.Writer, io.Reader) (int64, error)) {
	_, err := carry(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		l.end(true)
	}
}

// attach gives the link its target; false if it was ended meanwhile.
func (l *link) attach(target *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.target = target
	return true
}

// end closes both sides and reports whether it was this call that did.
func (l *link) end(withReset bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	close(l.gone)
	l.stopDial()
	for _, conn := range []*net.TCPConn{l.client, l.target} {
		switch {
		case conn == nil:
		case withReset:
			reset(conn)
		default:
			_ = conn.Close() // the connection is gone either way
		}
	}
	return true
}

// wait returns after d, or false at once when the link was ended.
func (l *link) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.gone:
		return false
	}
}

// reset closes a connection so that the other side sees a reset.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // a connection that is gone already needs no reset
	_ = conn.Close()      // the connection is gone either way
}

// counting counts what passes while it passes.
type counting struct {
	*net.TCPConn
	count *atomic.Int64
}

// Write implements io.Writer.
func (c *counting) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.count.Add(int64(n))
	return n, err
}

// ReadFrom hides that of the connection, which would count at the end only.
func (c *counting) ReadFrom(from io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, from)
}
