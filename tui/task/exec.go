package task

import (
	"os/exec"

	tea "github.com/charmbracelet/bubbletea"
)

// Exec returns a command that gives the terminal of the session to c, an
// editor for example, until c has ended. The message of done, which is told how
// c ended, follows. Only a session on the terminal of this process has one: over
// a connection no program may be run.
type Exec func(c *exec.Cmd, done func(error) tea.Msg) tea.Cmd
