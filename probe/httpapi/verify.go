package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// MaxSample bounds the sample of a verification, MaxParked the answer about what
// is set aside.
const (
	MaxSample = 1_000_000
	MaxParked = 10_000
)

// Verifications is what operators do to find out whether everything is whole.
type Verifications interface {
	// Verify begins a verification, which goes on in the engine whoever asked for
	// it; ErrConflict if one runs.
	Verify(ctx context.Context, options VerifyOptions) (Verification, error)
	// Verification returns the one that runs, or the last one.
	Verification(ctx context.Context) (Verification, error)
	// StopVerification ends the one that runs, if any.
	StopVerification(ctx context.Context) (Verification, error)
}

// Parkings is what operators do with what a store did not take.
type Parkings interface {
	// Parked lists it, at most limit (1 to MaxParked; 0 means 100).
	Parked(ctx context.Context, limit int) (ParkedList, error)
	// RetryParked tries these documents again now, all if none is named.
	RetryParked(ctx context.Context, ids []string) (Retried, error)
	// DropParked gives a document up at the stores that did not take it. Without
	// lose, ErrConflict if no durable place holds it.
	DropParked(ctx context.Context, id string, lose bool) error
}

// VerifyOptions say what a verification does.
type VerifyOptions struct {
	Repair bool // mend what can be mended without losing a version
	Sample int  // compare so many documents instead of all; 0 is all
}

// Verification is one verification. Further parts and fields may be added.
type Verification struct {
	State    string       `json:"state"` // "never", "running", "done" or "stopped"
	Good     bool         `json:"good"`  // nothing is wrong, or not any more, as far as is known
	Repair   bool         `json:"repair"`
	Sample   int          `json:"sample,omitempty"`
	Started  *time.Time   `json:"started,omitempty"`
	Ended    *time.Time   `json:"ended,omitempty"`
	Part     string       `json:"part,omitempty"` // under way
	Parts    []VerifyPart `json:"parts"`
	Found    int64        `json:"found"`
	Mended   int64        `json:"mended"`
	Findings []Finding    `json:"findings"` // the first 1,000; null in a status, which names none
}

// VerifyPart is what was looked at in one place.
type VerifyPart struct {
	Name    string `json:"name"`
	State   string `json:"state"` // "waiting", "running", "done", "unknown" or "stopped"
	Checked int64  `json:"checked"`
	Total   int64  `json:"total"`
	Found   int64  `json:"found"`
	Mended  int64  `json:"mended"`
	Aside   int64  `json:"aside"`             // known not to be there, see ParkedList
	Unknown string `json:"unknown,omitempty"` // what of it nobody can know; unsanitised
}

// Finding is one thing that is wrong.
type Finding struct {
	Part     string `json:"part"`
	Document string `json:"document,omitempty"`
	What     string `json:"what"` // unsanitised
	Next     string `json:"next,omitempty"`
	Mended   bool   `json:"mended"`
}

// ParkedList is what stores did not take.
type ParkedList struct {
	Parked []Parked `json:"parked"`
	Total  int64    `json:"total"`
}

// Parked is a document that a store did not take, or lost for good.
type Parked struct {
	ID        string    `json:"id"`
	Store     string    `json:"store"`  // "govc" or "git"
	Reason    string    `json:"reason"` // "too large", "refused", "missing" or "unreadable"
	Detail    string    `json:"detail"` // unsanitised
	At        time.Time `json:"at"`
	Delete    bool      `json:"delete,omitempty"`
	Elsewhere []string  `json:"elsewhere"` // durable places that hold this version
	Next      string    `json:"next,omitempty"`
}

// Retried says what came of trying again.
type Retried struct {
	Done int   `json:"done"` // not set aside any more
	Left int64 `json:"left"` // set aside still, in all
}

func (s *Server) verify(c *call) (any, error) {
	values, err := c.query()
	if err != nil {
		return nil, err
	}
	var o VerifyOptions
	if o.Repair, err = yes(values, "repair"); err != nil {
		return nil, err
	}
	if o.Sample, err = number(values, "sample", MaxSample); err != nil {
		return nil, err
	}
	return withLists(s.engine.Verify(c.ctx, o))
}

func (s *Server) verification(c *call) (any, error) { return withLists(s.engine.Verification(c.ctx)) }

func (s *Server) stopVerification(c *call) (any, error) {
	return withLists(s.engine.StopVerification(c.ctx))
}

func withLists(v Verification, err error) (any, error) {
	v.Parts, v.Findings = orEmpty(v.Parts), orEmpty(v.Findings)
	return v, err
}

func (s *Server) parked(c *call) (any, error) {
	_, limit, err := c.limited(MaxParked)
	if err != nil {
		return nil, err
	}
	list, err := s.engine.Parked(c.ctx, limit)
	list.Parked = orEmpty(list.Parked)
	return list, err
}

// retryParked takes no ids for all of them.
func (s *Server) retryParked(c *call) (any, error) {
	var batch idBatch
	if err := decodeBytes(c.body, &batch); err != nil {
		return nil, err
	}
	if len(batch.IDs) > 0 {
		if err := checkCount("ids", len(batch.IDs)); err != nil {
			return nil, err
		}
	}
	return s.engine.RetryParked(c.ctx, batch.IDs)
}

func (s *Server) dropParked(c *call) (any, error) {
	values, err := c.query()
	if err != nil {
		return nil, err
	}
	lose, err := yes(values, "lose")
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.engine.DropParked(c.ctx, c.PathValue("id"), lose)
}

// yes accepts true and false only: a misspelt word must not decide.
func yes(values url.Values, name string) (bool, error) {
	switch given := values.Get(name); given {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, fmt.Errorf("%w: %s=%q is neither true nor false", ErrInvalid, name, given)
	}
}

// Verify implements Verifications.
func (c *Client) Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	values := url.Values{}
	setNumber(values, "sample", o.Sample)
	if o.Repair {
		values.Set("repair", "true")
	}
	var v Verification
	err := c.call(ctx, http.MethodPost, "storage/verify", values, nil, &v)
	return v, err
}

// Verification implements Verifications.
func (c *Client) Verification(ctx context.Context) (Verification, error) {
	var v Verification
	err := c.call(ctx, http.MethodGet, "storage/verify", nil, nil, &v)
	return v, err
}

// StopVerification implements Verifications.
func (c *Client) StopVerification(ctx context.Context) (Verification, error) {
	var v Verification
	err := c.call(ctx, http.MethodDelete, "storage/verify", nil, nil, &v)
	return v, err
}

// Parked implements Parkings.
func (c *Client) Parked(ctx context.Context, limit int) (ParkedList, error) {
	values := url.Values{}
	setNumber(values, "limit", limit)
	var list ParkedList
	err := c.call(ctx, http.MethodGet, "storage/parked", values, nil, &list)
	return list, err
}

// RetryParked implements Parkings.
func (c *Client) RetryParked(ctx context.Context, ids []string) (Retried, error) {
	var r Retried
	err := c.exchange(ctx, http.MethodPost, "storage/parked", nil, nil, idBatch{orEmpty(ids)}, &r)
	return r, err
}

// DropParked implements Parkings.
func (c *Client) DropParked(ctx context.Context, id string, lose bool) error {
	var values url.Values
	if lose {
		values = url.Values{"lose": {"true"}}
	}
	return c.call(ctx, http.MethodDelete, "storage/parked/"+url.PathEscape(id), values, nil, &struct{}{})
}

var (
	verifyRunningDesc  = metric("verify_running", "1 while a verification runs.")
	verifyEndedDesc    = metric("verify_last_end_timestamp_seconds", "When the last verification ended, as Unix time; absent if none did.")
	verifyFindingsDesc = metric("verify_findings", "What the last verification found and was not mended, by part; absent if it could not be looked at.", "part")
)

// collect gives what monitoring reads of the last verification.
func (v Verification) collect(gauge func(desc *prometheus.Desc, value float64, labels ...string)) {
	gauge(verifyRunningDesc, oneIf(v.State == "running"))
	if v.Ended == nil {
		return
	}
	gauge(verifyEndedDesc, unix(*v.Ended))
	for _, p := range v.Parts {
		if p.State == "done" {
			gauge(verifyFindingsDesc, float64(p.Found-p.Mended), p.Name)
		}
	}
}
