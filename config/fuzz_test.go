package config

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

// FuzzFile: no file makes the parser panic, and what it says of one is a
// single printable line.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "phase: dual\n", "govc: {url: http://h, timeout: 3}\n", "govc:\n  token: &a b\n  api_key: *a\n", "a: &a [*a]\n",
		"govc: &g\n  repo: r\nstate: *g\n", "<<: {phase: dual}\n", "- 1\n", "? {a: b}\n: c\n", "%YAML 1.1\n---\n...\n---\n", "\"\\e\": 1\n", "govc: &a {govc: *a}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := parseFile("/x/config.yaml", data)
		var e *Error
		if err == nil {
			return
		}
		if !errors.As(err, &e) || e.Problem == "" {
			t.Fatalf("not a config.Error: %v", err)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Fatalf("not one printable line: %q", err)
		}
	})
}
