package cli

import (
	"testing"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/config"
)

// TestCacheOfGitReachesTheEngine: a setting that is shown and not used is a lie.
func TestCacheOfGitReachesTheEngine(t *testing.T) {
	cfg, err := config.Load(config.Input{
		Flags: map[string]string{"gitrepo-cache": "3MiB", "state-dir": t.TempDir()},
		Env:   func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	setup, err := wiring{}.setup(cfg, true)
	if err != nil || setup.GitCache != 3<<20 {
		t.Fatalf("the engine is given %d bytes, %v; want %d", setup.GitCache, err, 3<<20)
	}
}

// TestTheWayToTheServiceReachesTheEngine: every setting of it.
func TestTheWayToTheServiceReachesTheEngine(t *testing.T) {
	given := map[string]string{
		"GOVC_SERVICE_URL": "https://h", "GOVC_AUTH_TOKEN": "t", "GOVC_API_KEY": "a", "GOVC_USERNAME": "u", "GOVC_PASSWORD": "p",
		"GOVC_CA_FILE": "/ca", "GOVC_CERT_FILE": "/c", "GOVC_KEY_FILE": "/k", "GOVC_SERVER_NAME": "n", "HOME": t.TempDir(),
	}
	cfg, err := config.Load(config.Input{Env: func(name string) (string, bool) { value, ok := given[name]; return value, ok }})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Govc.Insecure, cfg.Govc.AllowInsecure = true, true
	s, err := wiring{}.setup(cfg, true)
	trust := govc.TLSOptions{CAFile: "/ca", CertFile: "/c", KeyFile: "/k", ServerName: "n", Insecure: true, AllowInsecure: true}
	if err != nil || s.URL != "https://h" || s.Token != "t" || s.APIKey != "a" || s.Login != (govc.Login{User: "u", Password: "p"}) || s.TLS != trust {
		t.Errorf("the engine is given %+v, %v", s, err)
	}
}
