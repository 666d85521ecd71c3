package cli

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

const accessSecret = "0a4c9d2f7be1836055f0c1b2d3e4f5a697881a2b3c4d5e6f70819203a4b5c6d7"

// shell runs a command line as a person does.
func shell(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	var out, told bytes.Buffer
	code = Run(t.Context(), Deps{Stdout: &out, Stderr: &told}, strings.Fields(line))
	return code, out.String(), told.String()
}

// served is a service's control over the folder, as after its start, and who a
// credential is there.
func served(t *testing.T, dir, credential string, secrets ...config.Secret) (*access.Control, access.Identity, error) {
	t.Helper()
	ring, err := access.NewKeyring(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	control, err := access.New(access.Options{Dir: dir, Keyring: ring, Remote: true})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+credential)
	who, err := control.Authenticate(r)
	return control, who, err
}

func TestATokenOfTheShellIsAccepted(t *testing.T) {
	clean(t)
	t.Setenv(secretEnv, "")
	dir := t.TempDir()
	file := filepath.Join(dir, access.SecretName)
	other := filepath.Join(t.TempDir(), "other")
	for path, text := range map[string]string{file: accessSecret, other: "Zm9yIHRoZSB0ZXN0cywgYW5kIG5vIG90aGVy" + accessSecret[:9] + "\n" + accessSecret} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := shell(t, "server token --sub ann --repo docs:write --repo team-*:read --data "+dir)
	if code != 0 || strings.Count(stdout, "\n") != 1 || strings.Contains(stderr, strings.TrimSpace(stdout)) || !strings.Contains(stderr, "shown only now") {
		t.Fatalf("exit code %d: %q, %q", code, stdout, stderr)
	}
	control, who, err := served(t, dir, strings.TrimSpace(stdout), config.NewSecret(accessSecret))
	if err != nil || who.Subject != "ann" || control.Allow(who, "docs", access.Write) != nil || control.Allow(who, "team-x", access.Write) == nil {
		t.Errorf("%+v, %v", who, err)
	}
	// The first of the file signs; the file beats the environment, which beats the folder.
	t.Setenv(secretEnv, accessSecret)
	code, stdout, _ = shell(t, "server token --json --ttl 8h --sub bob --data "+dir+" --jwt-secret-file "+other)
	var made madeToken
	if err := json.Unmarshal([]byte(stdout), &made); code != 0 || err != nil || made.Subject != "bob" || made.Scopes == nil ||
		time.Until(made.Expires) < 7*time.Hour || time.Until(made.Expires) > 8*time.Hour {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if _, _, err := served(t, dir, made.Token, config.NewSecret(accessSecret)); err == nil {
		t.Error("signed with the second secret")
	}
	if code, stdout, _ = shell(t, "server token --sub bob"); code != 0 {
		t.Errorf("from the environment: exit code %d", code)
	}
	if _, _, err := served(t, dir, strings.TrimSpace(stdout), config.NewSecret(accessSecret)); err != nil {
		t.Error(err)
	}
}

func TestKeysAndGrantsOfTheShell(t *testing.T) {
	clean(t)
	dir := filepath.Join(t.TempDir(), "data")
	code, stdout, stderr := shell(t, "server apikey create --name ci --repo docs:read --ttl 48h --data "+dir)
	key := strings.TrimSpace(stdout)
	if code != 0 || !strings.HasPrefix(key, access.KeyPrefix) || strings.Contains(stderr, key[:20]) || !strings.Contains(stderr, "of ci, until") {
		t.Fatalf("exit code %d: %q, %q", code, stdout, stderr)
	}
	if code, stdout, _ = shell(t, "server grant add ci team-*:write docs:admin --data "+dir); code != 0 || stdout != "granted ci: team-*:write docs:admin\n" {
		t.Errorf("exit code %d: %q", code, stdout)
	}
	control, who, err := served(t, dir, key)
	if err != nil || who.Subject != "ci" || control.Allow(who, "docs", access.Admin) != nil || control.Allow(who, "other", access.Read) == nil {
		t.Errorf("%+v, %v", who, err)
	}
	var keys []shownKey
	code, stdout, _ = shell(t, "server apikey list --json --data "+dir)
	if err := json.Unmarshal([]byte(stdout), &keys); code != 0 || err != nil || len(keys) != 1 || keys[0].State != "live" || keys[0].LastUsed == "" || keys[0].ID != who.ID {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ = shell(t, "server apikey list --data "+dir); code != 0 || !strings.Contains(stdout, "docs:read") || strings.Contains(stdout, key[5:25]) {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ = shell(t, "server grant list ci --data "+dir); code != 0 || !strings.Contains(stdout, "team-*") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ = shell(t, "server grant remove ci docs --json --data "+dir); code != 0 || !strings.Contains(stdout, `"right": "admin"`) {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ = shell(t, "server grant list bob --json --data "+dir); code != 0 || strings.TrimSpace(stdout) != "[]" {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ = shell(t, "server apikey revoke ci --data "+dir); code != 0 || !strings.Contains(stdout, "of ci") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if _, _, err := served(t, dir, key); err == nil {
		t.Error("a revoked key is accepted")
	}
	var what []string
	_, err = audit.Scan(durable.Volume{}, filepath.Join(dir, access.AuditDir), access.AuditName, func(e audit.Entry) error {
		if e.Who == "" || e.Via != "shell" {
			t.Errorf("%+v", e)
		}
		what = append(what, e.What)
		return nil
	})
	if got := strings.Join(what, " "); err != nil || got != "apikey.create grant.add grant.add grant.remove apikey.revoke" {
		t.Errorf("the audit has %s, %v", got, err)
	}
}

func TestAccessCommandsThatAreWrong(t *testing.T) {
	clean(t)
	t.Setenv(secretEnv, "")
	dir := t.TempDir()
	if code, _, stderr := shell(t, "server apikey create --name ci --data "+dir); code != 0 {
		t.Fatal(stderr)
	}
	open := filepath.Join(dir, "open-secret")
	if err := os.WriteFile(open, []byte(accessSecret), 0o644); err != nil {
		t.Fatal(err)
	}
	wrong := t.TempDir()
	if err := os.WriteFile(filepath.Join(wrong, access.FileName), []byte(`{"version":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"server nosuch", ExitUsage, `there is no command "nosuch"`},
		{"server apikey", ExitUsage, "create"},
		{"server grant", ExitUsage, "add"},
		{"server token", ExitUsage, "--sub"},
		{"server token --sub ann", ExitConfig, secretEnv},
		{"server token --sub ann --data " + dir, ExitConfig, secretEnv},
		{"server token --sub ann --jwt-secret-file " + open, ExitConfig, "chmod 600"},
		{"server token --sub ann --repo docs:root", ExitUsage, "team-*:write"},
		{"server apikey create --name ci", ExitUsage, "--data"},
		{"server apikey create --data " + dir, ExitUsage, "--name"},
		{"server apikey create --name ci --data " + dir, ExitData, "another name"},
		{"server apikey create --name a/b --data " + dir, ExitData, "no name"},
		{"server apikey create --name x --ttl 0s --data " + dir, ExitUsage, "cannot live"},
		{"server apikey create --name x --ttl -1h --data " + dir, ExitUsage, "cannot live"},
		{"server apikey create x --name x --data " + dir, ExitUsage, "too many"},
		{"server apikey revoke --data " + dir, ExitUsage, "missing"},
		{"server apikey revoke nobody --data " + dir, ExitNoInput, "nobody"},
		{"server apikey list --data " + wrong, ExitData, "version 9"},
		{"server grant add ann --data " + dir, ExitUsage, "missing"},
		{"server grant add ann docs --data " + dir, ExitUsage, "docs:read"},
		{"server grant add a/b docs:read --data " + dir, ExitData, "no name"},
		{"server grant remove ann --data " + dir, ExitNoInput, "ann"},
		{"server grant add ann docs:read --data " + wrong, ExitData, "version 9"},
	} {
		code, stdout, stderr := shell(t, c.line)
		if code != c.code || !strings.Contains(stderr, c.says) || stdout != "" {
			t.Errorf("%s: exit code %d, %q, %q", c.line, code, stdout, stderr)
		}
		code, _, stderr = shell(t, c.line+" --json")
		var said told
		if json.Unmarshal([]byte(stderr), &said) != nil && code != ExitUsage {
			t.Errorf("%s --json: exit code %d, %q", c.line, code, stderr)
		}
	}
}

// TestAWeakSecretIsToldOf where a token is made with it.
func TestAWeakSecretIsToldOf(t *testing.T) {
	clean(t)
	t.Setenv(secretEnv, "default-secret-change-in-production")
	code, stdout, stderr := shell(t, "server token --sub ann")
	if code != 0 || stdout == "" || !strings.Contains(stderr, "easy to guess") || strings.Contains(stderr, "default-secret") {
		t.Errorf("exit code %d: %q", code, stderr)
	}
	t.Setenv(secretEnv, "short")
	if code, _, stderr := shell(t, "server token --sub ann"); code != ExitConfig || !strings.Contains(stderr, "openssl rand") || strings.Contains(stderr, "short\n") {
		t.Errorf("exit code %d: %q", code, stderr)
	}
}

func TestAccessCommandsAreCompleted(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	for _, line := range []string{"server apikey create --name ci --data ", "server apikey create --name cron --data ", "server grant add ann docs:read --data "} {
		if code, _, stderr := shell(t, line+dir); code != 0 {
			t.Fatal(stderr)
		}
	}
	for line, want := range map[string]string{
		"server grant remove --data DIR a":     "ann",
		"server grant list --data DIR c":       "ci cron",
		"server grant add --data DIR a":        "ann",
		"server grant add ann docs:":           "docs:read docs:write docs:admin",
		"server grant add ann docs:w":          "docs:write",
		"server grant add ann doc":             "doc:",
		"server apikey revoke --data DIR cr":   "cron",
		"server apikey revoke c":               "",
		"server token --sub x --repo *:a":      "*:admin",
		"server apikey create --repo team-*:r": "team-*:read",
	} {
		code, stdout, _ := shell(t, "__complete "+strings.ReplaceAll(line, "DIR", dir))
		var got []string
		for line := range strings.Lines(stdout) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, ":") {
				got = append(got, line)
			}
		}
		if code != 0 || strings.Join(got, " ") != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// TestTheFolderOfAnotherUserIsLeftAlone: a key that root made for a service of
// another user could not be read by it, and one that root revoked went on.
func TestTheFolderOfAnotherUserIsLeftAlone(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if foreign(info, os.Geteuid()) || !foreign(info, os.Geteuid()+1) {
		t.Error("the owner of a folder is not known")
	}
	if os.Chown(dir, os.Geteuid()+1, -1) != nil {
		return // only root can go on
	}
	for _, line := range []string{"apikey create --name ci", "apikey revoke ci", "grant add ann docs:read", "grant remove ann"} {
		if code, _, stderr := shell(t, "server "+line+" --data "+dir); code != ExitPermission || !strings.Contains(stderr, "sudo -u") {
			t.Errorf("%s: exit code %d: %s", line, code, stderr)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
