package govcd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/govcd/githttp"
)

// pipes is a listener without a network, for a clock that only tests move.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// over serves a service in the bubble of a test, with the limits of the product.
func over(t *testing.T, s *Service) (dial func() net.Conn) {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := s.server(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(p) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return func() net.Conn {
		here, there := net.Pipe()
		p.conns <- there
		t.Cleanup(func() { _ = here.Close() }) // the other side may have closed it
		return here
	}
}

// trickle writes the beginning, and then more of it once a second until nobody
// reads it any longer.
func trickle(c net.Conn, begin, more string) {
	for text := begin; text != ""; text = more {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		<-time.After(time.Second)
	}
}

// TestSlowClientsAreCutOff: whoever sends or reads as slowly as he can takes a
// connection, and what goes with it, for a bounded time.
func TestSlowClientsAreCutOff(t *testing.T) {
	const head = "POST /api/v2/repos HTTP/1.1\r\nHost: localhost\r\n"
	for _, c := range []struct {
		name, begin, more string
		most              time.Duration
	}{
		{"nothing", "", "", readHeaderTimeout},
		{"header", "GET /health HTTP/1.1\r\nHost: localhost\r\n", "X: y\r\n", readHeaderTimeout},
		{"body", head + "Content-Length: 1000\r\n\r\n", " ", readTimeout},
		{"large body", head + fmt.Sprintf("Content-Length: %d\r\n\r\n", MaxBody), " ", readTimeout},
		{"chunks", head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", readTimeout},
		{"git", "POST /docs.git/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: 100000\r\n\r\nfff0", "x", githttp.DefaultStall},
		{"next request", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "", idleTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, Options{})
				want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
				conn := over(t, s)()
				start := time.Now()
				var writing sync.WaitGroup
				writing.Go(func() { trickle(conn, c.begin, c.more) })
				answer, err := io.ReadAll(conn)
				if took := time.Since(start); err != nil || took > c.most+2*time.Second {
					t.Errorf("it took %v, %v", took, err)
				}
				if strings.HasPrefix(c.begin, head) && !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
					t.Errorf("the answer is %q", answer)
				}
				writing.Wait()
				synctest.Wait()
				if len(s.inFlight)+len(s.bodies) > 0 {
					t.Errorf("%d requests and %d large bodies have their place still", len(s.inFlight), len(s.bodies))
				}
			})
		})
	}
}

// TestSlowReadersAreCutOff: an answer, or an event, that nobody takes.
func TestSlowReadersAreCutOff(t *testing.T) {
	for _, c := range []struct {
		path string
		most time.Duration
	}{{"/files?path=large", writeTimeout}, {"/events", eventTimeout}} {
		t.Run(c.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, Options{})
				h := s.Handler()
				want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
				add(t, h, "large", strings.Repeat("x", 1<<20))
				conn := over(t, s)()
				if _, err := io.WriteString(conn, "GET "+docs+c.path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if status, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || status != "HTTP/1.1 200 OK\r\n" {
					t.Fatal(status, err)
				}
				synctest.Wait()
				if len(s.inFlight)+len(s.streams) != 1 {
					t.Fatal("the answer is there already")
				}
				commit(t, h, "an event")
				<-time.After(c.most + time.Second)
				synctest.Wait()
				if len(s.inFlight)+len(s.streams) != 0 {
					t.Error("the answer waits for its reader still")
				}
			})
		})
	}
}

// from is a connection of another machine.
type from struct {
	net.Conn
	at net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.at }

// TestOneAddressHasSomeOfTheConnections, never all: those beyond are closed.
func TestOneAddressHasSomeOfTheConnections(t *testing.T) {
	inner := &pipes{conns: make(chan net.Conn, 2), closed: make(chan struct{})}
	l := fair{inner, newPeers(2)}
	connect := func(address string) (client, server net.Conn) {
		t.Helper()
		here, there := net.Pipe()
		t.Cleanup(func() { _ = here.Close() }) // the other side may have closed it
		inner.conns <- from{there, net.TCPAddrFromAddrPort(mustAddr(t, address))}
		return here, nil
	}
	take := func() net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var open []net.Conn
	for _, address := range []string{"192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1", "[2001:db8::2:2]:1", "192.0.2.2:1", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"} {
		connect(address)
		open = append(open, take())
	}
	for _, address := range []string{"192.0.2.1:3", "[::ffff:192.0.2.1]:4", "[2001:db8::3]:1"} {
		refused, _ := connect(address)
		connect("192.0.2.3:1") // the listener goes on with the next one
		if c := take(); c.RemoteAddr().String() != "192.0.2.3:1" {
			t.Errorf("%v has more than its part", c.RemoteAddr())
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := refused.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := open[0].Close(); err != nil {
		t.Error(err)
	}
	_ = open[0].Close() // twice, and yet one place
	connect("192.0.2.1:5")
	take()
	if len(l.peers.open) != 3 {
		t.Errorf("%v is remembered", l.peers.open)
	}
}
