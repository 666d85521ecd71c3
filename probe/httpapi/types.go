package httpapi

import (
	"context"
	"encoding/json"
	"time"
)

// Limits of one request. A service of the engine may have lower ones.
const (
	// MaxBody bounds the body of a request or of a reply, in bytes (48 MiB).
	MaxBody = 48 << 20
	// MaxBatch bounds the documents of one put and the ids of one delete.
	MaxBatch = 1000
	// MaxList bounds the rows of one page and the hits of one search.
	MaxList = 1000
	// MaxHistory bounds the revisions of one history, MaxEvents the entries of
	// one answer.
	MaxHistory = 1000
	MaxEvents  = 10_000
	// MaxNote bounds each part of a note, in bytes.
	MaxNote = 1000
	// DefaultEvents and DefaultHistory are what a limit of 0 means.
	DefaultEvents  = 100
	DefaultHistory = 100
)

// Documents is what callers do with documents. Errors wrap the sentinels of
// this package.
type Documents interface {
	// Put writes all documents or none. When it returns without an error,
	// they survive a crash as the Ack says.
	Put(ctx context.Context, docs []Document) (Ack, error)
	// Get returns the newest acknowledged version, or ErrNotFound.
	Get(ctx context.Context, id string) (Document, error)
	// Delete removes all documents or none. ErrNotFound names the first id
	// that is not there.
	Delete(ctx context.Context, ids []string) (Ack, error)
	// List returns one page, in the order of ids.
	List(ctx context.Context, query ListQuery) (Page, error)
	// Search returns the best hits first, at most limit (1 to MaxList; 0 means
	// the engine's own choice). It may wait for the index.
	Search(ctx context.Context, query string, limit int) (Hits, error)
}

// Control is what operators do with the engine.
type Control interface {
	Status(ctx context.Context) (Status, error)
	// Fallback leaves the govc service; Recover goes back to it. With adopt
	// the service is also taken when it holds another repository or none.
	Fallback(ctx context.Context) error
	Recover(ctx context.Context, adopt bool) error
	// Sync waits until git has every operation that was acknowledged before.
	Sync(ctx context.Context) error
}

// Engine is all that a server serves.
type Engine interface {
	Documents
	Control
	Versions
	Conditional
	Facts
	Services
	Backups
	Phases
	Conflicts
	Drills
	Verifications
	Parkings
}

// Versions is what callers do with earlier versions of documents. Errors wrap
// the sentinels of this package.
type Versions interface {
	// History returns the newest revisions first, at most limit (1 to
	// MaxHistory; 0 means 100), of a deleted document as well.
	History(ctx context.Context, id string, limit int) ([]Revision, error)
	// GetAt returns a document as a commit of its History holds it.
	GetAt(ctx context.Context, id, commit string) (Document, error)
	// Undo returns the inverse of the newest change, without doing it.
	Undo(ctx context.Context, id string) (Change, error)
	// Restore writes a document as a commit of its History holds it, also what
	// a Document has no field for. The newest version must have the hash base,
	// "" if there must be none; else ErrConflict and nothing is written.
	Restore(ctx context.Context, id, commit, base string) (Ack, error)
}

// Conditional is what callers do only to the version that they know. The
// newest version must have the hash base; else ErrConflict and nothing is
// written.
type Conditional interface {
	// Replace is a put of one document; the base "" says that it must not exist.
	Replace(ctx context.Context, doc Document, base string) (Ack, error)
	// Remove is a delete of one document.
	Remove(ctx context.Context, id, base string) (Ack, error)
}

// Facts is what scripts and monitoring read.
type Facts interface {
	// Stats is the published summary of storage and fallback.
	Stats(ctx context.Context) (Stats, error)
	// Metrics describes the operations within the window of five minutes;
	// ResetMetrics forgets them.
	Metrics(ctx context.Context) (Metrics, error)
	ResetMetrics(ctx context.Context) error
	// Events returns what happened after the entry numbered since, oldest
	// first; of more than limit (1 to MaxEvents; 0 means 100) the newest.
	Events(ctx context.Context, since uint64, limit int) ([]Event, error)
	// Note adds an event of the kind "job": that a caller's work begins, or how
	// it ended. An engine that gets too many leaves some out.
	Note(ctx context.Context, note Note) error
}

// Revision is one version of a document in git.
type Revision struct {
	Commit  string    `json:"commit"`
	At      time.Time `json:"at"`
	Author  string    `json:"author"`
	Message string    `json:"message"`
	Deleted bool      `json:"deleted,omitempty"`
}

// Change is the inverse of the newest change of a document: Now becomes Before.
// It is done with Restore(ID, Commit, Base) or, where Before is nil, with
// Remove(ID, Base).
type Change struct {
	ID     string    `json:"id"`
	Base   string    `json:"base,omitempty"`   // hash of Now, "" if the document is deleted
	Now    *Document `json:"now,omitempty"`    // nil if the document is deleted
	Before *Document `json:"before,omitempty"` // nil if the document was not there
	At     time.Time `json:"at"`               // of Now
	Commit string    `json:"commit,omitempty"` // that holds Before
}

// Event is an entry of the engine's journal.
type Event struct {
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Level string    `json:"level"` // "info", "warning" or "error"
	Kind  string    `json:"kind"`
	Text  string    `json:"text"`           // unsanitised where it quotes others
	Next  string    `json:"next,omitempty"` // what to do
}

// Note is what a caller says of its work.
type Note struct {
	Level string `json:"level"` // "info", "warning" or "error"
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"` // what to do
}

// Stats is the published answer of /api/v1/storage/stats. Further fields may be
// added.
type Stats struct {
	Govc   GovcStats   `json:"govc"`
	Git    GitStats    `json:"git"`
	Engine EngineStats `json:"engine"`
}

// GovcStats are the published fields. documents_in_memory are those that the
// memory store holds.
type GovcStats struct {
	Integrated        bool   `json:"govc_integrated"`
	ServiceURL        string `json:"service_url"`
	FallbackMode      bool   `json:"fallback_mode"`
	DocumentsInMemory int64  `json:"documents_in_memory"`
}

// GitStats describes the local repository.
type GitStats struct {
	Path   string `json:"path"`
	InStep bool   `json:"in_step"`
	Lag    int64  `json:"lag"` // operations
	Damage string `json:"damage,omitempty"`
}

// EngineStats describes the engine as a whole.
type EngineStats struct {
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Phase     string `json:"phase"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
	Pending   int64  `json:"pending"`
	Parked    int64  `json:"parked"`
	Conflicts int64  `json:"conflicts"` // open
	// ConflictsFound counts those found since the start.
	ConflictsFound int64    `json:"conflicts_found"`
	Reads          uint64   `json:"reads"`  // by callers since the start
	Writes         uint64   `json:"writes"` // by callers since the start
	Switches       int      `json:"switches"`
	Safe           []string `json:"safe"`
}

// Metrics is the answer of /api/v1/storage/metrics.
type Metrics struct {
	// Since is the start of the engine or the last reset, if that is younger
	// than WindowSeconds.
	Since         time.Time `json:"since"`
	WindowSeconds int       `json:"window_seconds"`
	Operations    []Latency `json:"operations"`
}

// Document is one document with its content.
type Document struct {
	ID         string
	Type       string
	SourceURL  string
	SourcePath string
	Text       string // any bytes
	Raw        []byte
	// Metadata holds the JSON of each value as it was written, so that large
	// numbers keep their digits.
	Metadata  map[string]json.RawMessage
	CreatedAt time.Time // zero in a put means now, or the time it has already
	UpdatedAt time.Time // zero in a put means now
	// Hash and ServedBy say of a document that was read which version it is and
	// which store it came from; a put ignores them.
	Hash     string
	ServedBy string
	// Conflict: it was changed on two sides, and nobody has settled that.
	Conflict bool
}

// ListQuery selects rows. The zero value is the first page of all.
type ListQuery struct {
	Contains string // in the id
	Type     string
	Offset   int // 0 or more
	Limit    int // 0 (the engine's own choice) to MaxList
}

// Row is one document of a listing, without content.
type Row struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Folder    string    `json:"folder"`
	Source    string    `json:"source,omitempty"`
	Size      int64     `json:"size"` // bytes of content
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Hash      string    `json:"hash"`
	Govc      string    `json:"govc"` // what the service holds: "in step", "behind", ...
	Git       string    `json:"git"`
	Conflict  bool      `json:"conflict,omitempty"` // one side of an open conflict
}

// Page is a part of a listing.
type Page struct {
	Rows  []Row `json:"rows"`
	Total int64 `json:"total"` // documents that match, in all
}

// Hit is one result of a search. The words found stand between U+0002 and
// U+0003 in Snippet.
type Hit struct {
	Row
	Snippet string `json:"snippet"`
}

// Hits is the answer to a search.
type Hits struct {
	Hits []Hit `json:"hits"`
	// Behind is how many operations the index lacks that were acknowledged before
	// the search: there may be more hits than these.
	Behind int64 `json:"behind,omitempty"`
}

// Ack acknowledges a write.
type Ack struct {
	OpIDs []string `json:"op_ids"`
	// Durability is "primary+local" (the service answered and it is on disk
	// here) or "local" (on disk here, the rest follows).
	Durability string `json:"durability"`
	Commit     string `json:"commit,omitempty"` // of the service, if it has it yet
	// Conflicts names the documents whose place at the service somebody else's
	// version keeps.
	Conflicts []MetConflict `json:"conflicts,omitempty"`
}

// MetConflict is a document that was changed here and at the service, as a write
// is told.
type MetConflict struct {
	ID   string `json:"id"`
	Copy string `json:"copy,omitempty"` // the document that keeps ours; none for a delete, which gave way
}

// Status describes a running engine. Unknown values are absent.
type Status struct {
	Healthy bool `json:"healthy"`
	// Ready: a write can be acknowledged now; else Unready says why not.
	Ready      bool      `json:"ready"`
	Unready    string    `json:"unready,omitempty"`
	State      string    `json:"state"`
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason"`
	Next       string    `json:"next,omitempty"`
	Phase      string    `json:"phase"`
	PhaseSince time.Time `json:"phase_since"`
	// Change is the change of the phase that is under way.
	Change *PhaseChange `json:"phase_change,omitempty"`
	// Kept are the copies that a phase without git keeps.
	Kept    *Kept   `json:"kept,omitempty"`
	Service Service `json:"service"`
	// Drill is the one that runs: what is said of the service is rehearsed.
	Drill      *DrillStatus `json:"drill,omitempty"`
	Outbox     Outbox       `json:"outbox"`
	Stores     []Store      `json:"stores"`
	Documents  int64        `json:"documents"`
	Bytes      int64        `json:"bytes"` // of content
	Parked     int64        `json:"parked"`
	Conflicts  int64        `json:"conflicts"` // open
	Progress   *Progress    `json:"progress,omitempty"`
	Latencies  []Latency    `json:"latencies"`
	Safe       []string     `json:"safe"` // durable places that hold every acknowledged write
	Also       []string     `json:"also"` // others that hold it
	Repository string       `json:"repository"`
	StateDir   string       `json:"state_dir"`
	GitDir     string       `json:"git_dir,omitempty"`
	Backup     Backup       `json:"backup"`
	// Verify is the verification that runs, or the last one.
	Verify Verification `json:"verify"`
	PID    int          `json:"pid"`
	// Holder is the process that runs the engine, Job what it is busy with.
	Holder Holder    `json:"holder"`
	Job    *Progress `json:"job,omitempty"`
}

// The kinds of processes that run an engine.
const (
	HolderConsole = "console"
	HolderServe   = "serve"
	HolderCommand = "command"
)

// Holder is a process that runs an engine.
type Holder struct {
	Kind    string `json:"kind"`    // one of the Holder constants
	Command string `json:"command"` // of a command its name: "import"
	PID     int    `json:"pid"`
}

// Service describes the govc service. URL is empty if the phase has none.
type Service struct {
	URL      string  `json:"url,omitempty"`
	Embedded bool    `json:"embedded"`
	Up       bool    `json:"up"`
	Error    string  `json:"error,omitempty"`
	Version  string  `json:"version,omitempty"`
	ProbeMS  float64 `json:"probe_ms,omitempty"` // median of the last good probes
}

// Outbox describes the acknowledged operations that the primary lacks.
type Outbox struct {
	Pending int64      `json:"pending"`
	Oldest  *time.Time `json:"oldest,omitempty"`
	Bytes   int64      `json:"bytes"` // of content that git lacks
}

// Store describes one replica.
type Store struct {
	Name    string `json:"name"`
	Cursor  int64  `json:"cursor"`
	Lag     int64  `json:"lag"` // operations behind; means nothing if Unknown
	InStep  bool   `json:"in_step"`
	Unknown bool   `json:"unknown,omitempty"`
	// Detached: the phase does not have this store, which was left at Cursor.
	Detached bool   `json:"detached,omitempty"`
	Error    string `json:"error,omitempty"`
	Damage   string `json:"damage,omitempty"`  // what is known to be damaged; it is not in step then
	Warning  string `json:"warning,omitempty"` // what is damaged and touches no document and no version
}

// Progress is a long copy under way.
type Progress struct {
	What    string    `json:"what"`
	Done    int64     `json:"done"`
	Total   int64     `json:"total"`
	Started time.Time `json:"started"`
}

// Latency describes the operations of one kind at one store in the last five
// minutes, times in milliseconds.
type Latency struct {
	Op     string  `json:"op"`
	Store  string  `json:"store"`
	Count  int64   `json:"count"`
	Errors int64   `json:"errors"`
	Rate   float64 `json:"rate"` // a second
	P50MS  float64 `json:"p50_ms"`
	P95MS  float64 `json:"p95_ms"`
	P99MS  float64 `json:"p99_ms"`
	MaxMS  float64 `json:"max_ms"`
	// Total, TotalErrors and TotalMS count since the start; a reset leaves them.
	Total       int64   `json:"total"`
	TotalErrors int64   `json:"total_errors"`
	TotalMS     float64 `json:"total_ms"` // of the successes together
}
