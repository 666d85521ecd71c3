package govc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// markerPath is where the lineage of a repository is written down.
const markerPath = "caiatop/store.json"

// Marker names the lineage of a repository.
type Marker struct {
	Lineage string    `json:"lineage"`
	Epoch   int64     `json:"epoch"`
	Created time.Time `json:"created"`
}

// EnsureRepo creates the repository unless it exists, and reports whether it
// did.
func (c *Client) EnsureRepo(ctx context.Context) (created bool, err error) {
	body, err := json.Marshal(map[string]any{"id": c.repo, "memory_only": true})
	if err != nil {
		return false, fmt.Errorf("govc: create repository: %w", err)
	}
	r, err := c.call(ctx, request{op: "create repository", method: http.MethodPost, path: "/api/v2/repos", body: body, write: true})
	if r.status == http.StatusConflict && r.code() == "REPO_EXISTS" {
		return false, nil
	}
	return err == nil, err
}

// RepoExists reports whether the repository exists. It does not ask for the
// repository itself, because that can end a plain govc beside a writer.
func (c *Client) RepoExists(ctx context.Context) (bool, error) {
	_, err := c.call(ctx, request{
		op: "look for repository", method: http.MethodGet, path: c.api("/commits"), query: url.Values{"limit": {"1"}}, repeat: true,
	})
	var wrong *NotGovcError
	if errors.Is(err, store.ErrIdentity) && !errors.As(err, &wrong) {
		return false, nil
	}
	return err == nil, err
}

// ReadMarker reads the marker; not found if the repository or the marker is
// absent. A marker that cannot be read is store.ErrCorrupt.
func (c *Client) ReadMarker(ctx context.Context) (m Marker, found bool, err error) {
	data, err := c.readFile(ctx, markerPath)
	var wrong *NotGovcError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Marker{}, false, nil
	case errors.Is(err, store.ErrIdentity) && !errors.As(err, &wrong):
		return Marker{}, false, nil
	case err != nil:
		return Marker{}, false, err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Lineage == "" {
		return Marker{}, false, fmt.Errorf("govc: read %s: %w: it names no lineage", markerPath, store.ErrCorrupt)
	}
	return m, true, nil
}

// WriteMarker writes the marker and returns the commit that holds it. Errors
// are those of Apply.
func (c *Client) WriteMarker(ctx context.Context, m Marker) (commit string, err error) {
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", fmt.Errorf("govc: encode marker: %w", err)
	}
	if err := c.writer.lock(ctx); err != nil {
		return "", fmt.Errorf("govc: write %s: %w", markerPath, err)
	}
	defer c.writer.unlock()
	info, err := c.described(ctx)
	if err != nil {
		return "", err
	}
	c.dirty.Store(true)
	if err := c.addFile(ctx, markerPath, append(body, '\n')); err != nil {
		return "", err
	}
	commit, err = c.commit(ctx, commitRequest{
		Message: "Write store marker\n", Author: "caiatop", Email: "caiatop@localhost", Timestamp: timestamp(info, c.now()),
	})
	if err != nil {
		return "", torn(err)
	}
	c.dirty.Store(false)
	got, found, err := c.ReadMarker(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("govc: read back %s: %w: %w", markerPath, store.ErrAmbiguous, err)
	case !found || got.Lineage != m.Lineage || got.Epoch != m.Epoch:
		return "", fmt.Errorf("govc: read back %s: %w: it holds something else than was written", markerPath, store.ErrConflict)
	}
	return commit, nil
}
