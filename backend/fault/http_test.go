package fault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// service is an HTTP service that counts what reached it.
type service struct {
	*httptest.Server
	asked atomic.Int64
}

func newService(t *testing.T, handler http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) address() string { return s.Listener.Addr().String() }

// client keeps connections, as that of a govc service does.
func client(t *testing.T, p *Proxy) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.Addr())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// ask sends one request and reads the whole answer.
func ask(t *testing.T, c *http.Client, method, path, body string) (status int, text string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://service.example"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, string(all), errors.Join(err, response.Body.Close())
}

// shapes answers in every form that the end of a message has.
func shapes(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	text := r.Method + " " + string(sent)
	switch r.URL.Path {
	case "/chunked":
		for part := range strings.SplitSeq(text, "") {
			_, _ = io.WriteString(w, part) // the client judges
			w.(http.Flusher).Flush()
		}
	case "/empty":
		w.WriteHeader(http.StatusNoContent)
	case "/closed":
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, text) // the client judges
	case "/large":
		_, _ = w.Write(bytes.Repeat([]byte("0123456789"), 100_000)) // the client judges
	default:
		_, _ = io.WriteString(w, text) // the client judges
	}
}

// TestMessagesPassWhole: a mode that reads messages carries those that it does
// not hit as they are, in every form, over one connection.
func TestMessagesPassWhole(t *testing.T) {
	s := newService(t, shapes)
	for _, mode := range []Mode{Errors(0, ""), Errors(1, "/nothing"), Broken(0), LostReplies(0)} {
		p := started(t, Options{Target: s.address()})
		set(t, p, mode)
		c := client(t, p)
		for _, path := range []string{"/", "/chunked", "/empty", "/large", "/closed", "/"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead} {
				want := method + " " + "body"
				switch {
				case path == "/empty" || method == http.MethodHead:
					want = ""
				case path == "/large":
					want = strings.Repeat("0123456789", 100_000)
				}
				if _, got, err := ask(t, c, method, path, "body"); err != nil || got != want {
					t.Fatalf("%s: %s %s: %d bytes %.40q, %v", mode, method, path, len(got), got, err)
				}
			}
		}
		if got := p.Stats(); got.Faults != 0 || got.Strange != 0 || got.Accepted > 4 {
			t.Errorf("%s: %+v", mode, got)
		}
	}
}

// TestChunkedRequestsAndContinue: bodies of unknown length, and those that the
// target is asked for first.
func TestChunkedRequestsAndContinue(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, LostReplies(0))
	c := client(t, p)
	c.Transport.(*http.Transport).ExpectContinueTimeout = patience
	for _, expect := range []string{"", "100-continue"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://service.example/", io.MultiReader(strings.NewReader("one "), strings.NewReader("two")))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Expect", expect)
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := io.ReadAll(response.Body); err != nil || string(all) != "PUT one two" {
			t.Errorf("%q, %v", all, err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestErrorsAnswerForTheTarget: by path and by share, and the target hears of
// nothing that was answered for it.
func TestErrorsAnswerForTheTarget(t *testing.T) {
	s := newService(t, shapes)
	draws := []float64{0.1, 0.9, 0.4, 0.6}
	n := 0
	p := started(t, Options{Target: s.address(), Random: func() float64 { n++; return draws[n-1] }})
	set(t, p, Errors(0.5, "/api/"))
	c := client(t, p)
	for i, path := range []string{"/api/x", "/api/x", "/health", "/api/y", "/health", "/api/z"} {
		status, text, err := ask(t, c, http.MethodPost, path, strings.Repeat("b", 100_000))
		want := http.StatusOK
		if i == 0 || i == 3 {
			want = http.StatusServiceUnavailable
		}
		if err != nil || status != want || (want != http.StatusOK) != strings.Contains(text, "a drill answers") {
			t.Errorf("request %d: %d %.60q, %v", i, status, text, err)
		}
	}
	if got := p.Stats(); got.Faults != 2 || got.Accepted != 1 || s.asked.Load() != 4 {
		t.Errorf("%+v, the target heard %d", got, s.asked.Load())
	}
}

// TestBrokenEndsInTheMiddleOfTheBody: the head says what should come, half of
// it comes.
func TestBrokenEndsInTheMiddleOfTheBody(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, Broken(1))
	for _, path := range []string{"/large", "/chunked", "/", "/closed"} {
		c := client(t, p)
		status, text, err := ask(t, c, http.MethodGet, path, "a body of some length")
		if status != http.StatusOK || err == nil || len(text) > 500_000 {
			t.Errorf("%s: %d, %d bytes, %v", path, status, len(text), err)
		}
	}
	if got := p.Stats(); got.Faults != 4 || s.asked.Load() != 4 {
		t.Errorf("%+v, the target heard %d", got, s.asked.Load())
	}
}

// TestLostRepliesAreApplied: what changes something is done by the target, and
// its answer never comes; reads are answered.
func TestLostRepliesAreApplied(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, LostReplies(1))
	c := client(t, p)
	if status, _, err := ask(t, c, http.MethodGet, "/", ""); err != nil || status != http.StatusOK {
		t.Errorf("a read: %d, %v", status, err)
	}
	for i, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		if _, text, err := ask(t, c, method, "/", "x"); err == nil {
			t.Errorf("%s was answered %q", method, text)
		}
		if got := s.asked.Load(); got != int64(i)+2 {
			t.Errorf("%s: the target heard %d requests", method, got)
		}
	}
	if got := p.Stats(); got.Faults != 3 {
		t.Errorf("%+v", got)
	}
}

// TestWhatIsNoHTTPIsReset: TLS, and heads without an end.
func TestWhatIsNoHTTPIsReset(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, Broken(1))
	for i, said := range []string{"\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead), "\r\n\r\n"} {
		conn := dial(t, p.Addr())
		_, _ = io.WriteString(conn, said) // it may be reset meanwhile
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%.20q: %v, want a reset", said, err)
		}
		await(t, "the count", func() bool { return p.Stats().Strange == uint64(i)+1 })
	}
	if s.asked.Load() != 0 {
		t.Errorf("the target heard %d requests", s.asked.Load())
	}
}

func TestSlowAnswersComeWholeAndInOrder(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, Slow(2*time.Millisecond, 2*time.Millisecond))
	if _, got, err := ask(t, client(t, p), http.MethodGet, "/large", ""); err != nil || got != strings.Repeat("0123456789", 100_000) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	set(t, p, Slow(time.Hour, 0))
	conn := dial(t, p.Addr())
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "the request at the target", func() bool { return s.asked.Load() == 2 })
	before := p.Stats().Received
	set(t, p, Pass()) // ends what is still on its way
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || p.Stats().Received != before {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestANarrowLineLetsPartPass(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, Bandwidth(100<<20))
	if _, got, err := ask(t, client(t, p), http.MethodGet, "/large", ""); err != nil || got != strings.Repeat("0123456789", 100_000) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	set(t, p, Bandwidth(2000))
	before := p.Stats()
	conn := dial(t, p.Addr())
	if _, err := fmt.Fprint(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	set(t, p, Pass())
	if passed := p.Stats().Received - before.Received; passed == 0 || passed > 100_000 {
		t.Errorf("%d bytes passed", passed)
	}
}

func TestABlackHoleTakesEverythingAndSaysNothing(t *testing.T) {
	s := newService(t, shapes)
	p := started(t, Options{Target: s.address()})
	set(t, p, BlackHole())
	conn := dial(t, p.Addr())
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "the connection", func() bool { return p.Stats().Open == 1 })
	set(t, p, Pass())
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if got := p.Stats(); s.asked.Load() != 0 || got.Sent != 0 || got.Received != 0 {
		t.Errorf("%+v, the target heard %d", got, s.asked.Load())
	}
}

func TestCutCountsBytesOfAnyKind(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	set(t, p, Cut(10))
	conn := dial(t, p.Addr())
	wantEcho(t, conn, "01234")
	if _, err := io.WriteString(conn, "56789abcdef"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(conn)
	if !errors.Is(err, syscall.ECONNRESET) || len(rest) > 5 {
		t.Errorf("read %q, %v, want a reset after at most 5 bytes more", rest, err)
	}
	short := dial(t, p.Addr())
	wantEcho(t, short, "short")
	if err := short.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(short); err != nil {
		t.Errorf("an end before the limit: %v", err)
	}
}

// TestAConnectionKeepsItsMode: those of the mode before end with it.
func TestAConnectionKeepsItsMode(t *testing.T) {
	p := started(t, Options{Target: target(t, echo)})
	conn := dial(t, p.Addr())
	wantEcho(t, conn, "fast")
	set(t, p, Pass())
	wantEcho(t, conn, "the same mode")
	set(t, p, BlackHole())
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection of before goes on")
	}
}

func TestModesAreNamedAndBounded(t *testing.T) {
	for mode, want := range map[Mode]string{
		Pass(): "pass", Down(): "down", Reset(): "reset", BlackHole(): "black-hole",
		Slow(time.Second, time.Minute): "slow 1s ±1s", Slow(-1, -1): "slow 0s ±0s", Bandwidth(0): "bandwidth 1", Cut(-1): "cut 0",
		Errors(2, "/x"): "errors 1 /x", Errors(-1, ""): "errors 0", Broken(0.25): "broken 0.25", LostReplies(1): "lost-replies 1",
	} {
		if mode.String() != want {
			t.Errorf("%q, want %q", mode, want)
		}
	}
}
