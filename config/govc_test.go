package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/config"
)

// TestGovcCredentials: all of them reach the config, from where they were given,
// and secrets are not shown.
func TestGovcCredentials(t *testing.T) {
	file := writeFile(t, `govc:
  url: https://h
  user: ann
  password: hunter2 two
  ca: ~/ca.pem
  cert: /c.pem
  key: /k.pem
  server_name: Docs.Example
  insecure: true
  allow_insecure: "TRUE"
`)
	c := load(t, config.Input{Env: env(map[string]string{"HOME": "/home/ann"}), File: file})
	g := c.Govc
	if g.User != "ann" || g.Password.Reveal() != "hunter2 two" || g.CA != "/home/ann/ca.pem" || g.Cert != "/c.pem" || g.Key != "/k.pem" || g.ServerName != "docs.example" || !g.Insecure || !g.AllowInsecure {
		t.Errorf("%+v", g)
	}
	for line, key := range []string{"user", "password", "ca", "cert", "key", "server_name", "insecure", "allow_insecure"} {
		o := origin(t, c, "govc."+key)
		if o.From != fmt.Sprint("config.yaml:", line+3) || o.Help == "" || strings.Contains(o.Value, "hunter2") {
			t.Errorf("%+v", o)
		}
	}
	c = load(t, config.Input{File: file, Env: env(map[string]string{
		"GOVC_USERNAME": "bob", "GOVC_PASSWORD": "p", "GOVC_CA_FILE": "/e1", "GOVC_CERT_FILE": "/e2", "GOVC_KEY_FILE": "/e3", "GOVC_SERVER_NAME": "e4",
		"GOVC_INSECURE": "0", "GOVC_ALLOW_INSECURE": "0", // others' variables
	})})
	if g := c.Govc; g.User != "bob" || g.Password.Reveal() != "p" || g.CA != "/e1" || g.Cert != "/e2" || g.Key != "/e3" || g.ServerName != "e4" || !g.Insecure {
		t.Errorf("%+v", g)
	}
}

// TestGovcMistakes: each names the key, and what to do.
func TestGovcMistakes(t *testing.T) {
	long := strings.Repeat("u", config.MaxUser)
	for _, c := range []struct{ file, key, says string }{
		{"user: u\n  password: p", "", ""},
		{"user: " + long + "\n  password: p", "", ""},
		{"user: " + long + "u\n  password: p", "user", "257 bytes"},
		{"user: \"a\\nb\"\n  password: p", "user", "control character"},
		{"user: u\n  password: \"p\\n\"", "password", "control character"},
		{"user: u", "user", "without govc.password"},
		{"password: p", "password", "without govc.user"},
		{"cert: /c", "cert", "without govc.key"},
		{"key: /k", "key", "without govc.cert"},
		{"insecure: true", "insecure", "govc.allow_insecure"},
		{"allow_insecure: true", "", ""},
		{"insecure: true\n  allow_insecure: true", "", ""},
		{"insecure: yes", "insecure", "neither true nor false"},
		{"url: http://h\n  insecure: true\n  allow_insecure: true", "insecure", "nothing is encrypted"},
		{"url: http://h\n  ca: /c", "ca", "nothing is encrypted"},
		{"url: http://h\n  cert: /c\n  key: /k", "cert", "nothing is encrypted"},
		{"url: http://h\n  server_name: n", "server_name", "nothing is encrypted"},
		{"url: https://h\n  server_name: n", "", ""},
		{"server_name: https://n", "server_name", "no name of a host"},
		{"server_name: n:443", "server_name", "no name of a host"},
		{"ca: \"a\\tb\"", "ca", "control character"},
	} {
		_, err := config.Load(config.Input{Env: env(map[string]string{"HOME": "/home/ann"}), File: writeFile(t, "govc:\n  "+c.file+"\n")})
		if c.says == "" {
			if err != nil {
				t.Errorf("%q: %v", c.file, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "govc."+c.key+" (config.yaml:") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q about govc.%s", c.file, err, c.says, c.key)
		}
	}
}
