package govcd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// codes finds the codes of refusals in the sources: they stand in calls of fail
// and invalid, in fields Code and in constants.
var codes = regexp.MustCompile(`(?:fail\([\w.]+, |invalid\(|[Cc]ode\w*:? =? ?)"([A-Z][A-Z_]{3,})"`)

// TestTheWireIsDocumented: docs/wire.md names every route, capability, code and
// header of this service.
func TestTheWireIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, r := range newService(t, Options{}).routes() {
		if line := "| " + r.method + " `" + r.pattern + "` |"; !strings.Contains(text, line) {
			t.Errorf("there is no row %s", line)
		}
	}
	for _, name := range capabilities {
		if !strings.Contains(text, "| `"+name+"` |") {
			t.Errorf("the capability %s has no row", name)
		}
	}
	for _, header := range []string{
		headerStage, headerKey, headerReplayed, "If-Match", "If-None-Match", "ETag", "Last-Event-ID", "Retry-After", "WWW-Authenticate",
		"Content-Encoding", "Authorization", "X-API-Key", "Git-Protocol",
	} {
		if !strings.Contains(text, "| `"+header+"` |") {
			t.Errorf("the header %s has no row", header)
		}
	}
	files, err := filepath.Glob("*.go")
	if more, moreErr := filepath.Glob("githttp/*.go"); err == nil && moreErr == nil {
		files = append(files, more...)
	} else {
		t.Fatal(err, moreErr)
	}
	found := map[string]bool{"UNAUTHORIZED": true, "RATE_LIMITED": true, "FORBIDDEN": true}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range codes.FindAllStringSubmatch(string(source), -1) {
			found[m[1]] = true
		}
	}
	for code := range found {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("the code %s is not named", code)
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d codes were found", len(found))
	}
}
