package config_test

import (
	"strings"
	"testing"

	"github.com/caiatech/caiatop/config"
)

// TestAPhaseThatIsADefaultWasNotAskedFor: it must not win over one that was set
// since.
func TestAPhaseThatIsADefaultWasNotAskedFor(t *testing.T) {
	if c := load(t, config.Input{Env: withHome(nil)}); c.Phase != config.PhaseDual || c.PhaseSet {
		t.Errorf("%s, asked for: %v", c.Phase, c.PhaseSet)
	}
	for from, in := range map[string]config.Input{
		"flag":        {Flags: map[string]string{"phase": "govc-only"}},
		"environment": {Env: env(map[string]string{"CAIA_USE_GOVC": "1"})},
		"file":        {File: writeFile(t, "phase: dual\n")},
	} {
		in.Env = withHome(in.Env)
		if c := load(t, in); !c.PhaseSet {
			t.Errorf("%s: %s was not asked for", from, c.Phase)
		}
	}
}

func withHome(e config.Env) config.Env {
	return func(name string) (string, bool) {
		if name == "HOME" {
			return "/home/ann", true
		}
		if e == nil {
			return "", false
		}
		return e(name)
	}
}

func TestKeptBytes(t *testing.T) {
	for value, says := range map[string]string{
		"1MiB": "", "1TiB": "", "1048575": "out of range", "1099511627777": "out of range", "0": "out of range", "-1": "is no size", "4G": "unit is not known",
	} {
		vars := env(map[string]string{"CAIATOP_KEPT_BYTES": value})
		c, err := config.Load(config.Input{Env: withHome(vars)})
		switch {
		case says == "" && (err != nil || config.FormatBytes(c.Engine.KeptBytes) != value):
			t.Errorf("%s: %d, %v", value, c.Engine.KeptBytes, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v, want %q", value, err, says)
		}
	}
	c := load(t, config.Input{Env: withHome(nil), File: writeFile(t, "engine:\n  kept_bytes: 3MiB\n")})
	if o := origin(t, c, "engine.kept_bytes"); c.Engine.KeptBytes != 3<<20 || o.From != "config.yaml:2" {
		t.Errorf("%d from %s", c.Engine.KeptBytes, o.From)
	}
}
