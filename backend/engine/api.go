package engine

import (
	"time"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
)

// State is the state of the primary, the govc service.
type State string

// The states. Transitions are listed in one table, see machine.go.
const (
	// StateProbing: the service has not been looked at yet.
	StateProbing State = "PROBING"
	// StatePrimary: the service serves; writes are acknowledged after it.
	StatePrimary State = "PRIMARY"
	// StateFallback: the service is away or was left; state file and git serve.
	StateFallback State = "FALLBACK"
	// StateReplaying: the service is back, pending operations are being sent.
	StateReplaying State = "REPLAYING"
	// StateReseeding: the service lost its data, all of it is being copied back.
	StateReseeding State = "RESEEDING"
	// StateLocked: a person is needed (another repository, refused credentials).
	StateLocked State = "LOCKED"
	// StateNone: the phase has no primary (git-only).
	StateNone State = "NO PRIMARY"
)

// Phase says which stores are attached.
type Phase string

// The phases.
const (
	PhaseDual    Phase = "dual"
	PhasePrimary Phase = "primary"
	PhaseGitOnly Phase = "git-only"
)

// Durability is what an acknowledgement promises.
type Durability string

// The durabilities, strongest first.
const (
	// PrimaryAndLocal: answered by the service and read back, and fsynced here.
	PrimaryAndLocal Durability = "primary+local"
	// Local: fsynced here; the rest follows.
	Local Durability = "local"
)

// Ack acknowledges a write. What it covers survives a crash of this process
// and of this machine.
type Ack struct {
	OpIDs      []string
	Durability Durability
	// Commit is the primary's hash, or "" if the primary does not hold the
	// write yet.
	Commit string
	// Conflicts names the documents of which somebody else's version was found at
	// the primary and keeps the place. The primary then holds not all that was
	// written, and the durability is Local.
	Conflicts []MetConflict
}

// MetConflict is a document that was written here and at the primary, as a write
// is told.
type MetConflict struct {
	ID document.ID
	// Copy is the document that keeps what was written here; zero for a delete,
	// which gave way.
	Copy document.ID
}

// Found is a document as Get returns it.
type Found struct {
	Document document.Document
	Folder   document.Path
	Hash     document.Hash
	// ServedBy is the store that the content came from: govc, git, memory, or
	// state for a pending operation.
	ServedBy probe.Store
	// Pending: an acknowledged operation has not reached every store yet.
	Pending bool
	// Conflict: it was changed on two sides, and nobody has settled that. This is
	// what holds the place.
	Conflict bool
}

// Presence says what one store holds of a document.
type Presence string

// The presences of a document at a store.
const (
	InStep   Presence = "in step"
	Behind   Presence = "behind"
	Missing  Presence = "missing"
	TooLarge Presence = "too large"
	Parked   Presence = "parked"
	Disputed Presence = "conflict" // in step, and somebody else changed it there as well
	Dropped  Presence = "dropped"  // given up by the operator, see DropParked
	Unknown  Presence = "unknown"  // the store cannot be looked at now
	Detached Presence = "-"        // the phase has no such store
)

// Row is one document of a listing, from the index.
type Row struct {
	ID        document.ID
	Type      document.Type
	Folder    document.Path
	Source    string // URL or path it came from; "" if none. Unsanitised.
	Size      int64  // bytes of content
	CreatedAt time.Time
	UpdatedAt time.Time
	Hash      document.Hash
	Govc      Presence
	Git       Presence
	Conflict  bool // it is one side of an open conflict
}

// Page is a part of a listing in the order of identities.
type Page struct {
	Rows  []Row
	Total int64 // documents that match, in all
}

// Query selects rows of the index.
type Query struct {
	// Contains keeps documents whose id contains this text; "" keeps all.
	Contains string
	// Type keeps documents of one type; "" keeps all.
	Type string
	// Offset and Limit page through the result; Limit 0 means 100, the most is
	// 1,000.
	Offset, Limit int
}

// Hit is one result of a full-text search, best first.
type Hit struct {
	Row Row
	// Snippet shows the words found, each between MarkStart and MarkEnd.
	// Unsanitised otherwise.
	Snippet string
}

// MarkStart and MarkEnd enclose the words found in a Hit's snippet. They are
// control characters, so that no text can forge them once it is sanitised.
const (
	MarkStart = "\x02"
	MarkEnd   = "\x03"
)

// Stats is one consistent view of the engine. A snapshot is never changed
// after it was published.
type Stats struct {
	At       time.Time
	State    State
	Since    time.Time // of State
	Reason   string    // why, in a sentence
	Next     string    // what ends this state or what to do, in a sentence; "" if nothing
	Phase    Phase
	Change   PhaseChange // of Phase
	Kept     KeptStats
	Switches int // entries into FALLBACK since the start

	Service   Service
	Drill     DrillStatus
	Facts     Facts // of the service and the way to it
	Outbox    Outbox
	Stores    []StoreStats // govc, git, text
	Documents int64        // in the index
	Bytes     int64        // of content in the index
	Parked    int64        // operations set aside, see Events
	Conflicts int64        // open, see Engine.Conflicts
	// ConflictsFound counts those that were found since the start.
	ConflictsFound int64
	Cached         int64 // documents in the memory store

	// Progress is the copy under way, nil if none.
	Progress *Progress

	Ops    []probe.OpStats
	Events []Event // newest first, at most 50
	// Newest is the number of the newest entry of the journal.
	Newest uint64

	// Safe names the durable places that hold every acknowledged write; Also
	// those that hold it but are not durable.
	Safe []string
	Also []string

	// Backup says how far the copy of git at another place is.
	Backup backup.Status

	// Verify is the verification that runs, or the last one, without findings.
	Verify Verification

	// StateErr says why the last write could not be taken here, unsanitised; ""
	// if it could.
	StateErr string

	Repository    string // name at the service
	StateDir      string
	GitDir        string
	Reads, Writes uint64 // by callers since the start
}

// Service describes the primary.
type Service struct {
	URL      string // without credentials; "" in phase git-only
	Embedded bool
	Dialect  string    // "v2"; "" if unknown
	Features []string  // capabilities that the service announces, sorted
	Durable  bool      // the service declares that a restart keeps its data
	Drill    DrillKind // that disturbs it now, "" if none does
	Health   probe.Health
}

// Outbox describes the acknowledged operations that some store still lacks.
type Outbox struct {
	Pending int64     // operations that govc (git in git-only) lacks
	Oldest  time.Time // zero if none
	Bytes   int64     // of payload kept; what git has is let go of
}

// StoreStats describes one replica.
type StoreStats struct {
	Name   probe.Store
	Cursor int64  // newest operation that this store has
	Lag    int64  // operations behind
	Err    string // of the last attempt, unsanitised; "" if it went well
	// Unknown: the store has not been looked at yet, Lag means nothing.
	Unknown bool
	// Detached: the phase does not have this store, which was left at Cursor.
	// Unknown holds, too.
	Detached bool
	// Damage says what of the store is known to be damaged, unsanitised; "" if
	// nothing is. The documents concerned count as Parked, and in Lag.
	Damage string
	// Warning says what of the store is damaged and touches no document and no
	// version, unsanitised; "" if nothing is.
	Warning string
}

// Progress is a long copy that is under way.
type Progress struct {
	What    string // "copying documents to govc"
	Done    int64
	Total   int64
	Started time.Time
}

// Event is something that happened and that an operator may want to know.
type Event = journal.Entry

// Level grades an event.
type Level = journal.Level

// The levels.
const (
	Info    = journal.Info
	Warning = journal.Warning
	Error   = journal.Error
)
