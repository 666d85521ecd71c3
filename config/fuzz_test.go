package config

import (
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
	f.Add([]byte("http:\n  hosts: &h [a, *h]\n  addr: 0.0.0.0:1\n"))
	f.Add([]byte("a: 1\na: 2\nphase: [1]\n\tx\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		found := parseFile("/x/config.yaml", data)
		if len(found.mistakes) > maxMistakes {
			t.Fatalf("%d mistakes", len(found.mistakes))
		}
		for _, e := range found.mistakes {
			if e.Problem == "" || e.Fix == "" || !strings.Contains(e.Origin, "config.yaml") {
				t.Fatalf("incomplete: %#v", e)
			}
			if strings.ContainsFunc(e.Error(), func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Fatalf("not one printable line: %q", e)
			}
		}
	})
}
