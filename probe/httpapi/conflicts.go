package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The choices of a resolution.
const (
	ChooseOurs   = "ours"
	ChooseTheirs = "theirs"
	ChooseBoth   = "both" // the copy stays, as a document like any other
	ChooseEdit   = "edit" // a third version
	ChoosePlace  = "place"
	ChooseCopy   = "copy"
)

// DefaultConflicts is what a limit of 0 means.
const DefaultConflicts = 100

// Conflicts is what callers do with documents that were changed on two sides.
// Errors wrap the sentinels of this package.
type Conflicts interface {
	// Conflicts lists the newest first: those that are open, or all that are
	// remembered, at most limit (1 to MaxList; 0 means 100).
	Conflicts(ctx context.Context, all bool, offset, limit int) (ConflictList, error)
	// Conflict returns one with both sides, by its name or by the id of its
	// document, if only one is open about that.
	Conflict(ctx context.Context, name string) (Dispute, error)
	// Resolve settles a conflict; ErrConflict if one of the sides is no longer what
	// was seen, or it is settled already.
	Resolve(ctx context.Context, name string, r Resolution) (Ack, error)
	// Reopen takes a settlement back; ErrConflict if the document was changed
	// since.
	Reopen(ctx context.Context, name string) (Ack, error)
}

// ConflictList is a part of a listing.
type ConflictList struct {
	Conflicts []Conflict `json:"conflicts"`
	Total     int64      `json:"total"`
}

// Conflict is a document that was changed here ("ours") and elsewhere
// ("theirs"). One side holds the place, the other one is a copy or a delete.
// What is unknown is absent.
type Conflict struct {
	Name string `json:"name"`         // that of the copy, or what it would be
	ID   string `json:"id,omitempty"` // of the document
	Copy bool   `json:"copy"`         // there is a copy; else the other side is a delete
	// Kept is the side that does not hold the place, Deleted the one that is a
	// delete.
	Kept    string `json:"kept,omitempty"`
	Deleted string `json:"deleted,omitempty"`
	Where   string `json:"where,omitempty"` // "govc" or "git"
	OpID    string `json:"op_id,omitempty"` // of our change
	// The hashes of what both come from, and of the versions that met.
	Base   string `json:"base,omitempty"`
	Ours   string `json:"ours,omitempty"`
	Theirs string `json:"theirs,omitempty"`
	// Author and Commit are those of their version; unsanitised.
	Author string     `json:"author,omitempty"`
	Commit string     `json:"commit,omitempty"`
	At     *time.Time `json:"at,omitempty"` // when it was found
	// How it was settled, absent while it is open: a choice, or "removed".
	How       string     `json:"how,omitempty"`
	SettledAt *time.Time `json:"settled_at,omitempty"`
}

// Dispute is a conflict with what both sides hold now.
type Dispute struct {
	Conflict
	// Place is what holds the document's place, Other the other side under the
	// document's id; nil for a delete, and for the copy of a conflict that is
	// settled.
	Place *Document `json:"place_document"`
	Other *Document `json:"other_document"`
	// BaseDocument is what both come from, nil if git does not have it: then
	// NoBase says why.
	BaseDocument *Document `json:"base_document"`
	NoBase       string    `json:"no_base,omitempty"`
	// Moved: the place holds another version than the one that met the other
	// side.
	Moved bool `json:"moved"`
	// Seen names what is shown here, for Resolution.
	Seen string `json:"seen"`
}

// Resolution says how a conflict is to be settled.
type Resolution struct {
	Choice string `json:"choice"`
	Seen   string `json:"seen"` // of the Dispute that was shown
	// Document is the third version, for ChooseEdit.
	Document *Document `json:"document,omitempty"`
	// As is a new id for the copy, for ChooseBoth.
	As string `json:"as,omitempty"`
}

// Conflicts implements Conflicts.
func (c *Client) Conflicts(ctx context.Context, all bool, offset, limit int) (ConflictList, error) {
	query := url.Values{}
	if all {
		query.Set("all", "true")
	}
	setNumber(query, "offset", offset)
	setNumber(query, "limit", limit)
	var list ConflictList
	err := c.call(ctx, http.MethodGet, "conflicts", query, nil, &list)
	return list, err
}

// Conflict implements Conflicts.
func (c *Client) Conflict(ctx context.Context, name string) (Dispute, error) {
	var d Dispute
	err := c.onConflict(ctx, http.MethodGet, name, "", nil, &d)
	return d, err
}

// Resolve implements Conflicts.
func (c *Client) Resolve(ctx context.Context, name string, r Resolution) (Ack, error) {
	var ack Ack
	err := c.onConflict(ctx, http.MethodPost, name, "/resolve", r, &ack)
	return ack, err
}

// Reopen implements Conflicts.
func (c *Client) Reopen(ctx context.Context, name string) (Ack, error) {
	var ack Ack
	err := c.onConflict(ctx, http.MethodPost, name, "/reopen", nil, &ack)
	return ack, err
}

func (c *Client) onConflict(ctx context.Context, method, name, what string, in, out any) error {
	// These name nothing, and as a part of an address they would mean another.
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return advised(fmt.Errorf("%w: %q is no conflict", ErrInvalid, name), "list them with: caiatop conflicts list")
	}
	return c.call(ctx, method, "conflicts/"+url.PathEscape(name)+what, nil, in, out)
}

func (s *Server) conflicts(c *call) (any, error) {
	values, limit, err := c.limited(MaxList)
	if err != nil {
		return nil, err
	}
	offset, err := number(values, "offset", 1<<62)
	if err != nil {
		return nil, err
	}
	all := values.Get("all")
	if all != "" && all != "true" && all != "false" {
		return nil, fmt.Errorf("%w: all=%q is neither true nor false", ErrInvalid, all)
	}
	list, err := s.engine.Conflicts(c.ctx, all == "true", offset, limit)
	list.Conflicts = orEmpty(list.Conflicts)
	return list, err
}

// conflict leaves the base out where it does not fit beside both sides, which
// always do.
func (s *Server) conflict(c *call) (any, error) {
	d, err := s.engine.Conflict(c.ctx, c.PathValue("id"))
	size := 0
	for _, doc := range []*Document{d.Place, d.Other, d.BaseDocument} {
		if doc != nil {
			size += 2*len(doc.Text) + 2*len(doc.Raw) // at most, as it travels
		}
	}
	if size > MaxBody && d.BaseDocument != nil {
		d.BaseDocument, d.NoBase = nil, "it is too large to be sent with both sides; its history has it"
	}
	return d, err
}

// resolve names what was seen in the body, so that it is conditional in any
// case.
func (s *Server) resolve(c *call) (any, error) {
	var wanted Resolution
	if err := decodeBytes(c.body, &wanted); err != nil {
		return nil, err
	}
	if wanted.Choice == "" || wanted.Seen == "" {
		return nil, fmt.Errorf("%w: a resolution has a choice, and what was seen of the conflict", ErrInvalid)
	}
	c.conditional = true
	return acknowledged(s.engine.Resolve(c.ctx, c.PathValue("id"), wanted))
}

func (s *Server) reopen(c *call) (any, error) {
	c.conditional = true
	return acknowledged(s.engine.Reopen(c.ctx, c.PathValue("id")))
}

var (
	conflictsDesc      = metric("conflicts_open", "Conflicts that nobody has settled.")
	conflictsFoundDesc = metric("conflicts_found_total", "Conflicts found since the start.")
)

// collectConflicts gives what monitoring reads of conflicts.
func (e EngineStats) collectConflicts(gauge, counter func(desc *prometheus.Desc, value float64, labels ...string)) {
	gauge(conflictsDesc, float64(e.Conflicts))
	counter(conflictsFoundDesc, float64(e.ConflictsFound))
}
