package httpapi_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// connect opens a connection and sends what is given. It is closed at the end.
func connect(t *testing.T, address, sent string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ended waits until the server closes the connection and returns what came.
func ended(t *testing.T, conn net.Conn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection was left open after %q", data)
	}
	return string(data)
}

const (
	slowHeader = "GET /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
	slowBody   = "POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40000000\r\n\r\n{"
)

// TestAThousandConnections: with all places taken by clients that send nothing,
// half a header or half a body, others are served as if nobody were there.
func TestAThousandConnections(t *testing.T) {
	const most = 1000
	for name, sent := range map[string]string{"idle": "", "half a header": slowHeader, "half a body": slowBody} {
		t.Run(name, func(t *testing.T) {
			address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
			conns := make([]net.Conn, most)
			for i := range conns {
				conns[i] = connect(t, address, sent)
			}
			var wg sync.WaitGroup
			for n := range 8 {
				wg.Go(func() {
					for i := range 10 {
						path := fmt.Sprintf("/api/v1/documents/%d-%d", n, i)
						if r := ask(t, address, "PUT", path, `{"type":"t"}`, nil); r.status != http.StatusOK {
							t.Errorf("put %s: %+v", path, r)
						}
					}
				})
			}
			wg.Wait()
			metrics := ask(t, address, "GET", "/metrics", "", nil).body
			if n := value(t, metrics, "caiatop_http_connections"); n > most {
				t.Errorf("%v connections are open, the limit is %d", n, most)
			}
			if n := value(t, metrics, "caiatop_http_connections_evicted_total"); n < 1 || n > 100 {
				t.Errorf("%v connections had to make room", n)
			}
			ended(t, conns[0]) // the one that waited longest
		})
	}
}

func TestNoPlaceWhileTheEngineWorksForAll(t *testing.T) {
	b := newBlocked()
	server := httpapi.NewServer(b, nil)
	server.SetConnections(2)
	address := serveTCP(t, server, httpapi.TCPOptions{})
	const sync = "POST /api/v1/storage/sync HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	first, second := connect(t, address, sync), connect(t, address, sync)
	<-b.entered
	<-b.entered
	answer := ended(t, connect(t, address, ""))
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if err := httpapitest.CheckReply("GET", response.StatusCode, response.Header, body); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%q: %v", answer, err)
	}
	close(b.release)
	for _, conn := range []net.Conn{first, second} {
		if answer := ended(t, conn); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Errorf("a request that was there before: %q", answer)
		}
	}
	if n := value(t, ask(t, address, "GET", "/metrics", "", nil).body, "caiatop_http_connections_refused_total"); n != 1 {
		t.Errorf("%v connections were refused", n)
	}
}

// TestSlowClientsAreCutOff: whatever a client is slow with, it loses the
// connection at the time limit.
func TestSlowClientsAreCutOff(t *testing.T) {
	e := &httpapitest.Engine{}
	if _, err := e.Put(t.Context(), []httpapi.Document{{ID: "big", Type: "t", Text: strings.Repeat("x", 16<<20)}}); err != nil {
		t.Fatal(err)
	}
	server := httpapi.NewServer(e, nil)
	server.SetPace(300*time.Millisecond, 600*time.Millisecond, 300*time.Millisecond)
	address := serveTCP(t, server, httpapi.TCPOptions{})
	conns := map[string]net.Conn{
		"header": connect(t, address, slowHeader), "body": connect(t, address, slowBody),
		"body after a part": connect(t, address, slowBody+strings.Repeat(" ", 200<<10)),
		"body of a get":     connect(t, address, "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx"),
		"body of an action": connect(t, address, "POST /api/v1/storage/sync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx"),
	}
	deaf := connect(t, address, "GET /api/v1/documents/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for name, conn := range conns {
		answer := ended(t, conn)
		if late := strings.HasPrefix(name, "body") && name != "body of a get" && name != "body of an action"; late && !strings.Contains(answer, "too slowly") {
			t.Errorf("%s: %q", name, answer)
		}
	}
	// The reader that never reads gets what the buffers hold: by now it was cut
	// off, or its next bytes are.
	waitFor(t, func() bool {
		return value(t, ask(t, address, "GET", "/metrics", "", nil).body, "caiatop_http_connections") == 1
	})
	if n := len(ended(t, deaf)); n >= 16<<20 {
		t.Errorf("the reader that never read got all %d bytes", n)
	}
}

// waitFor looks again and again, bounded, each time with a request.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(until) {
			t.Fatal("it did not happen within 20 s")
		}
	}
}

// TestReadersThatNeverReadBlockNobody: more of them than requests may be under
// way at once, each with a reply that no buffer holds.
func TestReadersThatNeverReadBlockNobody(t *testing.T) {
	e := &httpapitest.Engine{}
	const size = 12 << 20
	docs := []httpapi.Document{{ID: "big", Type: "t", Text: strings.Repeat("x", size)}, {ID: "small", Type: "t"}}
	if _, err := e.Put(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	const requests = 2
	server := httpapi.NewServer(e, nil)
	server.SetPace(20*time.Second, 20*time.Second, 20*time.Second)
	server.SetRequests(requests)
	server.SetHeld(1<<20, 4*size+1<<20)
	address := serveTCP(t, server, httpapi.TCPOptions{})
	deaf := make([]net.Conn, 0, requests+1)
	for range requests + 1 {
		conn := connect(t, address, "GET /api/v1/documents/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
		line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
		if err != nil || !strings.Contains(line, " 200 ") {
			t.Fatalf("%q, %v", line, err)
		}
		deaf = append(deaf, conn)
	}
	for range 20 {
		if r := ask(t, address, "GET", "/api/v1/documents/small", "", nil); r.status != http.StatusOK {
			t.Fatalf("beside readers that never read: %+v", r)
		}
	}
	if r := ask(t, address, "GET", "/api/v1/documents/big", "", nil); r.status != http.StatusOK {
		t.Errorf("one more large reply: %d", r.status)
	}
	last := connect(t, address, "GET /api/v1/documents/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if line, err := bufio.NewReaderSize(last, 16).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if r := ask(t, address, "GET", "/api/v1/documents/big", "", nil); r.status != http.StatusServiceUnavailable {
		t.Errorf("a large reply for which there is no room: %d", r.status)
	}
	for _, conn := range append(deaf, last) {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTooMuchOfEverything(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
	for name, c := range map[string]struct {
		sent   string
		status string
	}{
		"a header":        {"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", "431"},
		"headers":         {"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X: x\r\n", 20_000) + "\r\n", "431"},
		"an address":      {"GET /" + strings.Repeat("x", 100<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431"},
		"a declared body": {"POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n", "413"},
		"no host":         {"GET /livez HTTP/1.0\r\n\r\n", "403"},
		"an absolute one": {"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"},
		"no HTTP":         {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		"two lengths":     {"POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
	} {
		conn := connect(t, address, "")
		// The server may answer and close before it has read everything.
		go func() { _, _ = io.WriteString(conn, c.sent) }()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(line, "HTTP/1.1 "+c.status) && !strings.HasPrefix(line, "HTTP/1.0 "+c.status) {
			t.Errorf("%s: %q, %v, want %s", name, line, err, c.status)
		}
	}
	many := make([]string, httpapi.MaxBatch+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"%d","type":"t"}`, i)
	}
	if r := ask(t, address, "POST", "/api/v1/documents", `{"documents":[`+strings.Join(many, ",")+`]}`, nil); r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a document too many: %d %.200s", r.status, r.body)
	}
	if r := ask(t, address, "POST", "/api/v1/documents", `{"documents":[`+strings.Join(many[1:], ",")+`]}`, nil); r.status != http.StatusOK {
		t.Errorf("as many documents as allowed: %d %.200s", r.status, r.body)
	}
}

// TestLargeBodiesTakeTurns: more of them at once than may be held, none fails,
// and small ones do not wait for them.
func TestLargeBodiesTakeTurns(t *testing.T) {
	server := httpapi.NewServer(&httpapitest.Engine{}, nil)
	server.SetHeld(3<<20, 3<<20)
	address := serveTCP(t, server, httpapi.TCPOptions{})
	const length = 2 << 20
	half := connect(t, address, fmt.Sprintf("PUT /api/v1/documents/half HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", length, `{"type":"t","text":"`+strings.Repeat("x", length/2)))
	text := strings.Repeat("x", length-100)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if r := ask(t, address, "PUT", fmt.Sprintf("/api/v1/documents/%d", n), `{"type":"t","text":"`+text+`"}`, nil); r.status != http.StatusOK {
				t.Errorf("%d: %d %.200s", n, r.status, r.body)
			}
		})
	}
	if r := ask(t, address, "PUT", "/api/v1/documents/small", `{"type":"t"}`, nil); r.status != http.StatusOK {
		t.Errorf("small: %+v", r)
	}
	if err := half.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
