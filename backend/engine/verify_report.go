package engine

import (
	"slices"
	"time"
)

const (
	// MaxFindings bounds the findings that a report names; all are counted.
	MaxFindings = 1000
	// keptFindings is how many of them survive a restart.
	keptFindings = 50
	// maxFindingText bounds what is wrong, in bytes.
	maxFindingText = 500
)

// VerifyState says how a verification is.
type VerifyState string

// The states of a verification.
const (
	VerifyNone    VerifyState = "never" // none was made
	VerifyRunning VerifyState = "running"
	VerifyDone    VerifyState = "done"
	VerifyStopped VerifyState = "stopped" // by the operator, or by the end of the engine
)

// The parts of a verification, in their order.
const (
	PartState  = "state file"
	PartOutbox = "outbox"
	PartGit    = "git"
	PartIndex  = "index"
	PartGovc   = "govc"
	PartKept   = "kept copies"
	PartText   = "text index"
)

var verifyParts = []string{PartState, PartOutbox, PartGit, PartIndex, PartGovc, PartKept, PartText}

// VerifyOptions say what a verification does.
type VerifyOptions struct {
	// Repair mends what can be mended without losing a version.
	Repair bool
	// Sample compares the contents of this many documents, chosen at random,
	// instead of all, and does not read git's objects; 0 reads everything.
	Sample int
}

// VerifyPart is what was looked at in one place.
type VerifyPart struct {
	Name string `json:"name"`
	// State is "waiting", "running", "done", "unknown" (it could not be looked
	// at) or "stopped".
	State   string `json:"state"`
	Checked int64  `json:"checked"`
	Total   int64  `json:"total"` // of the work; 0 if it is not known
	Found   int64  `json:"found"`
	Mended  int64  `json:"mended"`
	// Aside counts documents that are known not to be there: see Parked.
	Aside int64 `json:"aside"`
	// Unknown says what of it nobody can know, "" for nothing. Unsanitised.
	Unknown string `json:"unknown,omitempty"`
}

// Finding is one thing that is wrong.
type Finding struct {
	Part     string `json:"part"`
	Document string `json:"document,omitempty"` // its id, "" if it is about none
	What     string `json:"what"`               // unsanitised
	Next     string `json:"next,omitempty"`     // what to do, if it was not mended
	Mended   bool   `json:"mended"`
}

// Verification is one verification: how far it is, and what it found.
type Verification struct {
	State    VerifyState  `json:"state"`
	Repair   bool         `json:"repair"`
	Sample   int          `json:"sample,omitempty"`
	Started  time.Time    `json:"started,omitzero"`
	Ended    time.Time    `json:"ended,omitzero"`
	Part     string       `json:"part,omitempty"` // under way
	Parts    []VerifyPart `json:"parts"`
	Found    int64        `json:"found"`
	Mended   int64        `json:"mended"`
	Findings []Finding    `json:"findings"` // the first MaxFindings
}

// Good reports that nothing is wrong, or not any more, as far as is known.
func (v *Verification) Good() bool { return v.Found == v.Mended }

// Unknown names the parts that could not be looked at, or not as a whole.
func (v *Verification) Unknown() (names []string) {
	for _, p := range v.Parts {
		if p.Unknown != "" {
			names = append(names, p.Name)
		}
	}
	return names
}

// Now returns the part under way.
func (v *Verification) Now() (VerifyPart, bool) {
	i := slices.IndexFunc(v.Parts, func(p VerifyPart) bool { return p.Name == v.Part && v.Part != "" })
	if i < 0 {
		return VerifyPart{}, false
	}
	return v.Parts[i], true
}

// clone copies what the run goes on changing.
func (v *Verification) clone(findings bool) Verification {
	out := *v
	out.Parts = slices.Clone(v.Parts)
	out.Findings = nil
	if findings {
		out.Findings = slices.Clone(v.Findings)
	}
	return out
}

// part returns the part of that name, to be changed.
func (v *Verification) part(name string) *VerifyPart {
	return &v.Parts[slices.IndexFunc(v.Parts, func(p VerifyPart) bool { return p.Name == name })]
}

func newVerification(o VerifyOptions, at time.Time) Verification {
	v := Verification{State: VerifyRunning, Repair: o.Repair, Sample: o.Sample, Started: at}
	for _, name := range verifyParts {
		v.Parts = append(v.Parts, VerifyPart{Name: name, State: "waiting"})
	}
	return v
}
