package httpapi

import (
	"container/list"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// refusal answers a connection for which there is no place.
var refusal = func() string {
	const body = `{"error":"unavailable: too many connections","code":"unavailable","fix":"try again in a moment"}` + "\n"
	return fmt.Sprintf("HTTP/1.1 %d Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", http.StatusServiceUnavailable, len(body), body)
}()

// gate is a listener with a limit. Clients that are slow, on purpose or not,
// cannot shut others out: where all places are taken, the connection that has
// waited longest for its client is closed. Only where the engine works for all
// of them, the new one is refused.
type gate struct {
	net.Listener
	most   int
	counts *counts

	mu      sync.Mutex
	open    int
	waiting list.List // of *connection, the one that waits longest first
}

func newGate(ln net.Listener, most int, counts *counts) *gate {
	return &gate{Listener: ln, most: most, counts: counts}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, gate: g}
		longest, admitted := g.admit(c)
		if longest != nil {
			g.counts.evicted.Inc()
			// Its reader is told by the error of its next read or write.
			_ = longest.Close()
		}
		if admitted {
			g.counts.open.Add(1)
			return c, nil
		}
		g.counts.refused.Inc()
		refuse(conn)
	}
}

// admit gives c a place, and names the connection that has to make room.
func (g *gate) admit(c *connection) (longest *connection, admitted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.most {
		front := g.waiting.Front()
		if front == nil {
			return nil, false
		}
		longest = front.Value.(*connection)
		longest.removeLocked()
	}
	g.open++
	c.place = g.waiting.PushBack(c)
	return longest, true
}

// refuse answers without reading. A client that is not there is no concern.
func refuse(conn net.Conn) {
	if conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = conn.Write([]byte(refusal)) // fits the buffer of a fresh socket
	}
	_ = conn.Close()
}

// connection is one that has a place.
type connection struct {
	net.Conn
	gate *gate
	// Guarded by the gate.
	place *list.Element // in waiting, nil while the engine works
	gone  bool
}

// Close gives the place back.
func (c *connection) Close() error {
	c.gate.mu.Lock()
	c.removeLocked()
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets a client that still sends read its reply before the
// connection is closed; net/http asks for it.
func (c *connection) CloseWrite() error {
	if inner, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return inner.CloseWrite()
	}
	return nil
}

func (c *connection) removeLocked() {
	if c.gone {
		return
	}
	c.gone = true
	c.gate.open--
	if c.place != nil {
		c.gate.waiting.Remove(c.place)
		c.place = nil
	}
	c.gate.counts.open.Add(-1)
}

// busy says whether the engine works for the connection, and that it did
// something just now. A nil connection has no gate.
func (c *connection) busy(yes bool) {
	if c == nil {
		return
	}
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.gone {
		return
	}
	if c.place != nil {
		c.gate.waiting.Remove(c.place)
		c.place = nil
	}
	if !yes {
		c.place = c.gate.waiting.PushBack(c)
	}
}

type connectionKey struct{}

func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// connectionOf returns nil for a request that came past no gate.
func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}
