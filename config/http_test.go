package config_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/config"
)

// TestHTTP: an address is off by default, which is not the same as asked to be
// off, and one that all machines reach has a token.
func TestHTTP(t *testing.T) {
	if h := load(t, config.Input{Env: env(nil)}).HTTP; h.Addr != "" || h.AddrSet || h.Hosts != nil {
		t.Errorf("defaults: %+v", h)
	}
	if h := load(t, config.Input{Env: env(nil), Flags: map[string]string{"http-addr": ""}}).HTTP; h.Addr != "" || !h.AddrSet {
		t.Errorf("off: %+v", h)
	}
	c := load(t, config.Input{
		Env:  env(map[string]string{"CAIATOP_HTTP_ADDR": ":80", "CAIATOP_HTTP_TOKEN": "t0ken-0123456789", "CAIATOP_HTTP_READ_TOKEN": "r3ad-0123456789x"}),
		File: writeFile(t, "http: {hosts: [a, B]}\n"), Flags: map[string]string{"log-level": "warn"},
	})
	if c.HTTP.Addr != ":80" || c.HTTP.Token.Reveal() != "t0ken-0123456789" || c.HTTP.ReadToken.Reveal() != "r3ad-0123456789x" || !slices.Equal(c.HTTP.Hosts, []string{"a", "b"}) || c.Log.Level != slog.LevelWarn {
		t.Errorf("%+v %+v", c.HTTP, c.Log)
	}
	many := strings.TrimSuffix(strings.Repeat("h,", config.MaxHosts), ",")
	load(t, config.Input{Env: env(map[string]string{"CAIATOP_HTTP_HOSTS": many})})
	if _, err := config.Load(config.Input{Env: env(map[string]string{"CAIATOP_HTTP_HOSTS": many + ",h"})}); err == nil {
		t.Error("one host too many is accepted")
	}
}

// TestATokenOfOneLetterIsEnough: for an address that other machines reach it is
// as good as none.
func TestATokenOfOneLetterIsEnough(t *testing.T) {
	long, short := strings.Repeat("t", config.MinRemoteToken), strings.Repeat("s", config.MinRemoteToken-1)
	for _, c := range []struct{ addr, token, read, wrong string }{
		{"0.0.0.0:80", short, "", "http.token"},
		{"0.0.0.0:80", long, short, "http.read_token"},
		{"0.0.0.0:80", long, "", ""},
		{"0.0.0.0:80", long, long + "r", ""},
		{"127.0.0.1:80", "t", "r", ""},
		{"", "t", "", ""},
	} {
		mistakes := config.Check(config.Input{Env: env(map[string]string{
			"CAIATOP_HTTP_ADDR": c.addr, "CAIATOP_HTTP_TOKEN": c.token, "CAIATOP_HTTP_READ_TOKEN": c.read, "CAIATOP_STATE_DIR": "/s",
		})})
		switch {
		case c.wrong == "" && len(mistakes) == 0:
		case len(mistakes) != 1 || mistakes[0].Key != c.wrong || !strings.Contains(mistakes[0].Fix, "openssl") || strings.Contains(mistakes[0].Error(), short):
			t.Errorf("%+v: %v", c, mistakes)
		}
	}
}

func TestStatePath(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct{ url, want string }{
		{"", "/s/embedded/r"},
		{"http://h", "/s/h-80/r"},
		{"https://h", "/s/h-443/r"},
		{"http://H2:8080", "/s/h2-8080/r"},
		{"http://embedded", "/s/embedded-80/r"},
		{"http://[::1]:8080", "/s/%3A%3A1-8080/r"},
		{"http://h/govc", "/s/h-80%2Fgovc/r"},
		{"http://h/..", "/s/h-80%2F../r"},
		{"http://h/a%2Fb", "/s/h-80%2Fa%252Fb/r"},
		{"http://h/a/b", "/s/h-80%2Fa%2Fb/r"},
	} {
		got := load(t, config.Input{Env: env(nil), Flags: map[string]string{"govc-url": c.url, "state-dir": "/s", "repo": "r"}}).StatePath()
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.url, got, c.want)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%q and %q share %q", c.url, other, got)
		}
		seen[got] = c.url
	}
	for _, end := range []string{"a", "b"} {
		path := config.Config{Govc: config.Govc{URL: "http://h/" + strings.Repeat("x", 300) + end, Repo: "r"}, State: config.State{Dir: "/s"}}.StatePath()
		segment := strings.Split(path, "/")[2]
		if len(segment) > 255 || seen[segment] != "" {
			t.Errorf("a long URL gives the folder %q of %d bytes", segment, len(segment))
		}
		seen[segment] = end
	}
}
