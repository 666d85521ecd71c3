package background

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
	const (
		bubbletea = "github.com/charmbracelet/bubbletea"
		lipgloss  = "github.com/charmbracelet/lipgloss"
	)
	needs := func(path string) map[string]bool {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", path).CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, out)
		}
		found := map[string]bool{}
		for dep := range strings.FieldsSeq(string(out)) {
			found[dep] = true
		}
		return found
	}
	const self = "github.com/caiatech/caiatop/tui/term/background"
	ready := needs(lipgloss)
	for dep := range needs(".") {
		if dep != self && !ready[dep] {
			t.Errorf("imports %s beside lipgloss: it may not be ready before Bubble Tea is", dep)
		}
	}
	if !needs(bubbletea)[lipgloss] {
		t.Error("Bubble Tea does not need lipgloss any more: nothing says which of the two is ready first")
	}
	if self >= bubbletea {
		t.Errorf("import path %q sorts after %q", self, bubbletea)
	}
}
