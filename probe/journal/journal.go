// Package journal keeps what happened: events of the engine and records of the
// log in one ring, newest last, for whoever shows or serves them, and in a log
// file.
//
// Entries are numbered from 1 on as long as the process runs. The ring has a
// limit, and so has every entry; what leaves it is gone here, and is still in
// the state file or in the log file, as far as those keep it. Adding an entry
// never waits for a file. The package never writes to a terminal.
package journal

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Keep is how many entries a journal holds; the oldest go first.
const Keep = 10_000

// The longest texts of an entry, in bytes; what is longer is cut and ends in
// "…".
const (
	MaxText = 4096
	MaxNext = 512
	MaxKind = 32
)

// Level grades an entry.
type Level string

// The levels, lowest first.
const (
	Info    Level = "info"
	Warning Level = "warning"
	Error   Level = "error"
)

// rank orders levels; one that is unknown is taken for Info.
func (l Level) rank() int { return max(slices.Index([]Level{Info, Warning, Error}, l), 0) }

// AtLeast reports whether l is as grave as other.
func (l Level) AtLeast(other Level) bool { return l.rank() >= other.rank() }

// Entry is something that happened and that an operator may want to know.
type Entry struct {
	Seq   uint64 // given by the journal, rising without gaps
	At    time.Time
	Level Level
	// Kind is one word: "state", "replay", "reseed", "conflict", "parked",
	// "missing", "slow", "job", "drill", "log", ...
	Kind string
	Text string // a sentence; unsanitised where it quotes others
	Next string // what to do, a sentence; "" if nothing

	// logged says that it came from the log, whose file has it already.
	logged bool
}

// Journal is a ring of entries. It is safe for concurrent use.
type Journal struct {
	keep    int // Keep, but in tests
	mu      sync.Mutex
	entries []Entry // oldest first, fewer than twice keep
	newest  uint64
	added   chan struct{} // closed and replaced with every entry
}

// New returns an empty journal.
func New() *Journal { return &Journal{keep: Keep, added: make(chan struct{})} }

// Add numbers an entry, cuts what is too long in it, keeps it and returns it.
func (j *Journal) Add(e Entry) Entry {
	e.Kind, e.Text, e.Next = cut(e.Kind, MaxKind), cut(e.Text, MaxText), cut(e.Next, MaxNext)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.newest++
	e.Seq = j.newest
	j.entries = append(j.entries, e)
	if len(j.entries) >= 2*j.keep {
		j.entries = slices.Clone(j.entries[len(j.entries)-j.keep:])
	}
	close(j.added)
	j.added = make(chan struct{})
	return e
}

// Newest returns the number of the newest entry, 0 if there was none.
func (j *Journal) Newest() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.newest
}

// Since returns the entries with a number above seq, oldest first, of which the
// newest Keep are held.
func (j *Journal) Since(seq uint64) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	held := j.entries[max(len(j.entries)-j.keep, 0):]
	after := int(min(j.newest-min(seq, j.newest), uint64(len(held))))
	return slices.Clone(held[len(held)-after:])
}

// Added is closed when the next entry is added. Ask for it before Since, else
// an entry in between is noticed only with the one after it.
func (j *Journal) Added() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.added
}

// cut shortens s to at most limit bytes without tearing a character, in memory
// of its own, so that a short text does not keep a long one alive.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.Clone(s[:end]) + more
}

// more stands where a text was cut.
const more = "…"
