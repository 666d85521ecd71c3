package govcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify returns a certificate and its key, both in PEM.
func certify(t *testing.T, serial int64, from, until time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: from, NotAfter: until, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, made, made, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// TestACertificateIsRenewedWhileTheServiceRuns: new files are in force for new
// connections; those that cannot be used, or of which one is there only, leave
// the certificate before in force, which /health tells.
func TestACertificateIsRenewedWhileTheServiceRuns(t *testing.T) {
	clock := &watch{time.Now().Truncate(time.Second)}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(file string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	day := 24 * time.Hour
	pair := func(serial int64, days time.Duration) (cert, key []byte) {
		t.Helper()
		return certify(t, serial, clock.at.Add(-day), clock.at.Add(days*day))
	}
	one, oneKey := pair(1, 30)
	two, twoKey := pair(2, 60)
	old, oldKey := pair(3, 0)
	write(certFile, one)
	write(keyFile, twoKey)
	if _, err := LoadCertificate(certFile, keyFile, clock.now, nil); err == nil {
		t.Fatal("a key of another certificate is taken")
	}
	write(keyFile, oneKey)
	var log syncBuffer
	c, err := LoadCertificate(certFile, keyFile, clock.now, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, Options{Certificate: c})
	base, err := s.Start("localhost:0")
	if err != nil || !strings.HasPrefix(base, "https://") {
		t.Fatal(base, err)
	}
	in := func(step string, serial int64, part string) {
		t.Helper()
		clock.at = clock.at.Add(certificateEvery)
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "https://")) //nolint:gosec // which certificate it is is what is looked at
		if err != nil {
			t.Fatal(err)
		}
		state := conn.(*tls.Conn).ConnectionState()
		if got := state.PeerCertificates[0].SerialNumber.Int64(); got != serial || conn.Close() != nil {
			t.Errorf("%s: certificate %d is in force", step, got)
		}
		want(t, ask(t, s.Handler(), "GET", "/health", ""), 200, part)
	}
	const well, ill = `"certificate":{"status":"healthy"`, `"certificate":{"status":"warning"`
	in("at first", 1, well)
	write(certFile, two)
	in("half", 1, ill)
	in("half still", 1, ill)
	write(keyFile, twoKey)
	in("renewed", 2, well)
	write(certFile, []byte("junk"))
	in("junk", 2, ill)
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	in("gone", 2, ill)
	clock.at = clock.at.Add(time.Minute)
	write(certFile, old)
	write(keyFile, oldKey)
	in("expired", 2, ill)
	write(certFile, two)
	write(keyFile, twoKey)
	in("as before", 2, well)
	clock.at = clock.at.Add(90 * day)
	in("not renewed in time", 2, ill)
	text := log.String()
	if n := strings.Count(text, "cannot be used"); n != 4 || strings.Contains(text, "PRIVATE") {
		t.Errorf("%d times in the log: %s", n, text)
	}
	if _, err := LoadCertificate(certFile, keyFile, clock.now, nil); err == nil {
		t.Error("a certificate that has expired is taken")
	}
}
