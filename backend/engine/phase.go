package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// The phase says which stores are attached. It is recorded in the state file
// together with the change that is under way, so that a crash at any point leads
// back into that change:
//
//	a phase is in effect, nothing is wanted     its stores are attached
//	attaching  the stores of the phase that is wanted are attached as well, each
//	           with a snapshot that is verified; nothing is let go of
//	draining   what only the old phase has is brought up to date, for a while
//	in effect  one transaction makes the wanted phase the one in effect and lets
//	           go of the outbox for the stores that it lacks
//
// Up to that transaction the old phase holds, and taking the change back lets go
// of the stores that only the wanted one has.

// PhaseGovcOnly: govc alone. Documents that it would not have after a restart
// are kept in the state file as well.
const PhaseGovcOnly Phase = "govc-only"

// Steps of a change of the phase, as they are recorded.
const (
	stepAttaching = "attaching"
	stepDraining  = "draining"
)

// Who asks for a change of the phase.
const (
	askedByOperator      = "operator"
	askedByConfiguration = "configuration"
)

// storeSet are stores that come and go with the phase.
type storeSet struct{ govc, git, kept bool }

// stores returns the stores of a phase.
func (p Phase) stores() storeSet {
	switch p {
	case PhaseGovcOnly:
		return storeSet{govc: true, kept: true}
	case PhaseGitOnly:
		return storeSet{git: true}
	}
	return storeSet{govc: true, git: true}
}

// without returns the stores of a that are not in b.
func (a storeSet) without(b storeSet) storeSet {
	return storeSet{a.govc && !b.govc, a.git && !b.git, a.kept && !b.kept}
}

// replicas names the cursors of the stores.
func (a storeSet) replicas() []string {
	var names []string
	for _, part := range []struct {
		in   bool
		name string
	}{{a.govc, primaryReplica}, {a.git, gitReplica}, {a.kept, keptReplica}} {
		if part.in {
			names = append(names, part.name)
		}
	}
	return names
}

// Phases returns every phase, in the order in which they are offered.
func Phases() []Phase { return []Phase{PhaseDual, PhasePrimary, PhaseGovcOnly, PhaseGitOnly} }

// Valid reports whether p is a phase.
func (p Phase) Valid() bool { return slices.Contains(Phases(), p) }

// About says in a sentence what a phase is.
func (p Phase) About() string {
	switch p {
	case PhaseDual:
		return "the govc service, and every write also in git without delay"
	case PhasePrimary:
		return "the govc service, and git as its backup every 5 s or 1,000 operations"
	case PhaseGovcOnly:
		return "the govc service alone; copies are kept in the state file of what it would lose with a restart"
	case PhaseGitOnly:
		return "git alone, without a govc service"
	}
	return ""
}

// Plan says in sentences what a change from p to another phase does, and what is
// checked before it takes effect. Nil where they are the same.
func (p Phase) Plan(to Phase) []string {
	if p == to {
		return nil
	}
	var text []string
	comes, goes := to.stores().without(p.stores()), p.stores().without(to.stores())
	if comes.govc {
		text = append(text, "The govc service is attached: what it lacks is copied there, and where it holds another version both are kept as a conflict. It must serve before the change takes effect.")
	}
	if comes.git {
		text = append(text, "Git is attached: every document is copied there and compared. One that no store can deliver stops the change.")
	}
	if comes.kept {
		text = append(text, "Every document is read at the govc service and compared; what that lacks, or would lose with a restart, is kept in the state file (engine.kept_bytes). One that no store can deliver stops the change.")
	}
	if goes.govc {
		text = append(text, "The govc service is left once git holds every document. It stays as it is; what only others wrote there is not seen any more.")
	}
	if goes.git {
		text = append(text, "Git is left as it is; there is no history, no undo and no backup of later versions.")
	}
	if p.stores() == to.stores() {
		text = append(text, "The stores stay the same; only the time changes at which git takes what is written.")
	}
	return append(text, "Reads and writes go on meanwhile.")
}

// ErrPhaseBusy refuses a change of the phase while another one is under way. It
// is a store.ErrConflict.
var ErrPhaseBusy = fmt.Errorf("%w: another change of the phase is under way", store.ErrConflict)

// PhaseError says that a phase was not changed, why, and what to do. It is a
// store.ErrConflict.
type PhaseError struct {
	From, To  Phase
	Why, Next string
}

// Error says which phase stays in effect, and why.
func (e *PhaseError) Error() string {
	return fmt.Sprintf("the phase stays %s and does not become %s: %s", e.From, e.To, e.Why)
}

// Unwrap makes errors.Is(err, store.ErrConflict) hold.
func (e *PhaseError) Unwrap() error { return store.ErrConflict }

// ErrNoGit: the phase has no git, so there is no history. It is a
// store.ErrUnavailable.
var ErrNoGit = fmt.Errorf("%w: the phase %s has no git, which holds the history; to have it: caiatop phase set dual", store.ErrUnavailable, PhaseGovcOnly)

// ParsePhase returns the phase of that name. document.ErrInvalid if there is
// none.
func ParsePhase(name string) (Phase, error) {
	if p := Phase(name); p.Valid() {
		return p, nil
	}
	var known []string
	for _, p := range Phases() {
		known = append(known, string(p))
	}
	return "", fmt.Errorf("%w: %q is no phase, known are %s", document.ErrInvalid, name, strings.Join(known, ", "))
}

// PhaseChange is what is known of the phase beside its name.
type PhaseChange struct {
	Since time.Time // the phase is in effect
	// Wanted is what it is being changed to, "" if no change is under way; then
	// the fields below mean nothing.
	Wanted Phase
	Step   string // "attaching" or "draining"
	Detail string // what it waits for or is busy with, in a sentence; unsanitised
	Begun  time.Time
	Asked  string // "operator" or "configuration"
}

// KeptStats are the copies that are kept in the state file, apart from pending
// operations.
type KeptStats struct {
	Attached  bool // the phase keeps copies
	All       bool // of every document, because the service would lose them
	Documents int64
	Bytes     int64  // of payload
	Limit     int64  // of Bytes
	Err       string // of the last attempt, unsanitised; "" if it went well
}

// atStart returns the record of the phase with which an engine begins that is
// configured so ("" for not at all), and the stores of a change that the
// configuration took back.
func atStart(db *state.DB, configured Phase, gitEmpty bool, now time.Time) (rec state.Phase, drop storeSet) {
	rec = db.Phase()
	if rec.Name == "" {
		rec = firstPhase(db, configured, gitEmpty)
		rec.Since = now
	}
	said := string(configured)
	// What the configuration asked for and does not ask for any more.
	stale := rec.Wanted != "" && rec.Asked == askedByConfiguration && said != rec.Wanted
	if said == "" {
		rec.Configured = "" // what is configured later is a change
	}
	if said == rec.Wanted || (said == rec.Configured && !stale) {
		return rec, storeSet{}
	}
	if rec.Wanted != "" {
		drop = Phase(rec.Wanted).stores().without(Phase(rec.Name).stores())
	}
	if said == rec.Name || said == rec.Configured {
		rec.Configured, rec.Wanted, rec.Step, rec.Asked = said, "", "", ""
		return rec, drop
	}
	drop = drop.without(configured.stores())
	rec.Wanted, rec.Step, rec.Begun, rec.Asked = said, stepAttaching, now, askedByConfiguration
	return rec, drop
}

// firstPhase is that of a state file without one: a new one, or one of a version
// that recorded none, in which git was always attached.
func firstPhase(db *state.DB, configured Phase, gitEmpty bool) state.Phase {
	s := db.Summary()
	_, served := db.Cursor(primaryReplica)
	fresh := s.MaxSeq == 0 && s.Documents == 0 && (configured.stores().git || gitEmpty)
	if configured != "" && (fresh || (configured == PhaseGitOnly && !served)) {
		return state.Phase{Name: string(configured), Configured: string(configured)}
	}
	return state.Phase{Name: string(PhaseDual)}
}
