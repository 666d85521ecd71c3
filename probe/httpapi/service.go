package httpapi

import (
	"context"
	"net/http"
	"time"
)

// Services says what is known of the service behind the engine.
type Services interface {
	// Service returns what the engine knows now. It asks the service nothing.
	Service(ctx context.Context) (ServiceFacts, error)
}

// ServiceFacts is the answer of /api/v1/storage/service. What is not known is
// absent; texts of the service are unsanitised. Further fields may be added.
type ServiceFacts struct {
	// Known: the service said what it is. Without it everything from Dialect to
	// Capabilities is absent.
	Known          bool         `json:"known"`
	URL            string       `json:"url,omitempty"` // absent if the phase has no service
	Embedded       bool         `json:"embedded"`
	Dialect        string       `json:"dialect,omitempty"` // "v1" or "v2"
	Reason         string       `json:"reason,omitempty"`  // why this dialect
	Version        string       `json:"version,omitempty"`
	Implementation string       `json:"implementation,omitempty"` // absent for a plain govc
	Durable        *bool        `json:"durable,omitempty"`        // absent: it does not say
	Capabilities   []Capability `json:"capabilities"`
	// WindowMS lies between the look at a document and the commit over it, where
	// the service takes no conditions.
	WindowMS float64 `json:"window_ms,omitempty"`

	Repository string     `json:"repository"`
	Lineage    string     `json:"lineage,omitempty"` // of the repository that this state belongs to
	Epoch      int64      `json:"epoch,omitempty"`
	Tip        string     `json:"tip,omitempty"` // the newest commit at the service that is known here
	TipAt      *time.Time `json:"tip_at,omitempty"`

	Access  *ServiceAccess  `json:"access,omitempty"`
	TLS     *ServiceTLS     `json:"tls,omitempty"`
	Latency *ServiceLatency `json:"latency,omitempty"`
}

// Capability is one thing that a service may be able to do.
type Capability struct {
	Name  string `json:"name"`
	Has   bool   `json:"has"`
	Means string `json:"means"` // what it brings, or what its lack means
}

// ServiceAccess is who the engine is to the service.
type ServiceAccess struct {
	Method    string            `json:"method"`    // "none", "token", "api key" or "login"
	Confirmed bool              `json:"confirmed"` // the service says so
	Subject   string            `json:"subject,omitempty"`
	Rights    map[string]string `json:"rights,omitempty"` // repository or pattern -> read, write or admin
	Expires   *time.Time        `json:"expires,omitempty"`
	Renews    bool              `json:"renews"`
	Problem   string            `json:"problem,omitempty"` // why it could not be renewed
	CSRF      bool              `json:"csrf"`
}

// ServiceTLS is how the connection is protected, and where it goes.
type ServiceTLS struct {
	Version  string `json:"version,omitempty"` // absent for plain HTTP
	Peer     string `json:"peer,omitempty"`
	Insecure bool   `json:"insecure"` // nobody checks the certificate
	Proxy    string `json:"proxy,omitempty"`
}

// ServiceLatency says where the time of a request goes. Parts that did not
// happen are absent.
type ServiceLatency struct {
	DNSMS       float64 `json:"dns_ms,omitempty"` // these three of the newest connection
	ConnectMS   float64 `json:"connect_ms,omitempty"`
	TLSMS       float64 `json:"tls_ms,omitempty"`
	FirstByteMS float64 `json:"first_byte_ms,omitempty"` // median of the last good probes
	Reused      bool    `json:"reused"`                  // the newest probe needed no new connection
}

func (s *Server) service(c *call) (any, error) {
	facts, err := s.engine.Service(c.ctx)
	facts.Capabilities = orEmpty(facts.Capabilities)
	return facts, err
}

// Service implements Services.
func (c *Client) Service(ctx context.Context) (ServiceFacts, error) {
	var facts ServiceFacts
	err := c.call(ctx, http.MethodGet, "storage/service", nil, nil, &facts)
	return facts, err
}
