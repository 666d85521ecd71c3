package httpapi

import (
	"fmt"
	"net/http"
	"strings"
)

const plainKind = "text/plain; charset=utf-8"

// healthReport is the reply to a question about health. An unhealthy one is
// also an error.
type healthReport struct {
	Status  string   `json:"status"` // "healthy" or "unhealthy"
	State   string   `json:"state"`
	Reasons []string `json:"reasons"` // unsanitised where they quote others
	*Error
}

func (s *Server) health(c *call) (any, error) {
	status, err := s.engine.Status(c.ctx)
	if err != nil {
		return nil, err
	}
	reasons := status.Problems()
	if len(reasons) == 0 {
		return healthReport{Status: "healthy", State: status.State, Reasons: []string{}}, nil
	}
	e := describe(fmt.Errorf("%w: %s", ErrUnavailable, strings.Join(reasons, "; ")), status.Next)
	return coded{http.StatusServiceUnavailable, healthReport{"unhealthy", status.State, reasons, e}}, nil
}

// Problems says why the engine is not healthy, nothing if it is.
func (s Status) Problems() []string {
	var out []string
	if s.Healthy && s.Ready {
		return nil
	}
	if !s.Ready {
		out = append(out, "writes are refused: "+s.Unready)
	}
	for _, store := range s.Stores {
		if store.Error != "" {
			out = append(out, store.Name+": "+store.Error)
		}
		if store.Damage != "" {
			out = append(out, store.Name+" is damaged: "+store.Damage)
		}
	}
	if s.Parked > 0 {
		out = append(out, fmt.Sprintf("operations set aside: %d", s.Parked))
	}
	if !s.Healthy && (len(out) == 0 || s.State != "PRIMARY") {
		out = append([]string{s.State + ": " + s.Reason}, out...)
	}
	return out
}

// live says that the process answers; it asks nobody.
func (s *Server) live(c *call) (any, error) {
	return c.plainly("ok", map[string]string{"status": "ok"}), nil
}

// ready says whether writes can be acknowledged.
func (s *Server) ready(c *call) (any, error) {
	status, err := s.engine.Status(c.ctx)
	if err == nil && !status.Ready {
		err = advised(fmt.Errorf("%w: writes are refused: %s", ErrUnavailable, status.Unready), "")
	}
	if err == nil {
		return c.plainly("ok", map[string]string{"status": "ok"}), nil
	}
	if c.wantsJSON() {
		return nil, err
	}
	e := describe(err, "")
	return text{kindOf(e.Code).status, plainKind, e.Message + "\n"}, nil
}

// plainly answers in words, or in JSON for who asks for it.
func (c *call) plainly(words string, value any) any {
	if c.wantsJSON() {
		return value
	}
	return text{http.StatusOK, plainKind, words + "\n"}
}

func (c *call) wantsJSON() bool {
	return strings.Contains(strings.ToLower(strings.Join(c.Header.Values("Accept"), ",")), "application/json")
}
