package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/caiatech/caiatop/config"
)

// TestSecretIsNeverShown prints, logs and encodes a secret in every way that a
// hurried programmer might.
func TestSecretIsNeverShown(t *testing.T) {
	const value = "hunter2"
	s := config.NewSecret(value)
	c := load(t, config.Input{Env: env(map[string]string{"GOVC_AUTH_TOKEN": value, "GOVC_API_KEY": value})})
	type hidden struct{ secret config.Secret }
	type open struct{ Secret config.Secret }
	shown := map[string]string{"String": s.String(), "GoString": s.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
		shown[verb] = fmt.Sprintf(verb, s)
		shown[verb+" of a pointer"] = fmt.Sprintf(verb, &s)
		shown[verb+" of a struct"] = fmt.Sprintf(verb, open{s})
		shown[verb+" of a hidden field"] = fmt.Sprintf(verb, hidden{s})
		shown[verb+" of a slice"] = fmt.Sprintf(verb, []config.Secret{s})
		shown[verb+" of the config"] = fmt.Sprintf(verb, c)
	}
	shown["origins"] = fmt.Sprintf("%#v", c.Origins())
	shown["error"] = fmt.Errorf("token %w", fmt.Errorf("%v", s)).Error()
	for name, marshal := range map[string]func(any) ([]byte, error){
		"json": json.Marshal, "yaml": yaml.Marshal, "xml": xml.Marshal,
	} {
		out, err := marshal(open{s})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown[name] = string(out)
		if !strings.Contains(string(out), "[redacted]") {
			t.Errorf("%s: %s does not say [redacted]", name, out)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "config", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "config", c)
	shown["slog"] = log.String()
	hex := fmt.Sprintf("%x", value)
	for name, out := range shown {
		if strings.Contains(out, value) || strings.Contains(strings.ToLower(out), hex) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	for _, name := range []string{"String", "GoString", "%v", "%#v", "%q", "%x", "%d"} {
		if shown[name] != "[redacted]" {
			t.Errorf("%s = %q, want [redacted]", name, shown[name])
		}
	}
	if s.Reveal() != value || !s.IsSet() {
		t.Errorf("Reveal() = %q, IsSet() = %v", s.Reveal(), s.IsSet())
	}
	if empty := config.NewSecret(""); empty.IsSet() || empty.Reveal() != "" || empty.String() != "[redacted]" {
		t.Error("an empty secret counts as set, or shows that it is empty")
	}
}
