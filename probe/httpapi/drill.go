package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Drills is what operators do to rehearse an outage. Errors wrap the sentinels
// of this package: ErrConflict while another drill runs, ErrInvalid for one that
// is not possible.
type Drills interface {
	// Drill says which drill runs, and which can be held.
	Drill(ctx context.Context) (DrillStatus, error)
	StartDrill(ctx context.Context, drill Drill) (DrillStatus, error)
	// StopDrill returns the drill that it ended, one without a kind if none ran.
	StopDrill(ctx context.Context) (DrillStatus, error)
}

// Drill is an outage to rehearse. What is 0 or "" takes its default.
type Drill struct {
	Kind           string  `json:"kind"`
	Seconds        float64 `json:"seconds,omitempty"`
	DelayMS        float64 `json:"delay_ms,omitempty"`
	JitterMS       float64 `json:"jitter_ms,omitempty"`
	Rate           float64 `json:"rate,omitempty"` // share of requests, 0 to 1
	Path           string  `json:"path,omitempty"` // what that of a request begins with
	BytesPerSecond int64   `json:"bytes_per_second,omitempty"`
}

// DrillStatus is the drill that runs; all of Drill is empty if none does.
type DrillStatus struct {
	Running bool `json:"running"`
	Drill
	Started *time.Time `json:"started,omitempty"`
	Ends    *time.Time `json:"ends,omitempty"`
	Error   string     `json:"error,omitempty"` // why it could not be ended yet, unsanitised
	// Kinds are those that can be held at this service.
	Kinds []DrillKind `json:"kinds"`
}

// DrillKind describes a drill that can be held.
type DrillKind struct {
	Kind  string   `json:"kind"`
	Means string   `json:"means"`
	Takes []string `json:"takes"` // measures beside the duration
}

// Drill implements Drills.
func (c *Client) Drill(ctx context.Context) (DrillStatus, error) {
	return c.drill(ctx, http.MethodGet, nil)
}

// StartDrill implements Drills.
func (c *Client) StartDrill(ctx context.Context, drill Drill) (DrillStatus, error) {
	return c.drill(ctx, http.MethodPost, drill)
}

// StopDrill implements Drills.
func (c *Client) StopDrill(ctx context.Context) (DrillStatus, error) {
	return c.drill(ctx, http.MethodDelete, nil)
}

func (c *Client) drill(ctx context.Context, method string, in any) (status DrillStatus, err error) {
	err = c.exchange(ctx, method, "storage/drill", nil, nil, in, &status)
	return status, err
}

func (s *Server) drill(c *call) (any, error) { return told(s.engine.Drill(c.ctx)) }

func (s *Server) startDrill(c *call) (any, error) {
	var wanted Drill
	if err := decodeBytes(c.body, &wanted); err != nil {
		return nil, err
	}
	if wanted.Kind == "" {
		return nil, fmt.Errorf("%w: no kind was given", ErrInvalid)
	}
	return told(s.engine.StartDrill(c.ctx, wanted))
}

func (s *Server) stopDrill(c *call) (any, error) { return told(s.engine.StopDrill(c.ctx)) }

func told(status DrillStatus, err error) (any, error) {
	status.Kinds = orEmpty(status.Kinds)
	for i := range status.Kinds {
		status.Kinds[i].Takes = orEmpty(status.Kinds[i].Takes)
	}
	return status, err
}

var drillDesc = metric("drill", "1 while a drill runs, by its kind; absent without one. What other metrics say of the service meanwhile is rehearsed.", "kind")

// collect gives what monitoring reads of a drill.
func (s *DrillStatus) collect(gauge func(desc *prometheus.Desc, value float64, labels ...string)) {
	if s != nil && s.Running {
		gauge(drillDesc, 1, s.Kind)
	}
}
