package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/config"
)

// env is an environment for tests, with a HOME unless it says otherwise.
func env(vars map[string]string) config.Env {
	return func(name string) (string, bool) {
		if v, ok := vars[name]; ok {
			return v, true
		}
		if name == "HOME" {
			return "/home/ann", true
		}
		return "", false
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, in config.Input) config.Config {
	t.Helper()
	c, err := config.Load(in)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func origin(t *testing.T, c config.Config, key string) config.Origin {
	t.Helper()
	for _, o := range c.Origins() {
		if o.Key == key {
			return o
		}
	}
	t.Fatalf("no origin of %q", key)
	return config.Origin{}
}

func TestDefaults(t *testing.T) {
	c := load(t, config.Input{Env: env(nil)})
	if !c.IsEmbedded() || c.Govc.Token.IsSet() || c.Govc.APIKey.IsSet() || c.Govc.Repo != "caia-documents" ||
		c.Govc.Timeout != 30*time.Second || c.Govc.TimeoutSet || c.Phase != config.PhaseDual || c.Layout != config.LayoutFanOut ||
		c.State.Dir != "/home/ann/.local/state/caiatop" || c.Embedded.Port != 0 || c.Gitrepo.Cache != 64<<20 || c.File != "" {
		t.Errorf("defaults: %+v", c)
	}
	var keys []string
	for _, o := range c.Origins() {
		keys = append(keys, o.Key)
		if o.From != "default" || o.Help == "" {
			t.Errorf("origin of %s: %+v", o.Key, o)
		}
	}
	if !slices.Equal(keys, config.Keys()) {
		t.Errorf("origins of %q, want %q", keys, config.Keys())
	}
}

// TestPrecedence gives every setting at every place, and takes away the
// strongest one after the other.
func TestPrecedence(t *testing.T) {
	const file = `govc:
  url: http://file.example:1
  token: file-token
  api_key: file-key
  repo: file-repo
  timeout: 1

phase: primary
layout: library
state: {dir: /file}
embedded:
  port: 1001
gitrepo: {cache: 3 MiB}
http:
  addr: 127.0.0.1:1
  token: file-token
  read_token: file-reader
  hosts: [file.example, other]
log: {level: warn}
`
	for _, c := range []struct {
		key, flag, env                  string
		flagValue, envValue             string
		wantFlag, wantEnv, wantFile     string
		line                            int
		wantDefault, flagFrom, fileFrom string
	}{
		{key: "govc.url", flag: "govc-url", flagValue: "http://flag/", wantFlag: "http://flag", env: "GOVC_SERVICE_URL", envValue: "HTTPS://env:2/x/", wantEnv: "https://env:2/x", wantFile: "http://file.example:1", line: 2},
		{key: "govc.token", env: "GOVC_AUTH_TOKEN", envValue: "env-token", wantEnv: "[redacted]", wantFile: "[redacted]", line: 3},
		{key: "govc.api_key", env: "GOVC_API_KEY", envValue: "env-key", wantEnv: "[redacted]", wantFile: "[redacted]", line: 4},
		{key: "govc.repo", flag: "repo", flagValue: "flag-repo", wantFlag: "flag-repo", env: "GOVC_REPO_NAME", envValue: "env-repo", wantEnv: "env-repo", wantFile: "file-repo", line: 5, wantDefault: "caia-documents"},
		{key: "govc.timeout", flag: "timeout", flagValue: "2.5", wantFlag: "2.5s", env: "GOVC_TIMEOUT", envValue: "2m", wantEnv: "2m0s", wantFile: "1s", line: 6, wantDefault: "30s"},
		{key: "phase", flag: "phase", flagValue: "dual", wantFlag: "dual", env: "CAIA_USE_GOVC", envValue: "false", wantEnv: "git-only", wantFile: "primary", line: 8, wantDefault: "dual"},
		{key: "layout", flag: "layout", flagValue: "fanout", wantFlag: "fanout", wantFile: "library", line: 9, wantDefault: "fanout"},
		{key: "state.dir", flag: "state-dir", flagValue: "/flag", wantFlag: "/flag", env: "CAIATOP_STATE_DIR", envValue: "~/env", wantEnv: "/home/ann/env", wantFile: "/file", line: 10, wantDefault: "/home/ann/.local/state/caiatop"},
		{key: "embedded.port", flag: "embedded-port", flagValue: "0", wantFlag: "0", wantFile: "1001", line: 12, wantDefault: "0"},
		{key: "gitrepo.cache", flag: "gitrepo-cache", flagValue: "2048kib", wantFlag: "2MiB", env: "CAIATOP_GITREPO_CACHE", envValue: "1GiB", wantEnv: "1GiB", wantFile: "3MiB", line: 13, wantDefault: "64MiB"},
		{key: "http.addr", flag: "http-addr", flagValue: "localhost:0", wantFlag: "localhost:0", env: "CAIATOP_HTTP_ADDR", envValue: "[::1]:2", wantEnv: "[::1]:2", wantFile: "127.0.0.1:1", line: 15},
		{key: "http.token", env: "CAIATOP_HTTP_TOKEN", envValue: "t", wantEnv: "[redacted]", wantFile: "[redacted]", line: 16},
		{key: "http.read_token", env: "CAIATOP_HTTP_READ_TOKEN", envValue: "r", wantEnv: "[redacted]", wantFile: "[redacted]", line: 17},
		{key: "http.hosts", env: "CAIATOP_HTTP_HOSTS", envValue: "A.example, b", wantEnv: "a.example,b", wantFile: "file.example,other", line: 18},
		{key: "log.level", flag: "log-level", flagValue: "DEBUG", wantFlag: "debug", env: "CAIATOP_LOG_LEVEL", envValue: "error", wantEnv: "error", wantFile: "warn", line: 19, wantDefault: "info"},
	} {
		t.Run(c.key, func(t *testing.T) {
			vars := map[string]string{}
			in := config.Input{Flags: map[string]string{}, Env: env(vars), File: writeFile(t, file)}
			if c.flag != "" {
				in.Flags[c.flag] = c.flagValue
			}
			if c.env != "" {
				vars[c.env] = c.envValue
			}
			check := func(from, value string) {
				t.Helper()
				if o := origin(t, load(t, in), c.key); o.From != from || o.Value != value {
					t.Errorf("%q from %q, want %q from %q", o.Value, o.From, value, from)
				}
			}
			if c.flag != "" {
				check("flag --"+c.flag, c.wantFlag)
				delete(in.Flags, c.flag)
			}
			if c.env != "" {
				check("environment "+c.env, c.wantEnv)
				vars[c.env] = "" // empty is as good as not set
			}
			check("config.yaml:"+strconv.Itoa(c.line), c.wantFile)
			in.File = writeFile(t, "# nothing\n")
			check("default", c.wantDefault)
		})
	}
}

// TestValuesReachTheConfig: what Origins shows is what the fields hold.
func TestValuesReachTheConfig(t *testing.T) {
	c := load(t, config.Input{
		Flags: map[string]string{"govc-url": "http://h:8080", "repo": "r", "timeout": "0.1", "embedded-port": "65535"},
		Env:   env(map[string]string{"GOVC_AUTH_TOKEN": "t0ken", "GOVC_API_KEY": "k3y", "CAIA_USE_GOVC": "YES", "XDG_STATE_HOME": "/xdg"}),
	})
	if c.Govc.URL != "http://h:8080" || c.IsEmbedded() || c.Govc.Repo != "r" || c.Govc.Timeout != 100*time.Millisecond || !c.Govc.TimeoutSet ||
		c.Embedded.Port != 65535 || c.Govc.Token.Reveal() != "t0ken" || c.Govc.APIKey.Reveal() != "k3y" || c.Phase != config.PhasePrimary ||
		c.State.Dir != "/xdg/caiatop" || c.StatePath() != "/xdg/caiatop/h-8080/r" {
		t.Errorf("config: %+v, state path %s", c, c.StatePath())
	}
}

func TestEmptyFlagIsAValue(t *testing.T) {
	in := config.Input{Flags: map[string]string{"govc-url": ""}, Env: env(map[string]string{"GOVC_SERVICE_URL": "http://h"})}
	if c := load(t, in); !c.IsEmbedded() || origin(t, c, "govc.url").From != "flag --govc-url" {
		t.Errorf("an empty --govc-url does not ask for the embedded service: %+v", origin(t, c, "govc.url"))
	}
}

func TestBadValues(t *testing.T) {
	long := strings.Repeat("r", config.MaxRepo)
	for _, c := range []struct {
		flag, value string
		says        string // "" for a good value
	}{
		{"repo", "a", ""},
		{"repo", long, ""},
		{"repo", long + "r", "65 bytes"},
		{"repo", "", "is no name"},
		{"repo", "-a", "is no name"},
		{"repo", "a/b", "is no name"},
		{"repo", "a\n", `"a\n" is no name`},
		{"repo", "é", "is no name"},
		{"repo", "metrics", "metrics"},
		{"timeout", "100ms", ""},
		{"timeout", "10m", ""},
		{"timeout", "600", ""},
		{"timeout", "99ms", "out of range"},
		{"timeout", "600.1", "out of range"},
		{"timeout", "10m1ns", "out of range"},
		{"timeout", "-1s", "out of range"},
		{"timeout", "0", "out of range"},
		{"timeout", "inf", "not a duration"},
		{"timeout", "NaN", "not a duration"},
		{"timeout", "1e3", "not a duration"},
		{"timeout", "0x10", "not a duration"},
		{"timeout", "", "not a duration"},
		{"timeout", "30 s", "not a duration"},
		{"phase", "git-only", ""},
		{"phase", "true", "is no phase"},
		{"phase", "", "is no phase"},
		{"layout", "Library", "is no layout"},
		{"embedded-port", "65535", ""},
		{"embedded-port", "65536", "is no port"},
		{"embedded-port", "-1", "is no port"},
		{"embedded-port", "http", "is no port"},
		{"gitrepo-cache", "1MiB", ""},
		{"gitrepo-cache", "1048576", ""},
		{"gitrepo-cache", "64GiB", ""},
		{"gitrepo-cache", "1048575", "out of range"},
		{"gitrepo-cache", "0", "out of range"},
		{"gitrepo-cache", "68719476737B", "out of range"},
		{"gitrepo-cache", "", "is no size"},
		{"gitrepo-cache", "-64MiB", "is no size"},
		{"gitrepo-cache", "64M", "unit is not known"},
		{"gitrepo-cache", "99999999TiB", "more than any size"},
		{"state-dir", "", "is empty"},
		{"state-dir", "/a\x00b", `"/a\x00b"`},
		{"http-addr", "", ""},
		{"http-addr", "127.0.0.1:0", ""},
		{"http-addr", "127.255.0.1:65535", ""},
		{"http-addr", "[::1]:80", ""},
		{"http-addr", "[::ffff:127.0.0.1]:80", ""},
		{"http-addr", "LocalHost:80", ""},
		{"http-addr", ":80", "no token is set"},
		{"http-addr", "0.0.0.0:80", "no token is set"},
		{"http-addr", "[::]:80", "no token is set"},
		{"http-addr", "10.0.0.1:80", "no token is set"},
		{"http-addr", "host.example:80", "no token is set"},
		{"http-addr", "localhost.example:80", "no token is set"},
		{"http-addr", "127.0.0.1", "is not host:port"},
		{"http-addr", "::1:80", "is not host:port"},
		{"http-addr", "127.0.0.1:", "port"},
		{"http-addr", "127.0.0.1:65536", "port"},
		{"http-addr", "127.0.0.1:http", "port"},
		{"http-addr", "http://127.0.0.1:80", "is not host:port"},
		{"http-addr", "a b:80", "neither a name nor an address"},
		{"http-addr", "a\x1b:80", "neither a name nor an address"},
		{"http-addr", strings.Repeat("a", 254) + ":80", "neither a name nor an address"},
		{"log-level", "warning", "is no level"},
		{"log-level", "INFO+1", "is no level"},
		{"log-level", "", "is no level"},
		{"govc-url", "http://[::1]:80/govc", ""},
		{"govc-url", "http://h:65535", ""},
		{"govc-url", "http://h:65536", "port"},
		{"govc-url", "http://h:0", "port"},
		{"govc-url", "http://h:", ""},
		{"govc-url", "h:80", "does not begin with"},
		{"govc-url", "localhost", "does not begin with"},
		{"govc-url", "ftp://h", "does not begin with"},
		{"govc-url", "http://", "names no host"},
		{"govc-url", "http://:80", "names no host"},
		{"govc-url", "http:h", "names no host"},
		{"govc-url", "http://ann:hunter2@h", "put credentials into GOVC_AUTH_TOKEN"},
		{"govc-url", "http://hunter2@h", "put credentials into GOVC_AUTH_TOKEN"},
		{"govc-url", "http://h?token=hunter2", "query"},
		{"govc-url", "http://h?", "query"},
		{"govc-url", "http://h#hunter2", "fragment"},
		{"govc-url", "http://hunter2\x1b[31m", "not a URL"},
		{"govc-url", "http://ann:hunter2%@h", "not a URL"},
	} {
		_, err := config.Load(config.Input{Flags: map[string]string{c.flag: c.value}, Env: env(nil)})
		if c.says == "" {
			if err != nil {
				t.Errorf("--%s %q: %v", c.flag, c.value, err)
			}
			continue
		}
		var e *config.Error
		if !errors.As(err, &e) {
			t.Errorf("--%s %q: %v, want a config.Error", c.flag, c.value, err)
			continue
		}
		if e.Key == "" || e.Fix == "" || e.Origin != "flag --"+c.flag || !strings.Contains(err.Error(), c.says) {
			t.Errorf("--%s %q: %q does not say %q, or lacks key, origin or fix", c.flag, c.value, err, c.says)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("--%s: the error repeats a credential: %v", c.flag, err)
		}
	}
}

func TestUseGovc(t *testing.T) {
	for value, want := range map[string]config.Phase{
		"1": config.PhasePrimary, "true": config.PhasePrimary, "True": config.PhasePrimary, "yes": config.PhasePrimary, "on": config.PhasePrimary,
		"0": config.PhaseGitOnly, "false": config.PhaseGitOnly, "no": config.PhaseGitOnly, "OFF": config.PhaseGitOnly, "": config.PhaseDual,
	} {
		if c := load(t, config.Input{Env: env(map[string]string{"CAIA_USE_GOVC": value})}); c.Phase != want {
			t.Errorf("CAIA_USE_GOVC=%q: phase %q, want %q", value, c.Phase, want)
		}
	}
	_, err := config.Load(config.Input{Env: env(map[string]string{"CAIA_USE_GOVC": "dual"})})
	if err == nil || !strings.Contains(err.Error(), "phase (environment CAIA_USE_GOVC)") {
		t.Errorf("CAIA_USE_GOVC=dual: %v", err)
	}
}

func TestUnknownNames(t *testing.T) {
	load(t, config.Input{Env: env(map[string]string{"GOVC_INSECURE": "1", "CAIATOP_FOO": "bar"})})
	_, err := config.Load(config.Input{Flags: map[string]string{"repos": "x"}, Env: env(nil)})
	if err == nil || !strings.Contains(err.Error(), `flag --repos: there is no such setting; did you mean "repo"?`) {
		t.Errorf("unknown flag: %v", err)
	}
	if _, err := config.Load(config.Input{Flags: map[string]string{"": "x"}, Env: env(nil)}); err == nil {
		t.Error("a flag without a name is accepted")
	}
	for _, f := range config.Flags() {
		if strings.Contains(f.Name, "token") || strings.Contains(f.Name, "key") {
			t.Errorf("a secret can be given on the command line: --%s", f.Name)
		}
	}
}

func TestHome(t *testing.T) {
	none := map[string]string{"HOME": ""}
	_, err := config.Load(config.Input{Env: env(none)})
	var e *config.Error
	if !errors.As(err, &e) || e.Key != "state.dir" || !strings.Contains(err.Error(), "HOME") {
		t.Errorf("without HOME: %v", err)
	}
	if _, err := config.Load(config.Input{}); !errors.As(err, &e) {
		t.Errorf("without an environment: %v", err)
	}
	load(t, config.Input{Env: env(none), Flags: map[string]string{"state-dir": "/s"}})
	load(t, config.Input{Env: env(map[string]string{"HOME": "", "XDG_STATE_HOME": "/s"})})
	_, err = config.Load(config.Input{Env: env(none), Flags: map[string]string{"state-dir": "~/s"}})
	if err == nil || !strings.Contains(err.Error(), "HOME is not set") {
		t.Errorf("~ without HOME: %v", err)
	}
	_, err = config.Load(config.Input{Env: env(map[string]string{"HOME": "here"})})
	if err == nil || !strings.Contains(err.Error(), `HOME is "here", which is no absolute path`) {
		t.Errorf("a relative HOME: %v", err)
	}
	// It was told as not set.
	_, err = config.Load(config.Input{Env: env(map[string]string{"HOME": "here"}), Flags: map[string]string{"state-dir": "~/s"}})
	if err == nil || !strings.Contains(err.Error(), `~ means nothing because HOME is "here", which is no absolute path`) {
		t.Errorf("~ with a relative HOME: %v", err)
	}
	// The XDG specification has relative paths ignored.
	c := load(t, config.Input{Env: env(map[string]string{"XDG_STATE_HOME": "relative"})})
	if c.State.Dir != "/home/ann/.local/state/caiatop" {
		t.Errorf("a relative XDG_STATE_HOME was used: %s", c.State.Dir)
	}
	c = load(t, config.Input{Env: env(nil), Flags: map[string]string{"state-dir": "here"}})
	if !filepath.IsAbs(c.State.Dir) || filepath.Base(c.State.Dir) != "here" {
		t.Errorf("--state-dir here became %q", c.State.Dir)
	}
}

// TestErrorsAreOneLine: whatever the value, the error is one printable line and
// repeats no secret.
func TestErrorsAreOneLine(t *testing.T) {
	names := []string{"GOVC_SERVICE_URL", "GOVC_AUTH_TOKEN", "GOVC_API_KEY", "GOVC_REPO_NAME", "GOVC_TIMEOUT", "CAIA_USE_GOVC", "CAIATOP_STATE_DIR", "CAIATOP_GITREPO_CACHE", "CAIATOP_HTTP_ADDR", "CAIATOP_HTTP_TOKEN", "CAIATOP_HTTP_HOSTS", "CAIATOP_LOG_LEVEL"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "variable")
		value := string(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "value"))
		_, err := config.Load(config.Input{Env: env(map[string]string{name: value})})
		if err == nil {
			return
		}
		said := err.Error()
		if strings.ContainsFunc(said, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Fatalf("not one printable line: %q", said)
		}
		if !strings.Contains(said, name) {
			t.Fatalf("%q does not name %s", said, name)
		}
		if len(value) > 8 && strings.Contains(name, "_KEY") && strings.Contains(said, value[:8]) {
			t.Fatalf("%q repeats a secret", said)
		}
	})
}

func TestSecretLimits(t *testing.T) {
	for name, c := range map[string]struct {
		token string
		good  bool
	}{
		"at the limit": {strings.Repeat("t", config.MaxSecret), true},
		"one past it":  {strings.Repeat("t", config.MaxSecret+1), false},
		"line end":     {"hunter2\n", false},
		"space":        {"Bearer hunter2", false},
		"header":       {"hunter2\r\nX-Evil: 1", false},
		"not ASCII":    {"hunter2é", false},
	} {
		_, err := config.Load(config.Input{Env: env(map[string]string{"GOVC_AUTH_TOKEN": c.token})})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ttt")) {
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
}
