package backup

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/config"
)

func TestParse(t *testing.T) {
	root := t.TempDir()
	storeDir := filepath.Join(root, "state", "documents.git")
	if err := os.MkdirAll(storeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(filepath.Join(root, "state"), link); err != nil {
		t.Fatal(err)
	}
	for remote, want := range map[string]string{
		"/backup/x.git":                      "/backup/x.git",
		"~/x.git":                            "/home/me/x.git",
		"file:///backup/x.git":               "/backup/x.git",
		"git://host/x.git":                   "git://host/x.git",
		"https://host:8443/x.git":            "https://host:8443/x.git",
		"https://bob:hunter2@host/x.git":     "https://[redacted]@host/x.git",
		"https://hunter2@host/x.git":         "https://[redacted]@host/x.git",
		"ssh://git@host:2222/x.git":          "ssh://[redacted]@host:2222/x.git",
		"git@host:team/x.git":                "git@host:team/x.git",
		"host:x.git":                         "host:x.git",
		"git@[::1]:x.git":                    "git@[::1]:x.git",
		"":                                   "not set",
		"relative/x.git":                     "neither a URL nor an absolute path",
		"ftp://host/x.git":                   "scheme",
		"https://host":                       "no repository",
		"https:///x.git":                     "no host",
		"https://bob:hunter2%@host/x.git":    "no URL",
		"https://host/x.git?token=hunter2":   "query",
		"git://bob:hunter2@host/x.git":       "no users",
		"file://host/x.git":                  "file URL",
		"git@host:-oProxyCommand=x":          "dash",
		"/x\x1b[31m":                         "control character",
		storeDir:                             "own folder",
		storeDir + "/objects/x":              "own folder",
		filepath.Join(root, "state"):         "own folder",
		filepath.Join(link, "documents.git"): "own folder",
	} {
		target, err := Parse(Settings{Remote: config.NewSecret(remote), Home: "/home/me", Store: storeDir})
		if err != nil {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", remote, err, want)
			}
		} else if target.String() != want {
			t.Errorf("%q is shown as %q, want %q", remote, target, want)
		}
		if strings.Contains(fmt.Sprint(target, err), "hunter2") {
			t.Errorf("%q: %v %v", remote, target, err)
		}
	}
	two := Settings{Remote: config.NewSecret("https://bob:hunter2@host/x"), Token: config.NewSecret("hunter3")}
	if _, err := Parse(two); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "hunter") {
		t.Errorf("two secrets: %v", err)
	}
}

// TestNoFormOfASecretIsShown: whatever a library or a server makes of it.
func TestNoFormOfASecretIsShown(t *testing.T) {
	for _, password := range []string{secret, "hunter2hunter2", "a", "ünï", "%41%", "x y+z", "\x00\xff"} {
		r := newRedactor(user, password)
		quoted, _ := json.Marshal(password)
		basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		forms := map[string]string{
			"plain":          password,
			"query":          url.QueryEscape(password),
			"path":           url.PathEscape(password),
			"lower":          strings.ToLower(url.QueryEscape(password)),
			"userinfo":       url.UserPassword(user, password).String(),
			"address":        "https://" + url.UserPassword(user, password).String() + "@host/x",
			"go":             fmt.Sprintf("%q", password),
			"header":         "Authorization: Basic " + basic,
			"base64":         basic,
			"token base64":   base64.StdEncoding.EncodeToString([]byte(password)),
			"url base64":     base64.URLEncoding.EncodeToString([]byte(user + ":" + password)),
			"url error":      (&url.Error{Op: "Get", URL: "https://" + user + ":" + password + "@host/", Err: errors.New("x")}).Error(),
			"go of an error": fmt.Sprintf("%q", "says "+password),
		}
		if password != strings.ToLower(password) || strings.ContainsRune(password, '%') {
			delete(forms, "lower") // another word
		}
		for name, form := range forms {
			shown := r.text("(" + form + ")")
			for what, bad := range map[string]string{"plain": password, "base64": basic, "escaped": url.QueryEscape(password), "json": strings.Trim(string(quoted), `"`)} {
				if len(bad) > 1 && strings.Contains(shown, bad) {
					t.Errorf("%q: %s is shown as %q, which has it %s", password, name, shown, what)
				}
			}
		}
	}
	err := newRedactor(user, secret).error(fmt.Errorf("%w: with %s", ErrRefused, secret))
	if !errors.Is(err, ErrRefused) || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)), secret) {
		t.Errorf("%#v", err)
	}
}

// TestAMissingFileOfTheSettingsIsNotTheNetwork, though the error of the system
// looks like one of the network.
func TestAMissingFileOfTheSettingsIsNotTheNetwork(t *testing.T) {
	_, missing := readable("backup.ssh_key", filepath.Join(t.TempDir(), "key"))
	if err := unavailable(missing); errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
}
