package fault

// Mode is what happens to connections. The zero value is Pass. Modes that need
// a measure take it as an argument of their function.
type Mode struct{ kind kind }

type kind uint8

const (
	kindPass kind = iota
	kindDown
	kindReset
)

// Pass carries every byte as it is.
func Pass() Mode { return Mode{kindPass} }

// Down refuses new connections, as a machine does on which nothing listens,
// and ends those that there are.
func Down() Mode { return Mode{kindDown} }

// Reset accepts new connections and resets them, and resets those that there
// are, as a process does that dies with requests unread.
func Reset() Mode { return Mode{kindReset} }

// String names the mode: "pass", "down", "reset".
func (m Mode) String() string {
	switch m.kind {
	case kindDown:
		return "down"
	case kindReset:
		return "reset"
	default:
		return "pass"
	}
}

// listens reports whether a connection can be made at all.
func (m Mode) listens() bool { return m.kind != kindDown }

// carries reports whether connections carry anything.
func (m Mode) carries() bool { return m.kind == kindPass }

// resets reports whether connections end with a reset instead of an end.
func (m Mode) resets() bool { return m.kind == kindReset }
