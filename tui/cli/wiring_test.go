package cli

import (
	"testing"

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
