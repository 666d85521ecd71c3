package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// target is a service that serve answers, connection by connection.
func target(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close() //nolint:errcheck // the test has seen what it came for
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	return listener.Addr().String()
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) } // the other side judges

func started(t *testing.T, o Options) *Proxy {
	t.Helper()
	p := New(o)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, p) })
	return p
}

func closed(t *testing.T, p *Proxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func set(t *testing.T, p *Proxy, m Mode) {
	t.Helper()
	if err := p.Set(m); err != nil {
		t.Fatalf("Set(%s): %v", m, err)
	}
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the proxy may have closed it
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// wantEcho sends a word and reads it back.
func wantEcho(t *testing.T, conn net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(conn, word); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != word {
		t.Fatalf("read %q, %v, want %q", got, err, word)
	}
}

// wantReset makes a connection that is reset, at once or at the first read.
func wantReset(t *testing.T, address string) {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", address)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close() // reset already
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v, want a reset", err)
	}
}

// await polls what other goroutines count.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestPassCarriesEveryByteAndTheEndOfEachSide(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	address := target(t, func(c *net.TCPConn) {
		all, err := io.ReadAll(c) // the client's half of the connection ends first
		if err != nil || !bytes.Equal(all, sent) {
			t.Errorf("the target read %d bytes, %v", len(all), err)
		}
		if _, err := c.Write(append(all, '!')); err != nil {
			t.Error(err)
		}
	})
	p := started(t, Options{Target: address})
	conn := dial(t, p.Addr())
	if _, err := conn.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	back, err := io.ReadAll(conn)
	if err != nil || len(back) != len(sent)+1 || back[len(sent)] != '!' {
		t.Errorf("read %d bytes back, %v", len(back), err)
	}
	await(t, "the end of the connection", func() bool { return p.Stats().Open == 0 })
	want := Stats{Accepted: 1, Sent: int64(len(sent)), Received: int64(len(sent)) + 1}
	if got := p.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestAResetOfTheTargetIsAResetForTheClient(t *testing.T) {
	address := target(t, func(c *net.TCPConn) {
		one := make([]byte, 1)
		if _, err := io.ReadFull(c, one); err != nil {
			t.Error(err)
		}
		reset(c)
	})
	conn := dial(t, started(t, Options{Target: address}).Addr())
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

func TestDownRefusesAndCutsAndComesBackAtTheSamePort(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	address := p.Addr()
	old := dial(t, address)
	wantEcho(t, old, "before")
	for range 3 {
		set(t, p, Down())
		if _, err := old.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a connection of before: %v, want its end", err)
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a new connection: %v %v, want refused", conn, err)
		}
		if p.Stats().Open != 0 || p.Addr() != address || p.Stats().Mode != Down() {
			t.Errorf("while down: %+v at %s", p.Stats(), p.Addr())
		}
		set(t, p, Down()) // again changes nothing
		set(t, p, Pass())
		old = dial(t, address)
		wantEcho(t, old, "after")
	}
	if got := p.Stats().Cut; got != 3 {
		t.Errorf("%d connections were cut, want 3", got)
	}
}

// TestThePortOfAProxyThatIsDownIsTaken: what listens there while the proxy is
// down would get the calls that were meant for the service.
func TestThePortOfAProxyThatIsDownIsTaken(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	set(t, p, Down())
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: portOf(t, p.Addr())}}
	conn, err := dialer.DialContext(t.Context(), "tcp", target(t, echo))
	if err == nil {
		t.Errorf("a connection left from the proxy's own port: %v", conn.Close())
	}
	set(t, p, Pass())
	wantEcho(t, dial(t, p.Addr()), "back")
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return at.Port
}

func TestResetResetsWhatThereIsAndWhatComes(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	old := dial(t, p.Addr())
	wantEcho(t, old, "before")
	set(t, p, Reset())
	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection of before: %v, want a reset", err)
	}
	wantReset(t, p.Addr())
	set(t, p, Down())
	set(t, p, Reset())
	set(t, p, Pass())
	wantEcho(t, dial(t, p.Addr()), "after")
}

func TestATargetThatIsNotThereIsAReset(t *testing.T) {
	gone := New(Options{Target: "127.0.0.1:1"})
	set(t, gone, Down())
	if err := gone.Start(t.Context()); err != nil { // down from the start, its port is refused
		t.Fatal(err)
	}
	defer closed(t, gone)
	p := started(t, Options{Target: gone.Addr()})
	wantReset(t, p.Addr())
	await(t, "the count", func() bool { return p.Stats().Unreached == 1 && p.Stats().Open == 0 })
}

func TestOneConnectionTooManyIsReset(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	p.mu.Lock()
	for range MaxConnections - 1 {
		p.links[&link{ended: true, done: make(chan struct{})}] = struct{}{}
	}
	p.mu.Unlock()
	last := dial(t, p.Addr())
	wantEcho(t, last, "the last one that fits")
	wantReset(t, p.Addr())
	if got := p.Stats(); got.Refused != 1 || got.Open != MaxConnections {
		t.Errorf("Stats = %+v", got)
	}
	p.mu.Lock()
	for l := range p.links {
		if l.client == nil {
			delete(p.links, l)
		}
	}
	p.mu.Unlock()
}

func TestLife(t *testing.T) {
	for _, o := range []Options{{}, {Target: "nohost"}, {Target: "127.0.0.1:1", Listen: "127.0.0.1"}, {Target: "127.0.0.1:1", Listen: ":0"}} {
		p := New(o)
		if err := p.Start(t.Context()); err == nil {
			t.Errorf("Start took %+v", o)
		}
		closed(t, p)
	}
	p := New(Options{Target: target(t, echo)})
	if p.Addr() != "" {
		t.Errorf("Addr before Start = %q", p.Addr())
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("Start again went well")
	}
	taken := New(Options{Target: "127.0.0.1:1", Listen: p.Addr()})
	if err := taken.Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a taken port: %v", err)
	}
	conn := dial(t, p.Addr())
	wantEcho(t, conn, "open")
	closed(t, p)
	closed(t, p)
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v, want the end", err)
	}
	if err := p.Set(Pass()); !errors.Is(err, ErrClosed) {
		t.Errorf("Set after Close: %v", err)
	}
	if err := p.Start(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}

// TestNothingIsCarriedOnceSetReturns: under a crowd of clients, no byte passes
// after Set said that the service is away.
func TestNothingIsCarriedOnceSetReturns(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	ctx, stop := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr())
				if err != nil {
					continue
				}
				_ = conn.SetDeadline(time.Now().Add(patience)) // a closed connection ends the loop anyway
				for err == nil {
					if _, err = conn.Write([]byte("word")); err == nil {
						_, err = io.ReadFull(conn, make([]byte, 4))
					}
				}
				_ = conn.Close() // the proxy ended it
			}
		})
	}
	for round := range 20 {
		before := p.Stats().Received
		await(t, "traffic", func() bool { return p.Stats().Received > before+64 })
		mode := Down()
		if round%2 == 1 {
			mode = Reset()
		}
		set(t, p, mode)
		at := p.Stats()
		for range 1000 {
			if now := p.Stats(); now.Received != at.Received || now.Sent != at.Sent || now.Open != 0 {
				t.Fatalf("%s: %+v, then %+v", mode, at, now)
			}
		}
		set(t, p, Pass())
	}
	stop()
	set(t, p, Down())
	crowd.Wait()
}
