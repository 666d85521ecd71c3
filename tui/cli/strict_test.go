package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// TestHelpForNothingSucceeds: so did a completion for no shell, and one argument
// too many for it was a fault of caiatop.
func TestHelpForNothingSucceeds(t *testing.T) {
	l, _ := newLocal(t, false)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"help nosuch", ExitUsage, `there is no command "nosuch"`},
		{"help status nosuch", ExitUsage, `there is no command "status nosuch"`},
		{"help", ExitOK, "Available Commands"},
		{"help config check", ExitOK, "caiatop config check [FILE]"},
		{"completion", ExitUsage, "say for which shell"},
		{"completion nosuch", ExitUsage, `completion: there is no command "nosuch"`},
		{"completion bash extra", ExitUsage, `"extra" is one argument too many`},
		{"completion bash", ExitOK, "__start_caiatop"},
		{"completion zsh", ExitOK, "#compdef caiatop"},
		{"completion --help", ExitOK, "zsh"},
	} {
		if code, said := runOn(t, l, strings.Fields(c.args)...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit code %d: %.300s", c.args, code, said)
		}
	}
}

// TestImportOfAFileSaysNothingOfPut: it was a fault of reading, without advice.
func TestImportOfAFileSaysNothingOfPut(t *testing.T) {
	l, _ := newLocal(t, false)
	file := filepath.Join(t.TempDir(), "one")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := runOn(t, l, "import", file); code != ExitIO || !strings.Contains(said, "caiatop put --id ID FILE") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestAURLWithAQueryIsAsked at another path than that of the engine.
func TestAURLWithAQueryIsAsked(t *testing.T) {
	l, _ := newLocal(t, false)
	for _, address := range []string{"http://127.0.0.1:1/?x", "http://127.0.0.1:1/#x", "127.0.0.1:1", "ftp://127.0.0.1:1"} {
		if code, said := runOn(t, l, "healthcheck", "--url", address); code != ExitUsage {
			t.Errorf("%s: exit code %d: %s", address, code, said)
		}
	}
}

// TestAnUnknownVersionIsLookedForAmongIDs: the advice was that of a document
// which is not there.
func TestAnUnknownVersionIsLookedForAmongIDs(t *testing.T) {
	l, host := newLocal(t, false)
	putWith(t, host.Engine, "one", "")
	for name, err := range map[string]error{
		"get":     errOf(l.GetAt(t.Context(), "a", "HEAD")),
		"restore": errOf(l.Restore(t.Context(), "a", strings.Repeat("0", 40), "")),
	} {
		var told *httpapi.Error
		if !errors.As(err, &told) || told.Code != "not_found" || told.Fix != "list its versions with: caiatop history a" {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

// TestDeepMetadataStopsGit: 18 kB of brackets made a file of 162 MB, which git
// does not take; nothing that was written after it reached git.
func TestDeepMetadataStopsGit(t *testing.T) {
	l, _ := newLocal(t, false)
	put := func(id string, metadata map[string]json.RawMessage) error {
		_, err := l.Put(t.Context(), []httpapi.Document{{ID: id, Type: "t", Metadata: metadata}})
		return err
	}
	nested := func(depth int) json.RawMessage {
		return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
	}
	if err := put("deep", map[string]json.RawMessage{"a": nested(9000)}); !errors.Is(err, httpapi.ErrTooLarge) {
		t.Errorf("deep: %v", err)
	}
	wide := map[string]json.RawMessage{}
	for i := range 10 {
		wide[fmt.Sprint(i)] = nested(900)
	}
	if err := put("wide", wide); err != nil {
		t.Errorf("wide: %v", err)
	}
	for id, metadata := range map[string]json.RawMessage{
		"nested": nested(500), "text": json.RawMessage(`"` + strings.Repeat(`\"[{,`, 100_000) + `"`),
		"list": json.RawMessage("[1" + strings.Repeat(",1", 400_000) + "]"),
	} {
		if err := put(id, map[string]json.RawMessage{"a": metadata}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := l.Sync(t.Context()); err != nil {
		t.Error(err)
	}
}
