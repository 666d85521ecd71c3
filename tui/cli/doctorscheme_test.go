package cli_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// listening answers every connection by hand.
func listening(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
			_ = conn.Close() // by the other end, too
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return l.Addr().String()
}

// TestDoctorAtTheOtherScheme: a port that speaks TLS was "no govc (status 400)"
// to a URL of plain HTTP.
func TestDoctorAtTheOtherScheme(t *testing.T) {
	secure := httptest.NewUnstartedServer(ours(t))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	certificate := secure.TLS.Certificates[0]
	strict := listening(t, func(conn net.Conn) { // says in TLS, not in HTTP, what it thinks of plain HTTP
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
		_ = server.Handshake() // it fails with most
	})
	silly := listening(t, func(conn net.Conn) {
		_, _ = conn.Write([]byte("220 mail.example.org ESMTP\r\n")) // who asked is gone if this fails
	})
	for name, tt := range map[string]struct {
		url  string
		want map[string]string
	}{
		"TLS behind http":       {strings.Replace(secure.URL, "https", "http", 1), map[string]string{"connect": "ok|", "tls": "fail|speaks TLS at that port|https://", "http": "unknown|step before"}},
		"TLS of few words":      {"http://" + strict, map[string]string{"tls": "fail|speaks TLS at that port|https://", "http": "unknown|step before"}},
		"HTTP behind https":     {strings.Replace(served(t, ours(t)), "http", "https", 1), map[string]string{"connect": "ok|", "tls": "fail|speaks plain HTTP there|http://", "http": "unknown|step before"}},
		"neither, behind https": {"https://" + silly, map[string]string{"tls": "fail|speaks no TLS there|http://"}},
		"neither, behind http":  {"http://" + silly, map[string]string{"tls": "ok|plain HTTP", "http": "fail|does not answer as HTTP"}},
		"a plain 400 is no surprise": {served(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })), map[string]string{
			"tls": "ok|plain HTTP", "http": "fail|no govc (status 400)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, "GOVC_SERVICE_URL", tt.url)
			d, found := w.doctor()
			w.want(found, tt.want)
			if d.OK {
				t.Error("nothing fails")
			}
		})
	}
}

// TestDoctorKnowsADrill: whoever took the embedded service down on purpose was
// told to start it, and to look at a URL that there is not.
func TestDoctorKnowsADrill(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWard(t)
	w.serve()
	if err := os.WriteFile(filepath.Join(w.folder(), engine.KeyFile), []byte(goodKey), 0o600); err != nil {
		t.Fatal(err)
	}
	down := httpapi.Status{State: "FALLBACK", Reason: "the service was taken down", Next: "it ends in the console", Ready: true, Service: httpapi.Service{URL: refused, Embedded: true}, Drill: &httpapi.DrillStatus{Running: true, Drill: httpapi.Drill{Kind: "down"}}}
	w.engine.SetStatus(down)
	d, found := w.doctor()
	w.want(found, map[string]string{"engine": "warn|FALLBACK", "connect": "warn|by a drill|ends by itself", "http": "unknown|a drill keeps"})
	if !d.OK {
		t.Errorf("a drill is no failure: %+v", d)
	}
	down.Drill = nil
	w.engine.SetStatus(down)
	_, found = w.doctor()
	w.want(found, map[string]string{"connect": "fail|the embedded service does not listen|caiatop events"})
	if strings.Contains(found["connect"].Fix, "GOVC_SERVICE_URL") {
		t.Errorf("%+v", found["connect"])
	}
}
