// Package term is the home of a terminal session: what the terminal can show,
// its size, the modes it is put into, and what is drawn on it.
//
// A Session is the same for the terminal of this process and for one at the
// other end of a connection. Between Enter and Leave it shows the alternate
// screen; Leave gives back what was there before, from any goroutine and in any
// state of the terminal. A Screen draws frames in a session. It keeps the newest
// frame only, writes what differs, and rests when nothing does. Guard adds a
// second process for the terminal of this one, which restores it and tells the
// trace if this process can do neither any more.
//
// A terminal that takes no bytes keeps nobody waiting but the goroutine of its
// own Screen. The package never reads what is typed, never asks the terminal
// anything, and never imports Bubble Tea: package background says why.
package term

import _ "github.com/caiatech/caiatop/tui/term/background" // before Bubble Tea asks the terminal
