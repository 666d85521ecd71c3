// Package background settles one question before anybody asks the terminal for
// it: the background is dark.
//
// Bubble Tea's own init otherwise writes a colour query (OSC 11) to the
// terminal and waits up to five seconds for an answer that some terminals,
// multiplexers and scripted clients never give; it swallows the keys typed
// meanwhile, and every command of the binary pays for it. Go initialises
// packages that do not depend on each other in the order of their import
// paths, and the path of this one sorts before Bubble Tea's. What it imports has
// to be ready before Bubble Tea, so it imports lipgloss and nothing else.
//
// The package never reads from or writes to a terminal.
package background

import "github.com/charmbracelet/lipgloss"

func init() {
	lipgloss.SetHasDarkBackground(true)
}
