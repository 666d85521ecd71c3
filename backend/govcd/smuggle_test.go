package govcd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

func mustAddr(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNoRequestHidesInAnother: where it could be read in two ways how long a
// body is, what stands behind it is no request.
func TestNoRequestHidesInAnother(t *testing.T) {
	const hidden = `{"id":"hidden"}`
	inside := fmt.Sprintf("POST /api/v2/repos HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden)
	for _, headers := range []string{
		"Content-Length: 0\r\nContent-Length: 200",
		"Content-Length: 0, 200",
		"Content-Length: +0",
		"Content-Length: -1",
		"Content-Length: 0x0",
		"Content-Length: 18446744073709551616",
		"Content-Length : 0",
		"Transfer-Encoding : chunked",
		"Transfer-Encoding: identity",
		"Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: identity, chunked",
		"Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding:\vchunked",
		"Host: other",
		"X\x00: y",
		"\u017fcontent: y",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, Options{})
			answer := sendRaw(t, over(t, s)(), "POST /api/v2/repos HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n\r\n"+inside)
			if s.count() > 0 || !strings.HasPrefix(answer, "HTTP/1.1 400 ") && !strings.HasPrefix(answer, "HTTP/1.1 501 ") || strings.Count(answer, "HTTP/1.1 ") != 1 {
				t.Errorf("%q: %d repositories, %q", headers, s.count(), answer)
			}
		})
	}
	// Of both headers the length counts for nothing, and the connection ends.
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Options{})
		answer := sendRaw(t, over(t, s)(), "POST /api/v2/repos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"d\r\n"+`{"id":"docs"}`+"\r\n0\r\n\r\n"+inside)
		if s.count() != 1 || strings.Count(answer, "HTTP/1.1 ") != 1 {
			t.Errorf("%d repositories, %q", s.count(), answer)
		}
	})
}

// sendRaw sends bytes and returns all that comes back until the connection ends.
func sendRaw(t *testing.T, conn net.Conn, text string) string {
	t.Helper()
	go func() { _, _ = io.Copy(conn, strings.NewReader(text)) }() // what is not read is the point
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Error(err)
	}
	return string(answer)
}

// TestFewBytesThatBecomeMany: a body of two bytes an item would be a gigabyte of
// items before they can be counted.
func TestFewBytesThatBecomeMany(t *testing.T) {
	h := withRepo(t, Options{})
	many := strings.Repeat("{},", 2<<20)
	body := `{"message":"m","items":[` + many + `{}]}`
	want(t, ask(t, h, "POST", docs+"/batch", body), 400, "members")
	want(t, send(t, h, "POST", docs+"/batch", pack(t, body), "Content-Encoding", "gzip"), 400, "members")
	want(t, ask(t, h, "POST", docs+"/folders", `{"paths":[`+strings.Repeat(`"",`, 2<<20)+`""]}`), 400, "members")
	// What stands in strings is none.
	text := strings.Repeat(`,\",\\`, maxMembers)
	want(t, ask(t, h, "POST", docs+"/batch", batchOf(fmt.Sprintf(`{"op":"put","path":"a","content":"%s"}`, text))), 201, "hash")
	for _, c := range []struct {
		text string
		most bool
	}{
		{strings.Repeat(",", maxMembers), true},
		{strings.Repeat(",", maxMembers+1), false},
		{`"` + strings.Repeat(",", maxMembers+1) + `"`, true},
		{`"\"` + strings.Repeat(",", maxMembers+1) + `"`, true},
		{`"\\"` + strings.Repeat(",", maxMembers+1) + `"`, false},
		{`"` + strings.Repeat(",", maxMembers+1), true},
	} {
		if err := checkMembers([]byte(c.text)); (err == nil) != c.most {
			t.Errorf("%.8q...: %v", c.text, err)
		}
	}
	if !bytes.Equal(afterString([]byte(`\\\"x"rest`)), []byte("rest")) {
		t.Error("an escaped quote ends a string")
	}
}

// TestEveryRequestPassesTheChain: "OPTIONS *" was answered before anything was
// looked at, to whoever asked and under any name.
func TestEveryRequestPassesTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Options{LocalOnly: true})
		for host, want := range map[string]string{"localhost": "HTTP/1.1 404 ", "evil.example": "HTTP/1.1 403 "} {
			answer := sendRaw(t, over(t, s)(), "OPTIONS * HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(answer, want) {
				t.Errorf("%s: %q", host, answer)
			}
		}
	})
}
