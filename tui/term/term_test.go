package term

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
)

func TestBackgroundIsSettled(t *testing.T) {
	if !lipgloss.HasDarkBackground() {
		t.Fatal("the background is not known to be dark")
	}
}

func TestInitRunsBeforeBubbleTea(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	const bubbletea = "github.com/charmbracelet/bubbletea"
	self := ""
	for path := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(path, bubbletea) {
			t.Errorf("imports %s: its init would run first", path)
		}
		self = path // the last line is the package itself
	}
	if self >= bubbletea {
		t.Errorf("import path %q sorts after %q", self, bubbletea)
	}
}
