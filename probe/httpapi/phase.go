package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Phases is which stores are in use, and how that is changed.
type Phases interface {
	// Phase returns the phase in effect and the change under way.
	Phase(ctx context.Context) (Phase, error)
	// SetPhase changes the phase and returns once it is in effect. A change goes
	// on when ctx ends; the phase in effect takes it back.
	SetPhase(ctx context.Context, phase string) error
}

// Phase is the answer of /api/v1/storage/phase.
type Phase struct {
	Phase string    `json:"phase"` // "dual", "primary", "govc-only" or "git-only"
	About string    `json:"about"` // what that is, in a sentence
	Since time.Time `json:"since"`
	// Change is the change that is under way.
	Change *PhaseChange `json:"change,omitempty"`
	// Detached are the stores that this phase does not have, by the operation at
	// which they were left.
	Detached map[string]int64 `json:"detached,omitempty"`
	Kept     *Kept            `json:"kept,omitempty"`
	// Others are the phases that it can be changed to.
	Others []PhasePlan `json:"others"`
}

// PhasePlan is what a change to a phase does, and what is checked before.
type PhasePlan struct {
	Phase string   `json:"phase"`
	About string   `json:"about"`
	Plan  []string `json:"plan"`
}

// PhaseChange is a change of the phase that is under way.
type PhaseChange struct {
	Wanted string    `json:"wanted"`
	Step   string    `json:"step"`             // "attaching" or "draining"
	Detail string    `json:"detail,omitempty"` // what it waits for or is busy with; unsanitised
	Begun  time.Time `json:"begun"`
	Asked  string    `json:"asked"` // "operator" or "configuration"
}

// Kept are the copies that are kept in the state file, apart from pending
// operations.
type Kept struct {
	All       bool   `json:"all"` // of every document, because the service would lose them
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`           // of payload
	Limit     int64  `json:"limit"`           // of bytes
	Error     string `json:"error,omitempty"` // unsanitised
}

// Phase implements Phases.
func (c *Client) Phase(ctx context.Context) (Phase, error) {
	var phase Phase
	err := c.exchange(ctx, http.MethodGet, "storage/phase", nil, nil, nil, &phase)
	return phase, err
}

// SetPhase implements Phases.
func (c *Client) SetPhase(ctx context.Context, phase string) error {
	return c.exchange(ctx, http.MethodPost, "storage/phase", url.Values{"phase": {phase}}, nil, nil, &struct{}{})
}

func (s *Server) phase(c *call) (any, error) {
	phase, err := s.engine.Phase(c.ctx)
	phase.Others = orEmpty(phase.Others)
	return phase, err
}

func (s *Server) setPhase(c *call) (any, error) {
	values, err := c.query()
	if err != nil {
		return nil, err
	}
	phase := values.Get("phase")
	if phase == "" {
		return nil, fmt.Errorf("%w: no phase is given, as in phase=dual", ErrInvalid)
	}
	return struct{}{}, s.engine.SetPhase(c.ctx, phase)
}

// phases are the values of the label phase; one that is not here is "other".
var phases = []string{"dual", "primary", "govc-only", "git-only", "other"}

var (
	phaseDesc     = metric("phase", "1 at the phase in effect.", "phase")
	changingDesc  = metric("phase_changing", "1 while the phase is being changed.")
	keptDesc      = metric("kept_documents", "Copies kept in the state file; absent in a phase that keeps none.")
	keptBytesDesc = metric("kept_bytes", "Payload of the copies kept in the state file; absent in a phase that keeps none.")
	keptLimitDesc = metric("kept_limit_bytes", "What engine.kept_bytes allows; absent in a phase that keeps no copies.")
)

// collectPhase gives what monitoring reads of the phase.
func (s Status) collectPhase(gauge func(desc *prometheus.Desc, value float64, labels ...string)) {
	known := false
	for _, phase := range phases {
		here := phase == s.Phase || phase == "other" && !known
		known = known || here
		gauge(phaseDesc, oneIf(here), phase)
	}
	gauge(changingDesc, oneIf(s.Change != nil))
	if s.Kept != nil {
		gauge(keptDesc, float64(s.Kept.Documents))
		gauge(keptBytesDesc, float64(s.Kept.Bytes))
		gauge(keptLimitDesc, float64(s.Kept.Limit))
	}
}
