package govc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB, name string) *authority {
	a := &authority{t: t}
	a.cert, a.key, a.file, _ = a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) issue(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key, a.write("CERTIFICATE", der), a.write("EC PRIVATE KEY", secret)
}

func (a *authority) write(kind string, der []byte) string {
	name := filepath.Join(a.t.TempDir(), "file.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return name
}

// server returns a configuration with a certificate for some names.
func (a *authority) server(until time.Time, names ...string) *tls.Config {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "service"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if !until.IsZero() {
		c.NotBefore, c.NotAfter = until.Add(-time.Hour), until
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	cert, key, _, _ := a.issue(c)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// client returns the files of a client's certificate.
func (a *authority) client() (cert, key string) {
	_, _, cert, key = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "console"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// TestOurServiceOverTLS: own authority, client certificate, key, documents.
func TestOurServiceOverTLS(t *testing.T) {
	own, clients := newAuthority(t, "Own CA"), newAuthority(t, "Clients")
	trust := own.server(time.Time{}, "127.0.0.1")
	trust.ClientAuth, trust.ClientCAs = tls.RequireAndVerifyClientCert, clients.pool()
	_, url := startService(t, govcd.Options{Key: "k", TLS: trust})
	if !strings.HasPrefix(url, "https://") {
		t.Fatalf("the service is at %s", url)
	}
	cert, key := clients.client()
	c := openClient(t, govc.Options{URL: url, APIKey: "k", TLS: govc.TLSOptions{CAFile: own.file, CertFile: cert, KeyFile: key}})
	d := newDoc(t, "a", "text")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), keyOf(d)); err != nil || got.Content.Text != "text" {
		t.Errorf("Get = %+v, %v", got, err)
	}
	if _, err := c.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := c.Access()
	if a.TLSVersion != "TLS 1.3" || !strings.HasPrefix(a.Peer, "127.0.0.1, by Own CA, until 20") || a.Insecure || a.Proxy != "" || a.Subject != "admin" || a.Rights["*"] != "admin" {
		t.Errorf("Access = %+v", a)
	}
	l := c.Latency()
	if l.TLS <= 0 || l.Connect <= 0 || l.DNS != 0 || l.Opened.IsZero() || !l.Reused || l.At.IsZero() || l.FirstByte <= 0 || l.Total < l.FirstByte {
		t.Errorf("Latency = %+v", l)
	}
}

// TestUntrusted: what a connection is refused for is told with what to do, it is
// an outage that no retry ends, and nothing was sent.
func TestUntrusted(t *testing.T) {
	own, other := newAuthority(t, "Own CA"), newAuthority(t, "Other CA")
	old := own.server(time.Time{}, "127.0.0.1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	strict := own.server(time.Time{}, "127.0.0.1")
	strict.ClientAuth, strict.ClientCAs = tls.RequireAndVerifyClientCert, own.pool()
	wrongCert, wrongKey := other.client()
	for _, c := range []struct {
		name   string
		server *tls.Config // nil is plain HTTP
		trust  govc.TLSOptions
		want   []string
	}{
		{"not in the system", own.server(time.Time{}, "127.0.0.1"), govc.TLSOptions{}, []string{"nobody who is trusted", "govc.ca"}},
		{"of another authority", other.server(time.Time{}, "127.0.0.1"), govc.TLSOptions{CAFile: own.file}, []string{"nobody who is trusted", "govc.ca"}},
		{"another name", own.server(time.Time{}, "elsewhere.test"), govc.TLSOptions{CAFile: own.file}, []string{"another name", "govc.server_name"}},
		{"another name than is asked for", own.server(time.Time{}, "127.0.0.1"), govc.TLSOptions{CAFile: own.file, ServerName: "elsewhere.test"}, []string{"another name"}},
		{"expired", own.server(time.Now().Add(-time.Minute), "127.0.0.1"), govc.TLSOptions{CAFile: own.file}, []string{"not valid at this time", "renew"}},
		{"not yet valid", own.server(time.Now().Add(90*time.Minute), "127.0.0.1"), govc.TLSOptions{CAFile: own.file}, []string{"not valid at this time", "clock"}},
		{"TLS 1.1", old, govc.TLSOptions{CAFile: own.file}, []string{"TLS 1.2"}},
		{"no certificate shown", strict, govc.TLSOptions{CAFile: own.file}, []string{"certificate of this client", "govc.cert"}},
		{"a strange certificate shown", strict, govc.TLSOptions{CAFile: own.file, CertFile: wrongCert, KeyFile: wrongKey}, []string{"certificate of this client", "govc.cert"}},
		{"plain HTTP", nil, govc.TLSOptions{}, []string{"plain HTTP", "http://"}},
	} {
		var reached atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
		server.TLS, server.Config.ErrorLog = c.server, log.New(io.Discard, "", 0)
		url := ""
		if c.server != nil {
			server.StartTLS()
			url = server.URL
		} else {
			server.Start()
			url = strings.Replace(server.URL, "http", "https", 1)
		}
		slept := 0
		client := newClient(t, govc.Options{URL: url, APIKey: "k", TLS: c.trust, Retry: govc.RetryOptions{Sleep: func(ctx context.Context, _ time.Duration) error { slept++; return ctx.Err() }}})
		_, err := client.Describe(t.Context())
		_, writeErr := client.WriteMarker(t.Context(), govc.Marker{Lineage: "l"})
		for _, err := range []error{err, writeErr} {
			unsafe, ok := errors.AsType[*govc.TLSError](err)
			if !ok || unsafe.Fix == "" || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrAmbiguous) || errors.Is(err, store.ErrIdentity) {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %v, want %q in it", c.name, err, part)
				}
			}
		}
		if slept > 0 || reached.Load() > 0 {
			t.Errorf("%s: %d retries, %d requests arrived", c.name, slept, reached.Load())
		}
		server.Close()
	}
}

// TestRefusedCertificateIsNoDoubt: a service that stops trusting the client
// refuses a write before it is done.
func TestRefusedCertificateIsNoDoubt(t *testing.T) {
	own := newAuthority(t, "Own CA")
	var strict atomic.Bool
	trust := own.server(time.Time{}, "127.0.0.1")
	refusing := trust.Clone()
	refusing.ClientAuth, refusing.ClientCAs = tls.RequireAndVerifyClientCert, own.pool()
	trust.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if strict.Load() {
			return refusing, nil
		}
		return nil, nil
	}
	service := govcd.New(govcd.Options{})
	server := httptest.NewUnstartedServer(service.Handler())
	server.TLS, server.Config.ErrorLog = trust, log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		server.Close()
		if err := service.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	c := openClient(t, govc.Options{URL: server.URL, TLS: govc.TLSOptions{CAFile: own.file}, Retry: noWait})
	strict.Store(true)
	server.CloseClientConnections()
	_, err := c.WriteMarker(t.Context(), govc.Marker{Lineage: "l"})
	if _, ok := errors.AsType[*govc.TLSError](err); !ok || errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("WriteMarker: %v", err)
	}
}

// TestTrustedOtherwise: a server name that is given, and no check at all.
func TestTrustedOtherwise(t *testing.T) {
	own := newAuthority(t, "Own CA")
	_, url := startService(t, govcd.Options{TLS: own.server(time.Time{}, "docs.test")})
	named := newClient(t, govc.Options{URL: url, TLS: govc.TLSOptions{CAFile: own.file, ServerName: "docs.test"}})
	if _, err := named.Describe(t.Context()); err != nil || named.Access().Insecure {
		t.Errorf("Describe: %v, Access = %+v", err, named.Access())
	}
	blind := newClient(t, govc.Options{URL: url, TLS: govc.TLSOptions{Insecure: true, AllowInsecure: true}})
	if _, err := blind.Describe(t.Context()); err != nil || !blind.Access().Insecure {
		t.Errorf("Describe: %v, Access = %+v", err, blind.Access())
	}
	plain := newClient(t, govc.Options{URL: strings.Replace(url, "https", "http", 1)})
	if _, err := plain.Describe(t.Context()); !errors.Is(err, store.ErrIdentity) || !strings.Contains(err.Error(), "write https://") {
		t.Errorf("Describe over plain HTTP: %v", err)
	}
}

// TestTLSOptionsRefused: each mistake names its key and what to do.
func TestTLSOptionsRefused(t *testing.T) {
	own := newAuthority(t, "Own CA")
	cert, key := own.client()
	_, otherKey := own.client()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(t.TempDir(), "absent")
	const https, http = "https://h", "http://h"
	for _, c := range []struct {
		url, key string
		o        govc.TLSOptions
	}{
		{https, "govc.insecure", govc.TLSOptions{Insecure: true}},
		{https, "govc.ca", govc.TLSOptions{CAFile: absent}},
		{https, "govc.ca", govc.TLSOptions{CAFile: empty}},
		{https, "govc.cert", govc.TLSOptions{CertFile: cert}},
		{https, "govc.key", govc.TLSOptions{KeyFile: key}},
		{https, "govc.cert", govc.TLSOptions{CertFile: absent, KeyFile: key}},
		{https, "govc.key", govc.TLSOptions{CertFile: cert, KeyFile: absent}},
		{https, "govc.cert", govc.TLSOptions{CertFile: cert, KeyFile: otherKey}},
		{https, "govc.cert", govc.TLSOptions{CertFile: empty, KeyFile: key}},
		{http, "govc.ca", govc.TLSOptions{CAFile: own.file}},
		{http, "govc.cert", govc.TLSOptions{CertFile: cert, KeyFile: key}},
		{http, "govc.server_name", govc.TLSOptions{ServerName: "x"}},
		{http, "govc.insecure", govc.TLSOptions{Insecure: true, AllowInsecure: true}},
	} {
		_, err := govc.New(govc.Options{URL: c.url, Repo: "docs", TLS: c.o})
		if wrong, ok := errors.AsType[*govc.OptionError](err); !ok || wrong.Key != c.key || wrong.Fix == "" || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%s %+v: %v, want %s", c.url, c.o, err, c.key)
		}
	}
	for _, o := range []govc.Options{{Login: govc.Login{User: "u"}}, {Login: govc.Login{Password: "p"}}, {Token: "a\nb"}, {APIKey: "a b"}, {Transport: http1{}, TLS: govc.TLSOptions{ServerName: "x"}}} {
		o.URL, o.Repo = https, "docs"
		if _, err := govc.New(o); err == nil {
			t.Errorf("New took %+v", o)
		}
	}
}

type http1 struct{ http.RoundTripper }
