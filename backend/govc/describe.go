package govc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// ours is the implementation whose capabilities are believed and which takes
// concurrent additions.
const ours = "caiatop-govcd"

// The capabilities that are made use of; see package govcd.
const (
	capDelete        = "delete"
	capDiff          = "diff"
	capRecursiveTree = "tree.recursive"
	capFolder        = "folder.read"
	capFolders       = "folders.read"
	capLogPath       = "log.path"
	capCommitTime    = "commit.time"
	capBatch         = "batch"
	capMatch         = "if-match"
	capKey           = "idempotency-key"
	capNewFolder     = "batch.new-folder"
	capFrame         = "frame"
)

// Info is what a service says of itself.
type Info struct {
	Dialect        string // DialectV1 or DialectV2
	Reason         string // why this dialect was chosen, in a sentence
	Version        string
	Implementation string   // "" for a plain govc
	Capabilities   []string // sorted
	Embedded       bool     // it runs inside its only console
	Durable        bool     // it declares that a restart keeps its data
}

// Has reports a capability.
func (i Info) Has(capability string) bool {
	_, ok := slices.BinarySearch(i.Capabilities, capability)
	return ok
}

// batches reports whether one request makes a commit of many changes, safely
// enough to be repeated and to be its own read-back.
func (i Info) batches() bool {
	return i.Has(capBatch) && i.Has(capMatch) && i.Has(capKey) && i.Has(capFolder) && i.Has(capDelete)
}

// Guards reports that an operation's condition (store.Op.Over) holds until the
// change is made; elsewhere somebody may write between look and commit.
func (i Info) Guards() bool { return i.batches() }

func (i Info) isOurs() bool { return i.Implementation == ours }

// Health is the service's view of itself.
type Health struct {
	Status  string // "healthy", "unhealthy"; unsanitised
	Version string // unsanitised
	Uptime  time.Duration
	Checks  map[string]string // name -> status, unsanitised; at most 32
}

// Describe finds out the dialect and asks for version and capabilities. It
// changes nothing and needs no repository. What is no govc, and a govc that can
// not be used, is a *NotGovcError; credentials that the service refuses are
// store.ErrUnauthorized. What it says of who we are is in Access.
func (c *Client) Describe(ctx context.Context) (Info, error) {
	r, err := c.call(ctx, request{op: "ask version", method: http.MethodGet, path: "/version", repeat: true, open: true})
	if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		return Info{}, err
	}
	var told struct {
		Version        string   `json:"version"`
		Implementation string   `json:"implementation"`
		Capabilities   []string `json:"capabilities"`
		Embedded       bool     `json:"embedded"`
		Durable        bool     `json:"durable"`
	}
	known := err == nil && decodes(r.body, &told) && told.Version != ""
	info := Info{Dialect: DialectV2}
	if ofOurs := known && told.Implementation == ours; ofOurs {
		info.Embedded, info.Durable = told.Embedded, told.Durable
		info.Capabilities = slices.Compact(slices.Sorted(slices.Values(told.Capabilities)))
		info.Reason = fmt.Sprintf("NEW (API v2), because /version names %s and %d capabilities", ours, len(info.Capabilities))
	} else {
		// A service of ours is not probed: whoever may use one repository there has
		// no right to ask for another.
		probed, probeErr := c.probe(ctx)
		switch {
		case probeErr != nil:
			return Info{}, probeErr
		case err != nil:
			return Info{}, err
		case !known:
			return Info{}, c.notGovc(r, "its /version is not govc's; check host, port and path of the URL")
		}
		info = probed
	}
	info.Version, info.Implementation = bounded(told.Version, maxStart), bounded(told.Implementation, maxStart)
	c.auth.setClock(r.header.Get("Date"))
	if err := c.whoami(ctx, info); err != nil {
		return Info{}, err
	}
	c.info.Store(&info)
	return info, nil
}

const (
	probePath = "/api/v1/repos/no-such-repo/log"
	probed    = "GET " + probePath + "?limit=0 answers "
)

// probe tells the dialects apart by the order in which they check a request
// for a repository that does not exist: NEW looks at the limit first.
func (c *Client) probe(ctx context.Context) (Info, error) {
	r, err := c.call(ctx, request{
		op: "probe dialect", method: http.MethodGet, path: probePath, query: url.Values{"limit": {"0"}}, repeat: true,
	})
	switch r.code() {
	case "INVALID_LIMIT":
		return Info{Dialect: DialectV2, Reason: "NEW (API v2), because " + probed + "INVALID_LIMIT"}, nil
	case "REPO_NOT_FOUND":
	default:
		if err == nil {
			err = c.notGovc(r, "it does not answer the dialect probe; check host, port and path of the URL")
		}
		return Info{}, err
	}
	// Builds that are too old answer the probe as LEGACY does, and lose what is
	// written to them. They have no API v2 at all.
	r, err = c.call(ctx, request{op: "probe API v2", method: http.MethodGet, path: "/api/v2/repos", repeat: true})
	switch {
	case r.status == http.StatusNotFound && r.code() == "":
		return Info{}, c.notGovc(r, "it is a govc from before API v2 (98ae706 or older), which loses what is written to it; replace it by a newer build, or by caiatop server")
	case err != nil:
		return Info{}, err
	}
	return Info{Dialect: DialectV1, Reason: "LEGACY (API v1), because " + probed + "REPO_NOT_FOUND, and API v2 exists"}, nil
}

// described returns what is known of the service, and asks if nothing is.
func (c *Client) described(ctx context.Context) (Info, error) {
	if known := c.info.Load(); known != nil {
		return *known, nil
	}
	return c.Describe(ctx)
}

// maxChecks bounds the checks of a Health.
const maxChecks = 32

// Health asks whether the service is alive, then how it is. A service whose
// only trouble is that it has nearly as many repositories as it may is usable
// and no error. Nothing is retried. Where idle repositories are forgotten, it
// also keeps ours from being one.
func (c *Client) Health(ctx context.Context) (Health, error) {
	live := request{op: "check liveness", method: http.MethodGet, path: "/health/live", probe: true, open: true}
	r, err := c.call(ctx, live)
	if err != nil {
		return Health{}, err
	}
	var alive struct {
		Status string `json:"status"`
	}
	if decodeFirst(r.body, &alive) != nil || alive.Status != "alive" {
		return Health{}, c.notGovc(r, "its /health/live is not govc's; check host, port and path of the URL")
	}
	if err := c.touch(ctx); err != nil {
		return Health{}, err
	}
	r, err = c.call(ctx, request{op: "check health", method: http.MethodGet, path: "/health", open: true})
	if err != nil && r.status != http.StatusServiceUnavailable {
		return Health{}, err
	}
	var told struct {
		Status  string `json:"status"`
		Version string `json:"version"`
		Uptime  string `json:"uptime"`
		Checks  map[string]struct {
			Status string `json:"status"`
		} `json:"checks"`
	}
	if decodeFirst(r.body, &told) != nil || told.Status == "" {
		if err != nil { // 503 of something in between
			return Health{}, err
		}
		return Health{}, c.notGovc(r, "its /health is not govc's; check host, port and path of the URL")
	}
	h := Health{Status: bounded(told.Status, maxStart), Version: bounded(told.Version, maxStart), Checks: map[string]string{}}
	if uptime, err := time.ParseDuration(told.Uptime); err == nil {
		h.Uptime = uptime
	}
	broken, nearlyFull := "", false
	for name, check := range told.Checks {
		if len(h.Checks) < maxChecks {
			h.Checks[bounded(name, maxStart)] = bounded(check.Status, maxStart)
		}
		switch {
		case name == "repositories" && check.Status == "warning":
			nearlyFull = true
		case check.Status == "warning" && (name == "access" || name == "certificate"):
			// Of ours: for its operator, and takes nothing from clients.
		case check.Status != "healthy":
			broken = name
		}
	}
	if err != nil && (broken != "" || !nearlyFull) {
		return h, fmt.Errorf("govc: check health: %w: the service says %q of %q", store.ErrUnavailable, h.Status, bounded(broken, maxStart))
	}
	return h, nil
}
