package access

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/config"
)

func TestSecretsThatAreTooShort(t *testing.T) {
	for n, want := range map[int]error{0: ErrWeak, MinSecret - 1: ErrWeak, MinSecret: nil} {
		if _, err := NewKeyring(config.NewSecret(goodSecret[:n])); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for name, values := range map[string][]config.Secret{
		"three": {config.NewSecret(goodSecret), config.NewSecret(otherSecret), config.NewSecret(goodSecret + "x")},
		"twice": {config.NewSecret(goodSecret), config.NewSecret(goodSecret)},
	} {
		if _, err := NewKeyring(values...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWeakSecrets(t *testing.T) {
	for _, weak := range []string{
		"default-secret-change-in-production", "your-256-bit-secret-change-me-please", "change-me-change-me-change-me-change-me",
		repeated("a", 64), repeated("ab", 32), repeated("password123!", 4), repeated("0123456789", 4),
		"abcdefghijklmnopqrstuvwxyz012345", "zyxwvutsrqponmlkjihgfedcba987654", "correct horse battery staple and so on",
		"SUPER_SECRET_JWT_SIGNING_KEY_FOR_PROD", "govc-jwt-secret-key-for-development-only", "00000000000000000000000000000000000001",
		"secretsecretsecretsecret-test-test-1234",
	} {
		k := keyring(t, weak)
		if k.Weak() == "" {
			t.Errorf("%q is taken for strong", weak)
		}
		if strings.Contains(k.Weak(), weak) {
			t.Errorf("%q is told", weak)
		}
		if _, err := New(Options{Keyring: k, Remote: true}); !errors.Is(err, ErrWeak) {
			t.Errorf("%q off this machine: %v", weak, err)
		}
		var log bytes.Buffer
		if _, err := New(Options{Keyring: k, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil || !strings.Contains(log.String(), "this machine only") {
			t.Errorf("%q on this machine: %v, %s", weak, err, &log)
		}
	}
	// Random ones are never taken for weak.
	for range 200 {
		random := make([]byte, 32)
		if _, err := rand.Read(random); err != nil {
			t.Fatal(err)
		}
		for _, strong := range []string{hex.EncodeToString(random), base64.StdEncoding.EncodeToString(random), base64.RawURLEncoding.EncodeToString(random[:24]), string(random)} {
			if why := weakness(strong); why != "" {
				t.Fatalf("%q is weak: %s", strong, why)
			}
		}
	}
}

func TestTheAdminKeyHasALength(t *testing.T) {
	for n, remote := range map[int]bool{MinAdminKey - 1: false, MinAdminKey: true} {
		_, err := New(Options{AdminKey: config.NewSecret(goodSecret[:n]), Remote: true})
		if (err == nil) != remote || (err != nil && !errors.Is(err, ErrWeak)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := New(Options{Remote: true}); !errors.Is(err, ErrWeak) {
		t.Errorf("open off this machine: %v", err)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	for name, c := range map[string]struct {
		path string
		want int
		err  error
	}{
		"one":     {write("one", goodSecret+"\n", 0o600), 1, nil},
		"two":     {write("two", otherSecret+"\r\n\n  "+goodSecret+"  ", 0o400), 2, nil},
		"empty":   {write("empty", "\n", 0o600), 0, ErrInvalid},
		"group":   {write("group", goodSecret, 0o640), 0, ErrInvalid},
		"large":   {write("large", repeated("x", maxSecretFile+1), 0o600), 0, ErrInvalid},
		"missing": {filepath.Join(dir, "missing"), 0, fs.ErrNotExist},
	} {
		got, err := ReadSecrets(durable.Volume{}, c.path)
		if len(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d secrets, %v", name, len(got), err)
		}
		if err != nil && strings.Contains(err.Error(), goodSecret[:8]) {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
}

// TestNothingPrintsASecret prints, logs and encodes everything that holds one.
func TestNothingPrintsASecret(t *testing.T) {
	dir := t.TempDir()
	k := keyring(t, goodSecret)
	const admin = "admin-key-0f3a9c5d7e"
	o := Options{Dir: dir, Keyring: k, AdminKey: config.NewSecret(admin)}
	c := control(t, o)
	key, secret, err := c.Register().CreateKey(t.Context(), KeyRequest{Name: "ci", Scopes: scopes(t, "docs:read")})
	must(t, err)
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Hour})
	must(t, err)
	must(t, c.Reload())
	who, err := c.Authenticate(request("X-API-Key", secret.Reveal()))
	must(t, err)
	_, refused := c.Authenticate(request("Authorization", "Bearer "+spoil(token.Value.Reveal(), 10)))
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{k, &k, o, c, key, secret, token, &token, who, refused} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, format, v)
		}
		log.Info("x", "v", v)
		if data, err := json.Marshal(v); err == nil {
			out.Write(data)
		}
	}
	told := out.String()
	for name, value := range map[string]string{"JWT secret": goodSecret, "admin key": admin, "API key": secret.Reveal(), "token": token.Value.Reveal()} {
		for _, form := range []string{value, hex.EncodeToString([]byte(value)), value[:len(value)-4], value[10:]} {
			if strings.Contains(told, form) {
				t.Errorf("the %s is told", name)
				break
			}
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	must(t, err)
	if strings.Contains(string(data), secret.Reveal()[len(KeyPrefix):20]) {
		t.Error("the access file holds the key")
	}
}
