package engine

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
)

// Limits and times of the engine. The thresholds of the state machine are the
// starting values of docs/architecture.md, section 6.
const (
	// DefaultBudget bounds one interactive operation as a whole.
	DefaultBudget = 8 * time.Second
	// readShare bounds the part of a read's budget that the primary may use.
	readShare = 2 * time.Second
	// writeBudget bounds one batch at the primary; 1 s is added for each MiB.
	writeBudget = 30 * time.Second

	tripConsecutive = 5                // failures in a row that end PRIMARY
	tripWindow      = 10 * time.Second // or half of the calls within this,
	tripCalls       = 10               // if there were at least so many
	goodFor         = 15 * time.Second // good probes that end FALLBACK
	holdWindow      = 10 * time.Minute // switches within this prolong goodFor,
	holdMost        = 5 * time.Minute  // up to this
	suspectRetry    = 200 * time.Millisecond

	// MaxBatch is the most documents that Put and Delete take in one call.
	MaxBatch = 1000
	// MaxOutboxBytes is the payload that the outbox keeps before Put refuses
	// more: it is reached only when git cannot be written.
	MaxOutboxBytes = 1 << 30

	govcBatchOps   = 256 // at most, and fewer for a slow service,
	govcBatchLeast = 8   // but no fewer than these
	govcBatchBytes = 8 << 20
	gitBatchOps    = 1000
	gitBatchBytes  = 16 << 20
	// gitKeepEvery is how far git may be behind before it keeps only the newest
	// of several versions of a document.
	gitKeepEvery   = 100
	textBatchOps   = 500
	textBatchBytes = 16 << 20
	attemptsMost   = 3 // of one operation, while the service is good
)

// Attachment is what the engine needs of the primary beside its documents. It
// is larger than most interfaces because one client implements all of it.
type Attachment interface {
	// Tip names the newest commit, or wraps errors.ErrUnsupported where that
	// proves nothing.
	Tip(ctx context.Context) (string, error)
	// Reaches reports whether the newest commit is made of this one. Errors are
	// those of Tip.
	Reaches(ctx context.Context, commit string) (bool, error)
	// Changed returns what differs between a commit and a later one that is made of
	// it, complete or not; the error wraps errors.ErrUnsupported where commits
	// cannot be compared.
	Changed(ctx context.Context, from, to string) (changes []govc.Change, complete bool, err error)
	// Named finds documents of these types where List is unsupported, as far as it
	// can; what was found comes beside an error, too.
	Named(ctx context.Context, types []document.Type) ([]store.Key, error)
	Describe(ctx context.Context) (govc.Info, error)
	EnsureRepo(ctx context.Context) (created bool, err error)
	// Empty reports whether the repository has no commit.
	Empty(ctx context.Context) (bool, error)
	ReadMarker(ctx context.Context) (govc.Marker, bool, error)
	WriteMarker(ctx context.Context, m govc.Marker) (commit string, err error)
	Fits(d document.Document) error
}

// Primary is the govc service.
type Primary interface {
	store.Store
	Attachment
}

// Embedded is the service that runs in this process, for drills.
type Embedded interface {
	// Trouble is why it could not be started, nil if it could.
	Trouble() error
	// Keeps reports whether what it holds now lies in a folder, and survives its
	// end. It does not wait.
	Keeps() bool
	// Start brings the service up again at its address, with what its folder
	// holds, or with nothing in it if it has none.
	Start() error
	// StartEmpty is Start with nothing in it, and without touching the folder.
	StartEmpty() error
	// Stop refuses connections from then on, and forgets everything that is not
	// in its folder.
	Stop(ctx context.Context) error
}

// Options are the parts that an engine is made of. The engine closes none of
// them.
type Options struct {
	State   *state.DB
	Derived *state.Derived
	Git     *gitstore.Store
	Memory  *memstore.Store
	// Primary is nil when this engine never talks to a service: in one-shot
	// commands beside the embedded service. Else it is used in the phases that have
	// one, also after a change of the phase.
	Primary Primary
	// Rests says, without a Primary, that the embedded service keeps what it has
	// and comes back later: what it lacks is kept for it.
	Rests      bool
	absentMost int64 // see the constant, which 0 means
	// Checker probes the primary's health; required with Primary.
	Checker probe.Checker
	// Embedded is the service in this process, nil for a real one. It runs at the
	// start if the phase of the state file has a service.
	Embedded Embedded

	// KeptBytes bounds the copies that the phase govc-only keeps; 0 means
	// DefaultKeptBytes.
	KeptBytes int64

	Recorder *probe.Recorder
	// Journal keeps what happens; nil makes one.
	Journal *journal.Journal
	// Phase is what the configuration says, "" if it says nothing. It wins over the
	// phase of the state file only if it is another than the time before.
	Phase  Phase
	Layout document.Layout
	Backup BackupOptions
	Author store.Author

	URL        string // of the primary, to be shown
	Repository string
	StateDir   string
	GitDir     string

	// Budget bounds one interactive operation; 0 means DefaultBudget.
	Budget time.Duration
	// Now, NewID and Rand are the clock, the maker of operation ids and the
	// source of jitter, safe for concurrent use; nil takes the system's.
	Now   func() time.Time
	NewID func() string
	Rand  func() float64
	// Strict makes a transition that the table does not allow panic. Tests set
	// it; without it such a transition is an error event.
	Strict bool
}

func (o *Options) complete() error {
	switch {
	case o.State == nil || o.Derived == nil || o.Git == nil || o.Memory == nil || o.Recorder == nil:
		return fmt.Errorf("engine: a part is missing")
	case o.Primary != nil && o.Checker == nil:
		return fmt.Errorf("engine: a primary needs a checker")
	case o.Author.Name == "" || o.Author.Email == "":
		return fmt.Errorf("engine: the author needs a name and an email")
	}
	o.KeptBytes = cmp.Or(o.KeptBytes, DefaultKeptBytes)
	o.absentMost = cmp.Or(o.absentMost, absentMost)
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Journal == nil {
		o.Journal = journal.New()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return nil
}
