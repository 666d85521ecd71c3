package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

const serverSecret = "0a4c9d2f7be1836055f0c1b2d3e4f5a697881a2b3c4d5e6f70819203a4b5c6d7"

func readyOf(t *testing.T, s *server) (r serverReady) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.ready), &r); err != nil {
		t.Fatalf("%q: %v", s.ready, err)
	}
	return r
}

// writeFile makes a file for its owner alone.
func writeFile(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServerWithRights: a key that the shell made reads and does not write, the
// audit tells of it, and the folder serves one service at a time.
func TestServerWithRights(t *testing.T) {
	clean(t)
	data := filepath.Join(t.TempDir(), "data")
	code, key, stderr := shell(t, "server apikey create --name ci --repo docs:read --data "+data)
	if code != 0 {
		t.Fatal(stderr)
	}
	key = strings.TrimSpace(key)
	s := startServer(t, "--port", "0", "--json", "--data", data)
	ready := readyOf(t, s)
	if ready.Auth != "managed" || ready.Data != data || ready.Mode != "durable" {
		t.Errorf("%+v", ready)
	}
	for _, c := range []struct {
		method, path, key string
		status            int
	}{
		{"GET", "/api/v2/repos", "", 401},
		{"GET", "/api/v2/repos", key, 200},
		{"GET", "/api/v2/repos/docs", key, 404},
		{"GET", "/api/v2/repos/other", key, 403},
		{"POST", "/api/v2/repos", key, 403},
		{"GET", "/metrics", key, 403},
		{"GET", "/health", "", 200},
	} {
		if got := request(t, c.method, ready.URL+c.path, c.key, `{"id":"docs"}`); got != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.status)
		}
	}
	var out bytes.Buffer
	if err := serverRun(t.Context(), &out, &out, "--port", "0", "--data", data); Code(err) != ExitTempFail || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a second one: %v", err)
	}
	s.stop()
	denied := 0
	_, err := audit.Scan(durable.Volume{}, filepath.Join(data, access.AuditDir), "", func(e audit.Entry) error {
		if e.Result == "FORBIDDEN" && e.Who == "ci" {
			denied++
		}
		return nil
	})
	if err != nil || denied != 3 || strings.Contains(s.stderr.String(), key) {
		t.Errorf("%d refusals in the audit, %v", denied, err)
	}
}

// TestServerTakesTheSecretOfTokens from each place, and warns of the visible one.
func TestServerTakesTheSecretOfTokens(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "secret"), []byte(serverSecret+"\n"))
	for from, given := range map[string][]string{"flag": {"--jwt-secret", serverSecret}, "file": {"--jwt-secret-file", file}, "environment": nil} {
		t.Run(from, func(t *testing.T) {
			clean(t)
			if given == nil {
				t.Setenv("GOVC_JWT_SECRET", serverSecret)
			}
			t.Setenv("GOVC_MEMORY_MODE", "true")
			s := startServer(t, append(given, "--port", "0", "--json", "--host", "0.0.0.0")...)
			if ready := readyOf(t, s); ready.Auth != "managed" {
				t.Errorf("%+v", ready)
			} else if got := request(t, "GET", ready.URL+"/api/v2/repos", "", ""); got != 401 {
				t.Errorf("without a token: %d", got)
			}
			s.stop()
			if strings.Contains(s.stderr.String(), "lists processes") != (from == "flag") || strings.Contains(s.stderr.String(), serverSecret) {
				t.Errorf("log %s", s.stderr)
			}
		})
	}
}

// certified writes a certificate for this machine and its key.
func certified(t *testing.T, dir string, until time.Time) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: until, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, made, made, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	cert = writeFile(t, filepath.Join(dir, until.Format("150405")+"cert.pem"), text)
	key = writeFile(t, filepath.Join(dir, until.Format("150405")+"key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return cert, key, pool
}

func TestServerOverTLS(t *testing.T) {
	clean(t)
	cert, key, pool := certified(t, t.TempDir(), time.Now().Add(time.Hour))
	s := startServer(t, "--port", "0", "--json", "--tls-cert", cert, "--tls-key", key)
	ready := readyOf(t, s)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	answer, err := client.Get(ready.URL + "/version")
	if err != nil || !strings.HasPrefix(ready.URL, "https://localhost:") || answer.StatusCode != 200 {
		t.Fatalf("%s: %v", ready.URL, err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
	s.stop()
}

func TestServerRefusesSecretsAndCertificates(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	cert, key, _ := certified(t, dir, time.Now().Add(2*time.Hour))
	old, oldKey, _ := certified(t, dir, time.Now().Add(-time.Hour))
	junk := writeFile(t, filepath.Join(dir, "junk"), []byte("junk"))
	for _, c := range []struct {
		args      string
		code      int
		what, fix string
	}{
		{"--tls-cert " + cert, ExitUsage, "needs a certificate and its key", "both"},
		{"--tls-cert " + cert + " --tls-key " + oldKey, ExitConfig, "certificate cannot be used", "made for"},
		{"--tls-cert " + junk + " --tls-key " + key, ExitConfig, "certificate cannot be used", "PEM"},
		{"--tls-cert " + dir + "/none --tls-key " + key, ExitConfig, "certificate cannot be used", "that there are"},
		{"--tls-cert " + old + " --tls-key " + oldKey, ExitConfig, "is valid from", "renew"},
		{"--jwt-secret short", ExitPermission, "has 5 bytes", "--jwt-secret-file"},
		{"--jwt-secret-file " + dir + "/none", ExitConfig, "JWT secret is not used", "mend"},
		{"--host 0.0.0.0 --jwt-secret " + strings.Repeat("ab", 16), ExitPermission, "easy to guess", "it a random JWT secret"},
		{"--data " + junk + "/x", 0, "cannot be used", "--data"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		var stdout, stderr bytes.Buffer
		err := serverRun(ctx, &stdout, &stderr, append(strings.Fields(c.args), "--port", "0")...)
		cancel()
		if err == nil || (c.code != 0 && Code(err) != c.code) || !strings.Contains(err.Error(), c.what) || !strings.Contains(advice(err), c.fix) || stdout.Len() > 0 {
			t.Errorf("%s: exit code %d: %v; try: %s", c.args, Code(err), err, advice(err))
		}
	}
	t.Setenv("GOVC_MEMORY_MODE", "perhaps")
	if err := serverRun(t.Context(), &bytes.Buffer{}, &bytes.Buffer{}); Code(err) != ExitUsage || !strings.Contains(err.Error(), "GOVC_MEMORY_MODE") {
		t.Error(err)
	}
}
