package govcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRestart(t *testing.T) {
	s := newService(t, Options{})
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	status := func(method, path, body string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode
	}
	if got := status("POST", "/api/v2/repos", `{"id":"docs"}`); got != 201 {
		t.Fatalf("create: %d", got)
	}
	if _, err := s.Start("127.0.0.1:0"); err == nil {
		t.Error("a running service started again")
	}
	other := New(Options{})
	if _, err := other.Start(strings.TrimPrefix(url, "http://")); err == nil || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("a taken port: %v", err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatalf("Stop: %v", err)
	}
	_, err = client.Get(url + "/health")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a stopped service answers %v, want connection refused", err)
	}
	again, err := s.Start("127.0.0.1:0")
	if err != nil || again != url {
		t.Fatalf("Start again = %q, %v; want %q", again, err, url)
	}
	if got := status("GET", docs, ""); got != 404 {
		t.Errorf("after a restart the repository answers %d", got)
	}
}

// TestStopCutsOffSlowRequests: a request that never ends does not keep Stop.
func TestStopCutsOffSlowRequests(t *testing.T) {
	s := newService(t, Options{})
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := fmt.Fprintf(conn, "POST /api/v2/repos HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 12)
	if _, err := io.ReadFull(conn, first); err != nil || string(first) != "HTTP/1.1 100" {
		t.Fatalf("%q, %v", first, err) // the handler reads the body now
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("Stop left a connection open")
	}
}
