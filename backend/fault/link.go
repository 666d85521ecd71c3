package fault

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// link is one connection and its counterpart at the target.
type link struct {
	client   *net.TCPConn
	stopDial context.CancelFunc
	done     chan struct{} // closed when nothing of it is left

	mu     sync.Mutex
	target *net.TCPConn // nil until the target was reached
	ended  bool
}

// carry brings a connection to the target and copies until both sides are
// done or one fails.
func (p *Proxy) carry(ctx context.Context, l *link) {
	defer l.stopDial()
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
	var up sync.WaitGroup
	up.Go(func() { l.pump(target, l.client, &p.counters.sent) })
	l.pump(l.client, target, &p.counters.received)
	up.Wait()
	l.end(false)
}

// pump copies one direction. The end of one direction leaves the other open; a
// failure ends both, as a reset.
func (l *link) pump(to, from *net.TCPConn, count *atomic.Int64) {
	_, err := io.Copy(counting{to, count}, from)
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

// reset closes a connection so that the other side sees a reset.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // a connection that is gone already needs no reset
	_ = conn.Close()      // the connection is gone either way
}

// counting counts what passes while it passes.
type counting struct {
	io.Writer
	count *atomic.Int64
}

// Write implements io.Writer.
func (c counting) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.count.Add(int64(n))
	return n, err
}
