// Package journal keeps what happened: events of the engine and records of the
// log in one ring, newest last, for whoever shows or serves them.
//
// Entries are numbered from 1 on as long as the process runs. The ring has a
// limit; what leaves it is gone here, and is still in the state file or in the
// log file, as far as those keep it. The package never writes to a terminal.
package journal

import (
	"slices"
	"sync"
	"time"
)

// Keep is how many entries a journal holds; the oldest go first.
const Keep = 10_000

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
}

// Journal is a ring of entries. It is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	entries []Entry // oldest first
	newest  uint64
	added   chan struct{} // closed and replaced with every entry
}

// New returns an empty journal.
func New() *Journal { return &Journal{added: make(chan struct{})} }

// Add numbers an entry, keeps it and returns it.
func (j *Journal) Add(e Entry) Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.newest++
	e.Seq = j.newest
	j.entries = append(j.entries, e)
	if len(j.entries) >= 2*Keep {
		j.entries = slices.Clone(j.entries[len(j.entries)-Keep:])
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
	held := j.entries[max(len(j.entries)-Keep, 0):]
	after := int(min(j.newest-min(seq, j.newest), uint64(len(held))))
	return slices.Clone(held[len(held)-after:])
}

// Added is closed when the next entry is added.
func (j *Journal) Added() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.added
}
