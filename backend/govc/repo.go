package govc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/store"
)

// markerPath is where the lineage of a repository is written down.
const markerPath = "caiatop/store.json"

const markerMessage = "Write store marker\n"

// Marker names the lineage of a repository.
type Marker struct {
	Lineage string    `json:"lineage"`
	Epoch   int64     `json:"epoch"`
	Created time.Time `json:"created"`
}

// EnsureRepo creates the repository unless it exists, and reports whether it
// did.
func (c *Client) EnsureRepo(ctx context.Context) (created bool, err error) {
	info, err := c.described(ctx)
	if err != nil {
		return false, err
	}
	if !info.isOurs() && strings.HasPrefix(c.repo, "login") {
		// Every write would have a path with "/login" in it, of which a plain
		// govc takes five and then locks the address out.
		return false, &RefusedError{Op: "create repository", Status: http.StatusBadRequest, Code: "INVALID_REPO_ID", Message: "this service takes writes to such a repository for logins; choose a name that does not begin with login"}
	}
	created, err = c.speak(info).create(ctx)
	if errors.Is(err, store.ErrForbidden) {
		// Who may write to a repository need not be allowed to make one.
		if exists, lookErr := c.RepoExists(ctx); lookErr == nil && exists {
			return false, nil
		}
	}
	if created {
		c.sentinel.Store(false)
	}
	return created, err
}

// RepoExists reports whether the repository exists. It does not ask for the
// repository itself, because that can end a plain govc beside a writer.
func (c *Client) RepoExists(ctx context.Context) (bool, error) {
	info, err := c.described(ctx)
	if err != nil {
		return false, err
	}
	if _, err = c.speak(info).log(ctx, "", 1); isRepoGone(err) {
		return false, nil
	}
	return err == nil, err
}

// isRepoGone reports that the service answers and has no such repository.
func isRepoGone(err error) bool {
	var wrong *NotGovcError
	return errors.Is(err, store.ErrIdentity) && !errors.As(err, &wrong)
}

// ReadMarker reads the marker; not found if the repository or the marker is
// absent. A marker that cannot be read is store.ErrCorrupt.
func (c *Client) ReadMarker(ctx context.Context) (m Marker, found bool, err error) {
	info, err := c.described(ctx)
	if err != nil {
		return Marker{}, false, err
	}
	data, err := c.speak(info).read(ctx, markerPath)
	switch {
	case isNotFound(err), isRepoGone(err):
		c.sentinel.Store(false) // whoever asked knows now
		return Marker{}, false, nil
	case err != nil:
		return Marker{}, false, err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Lineage == "" {
		return Marker{}, false, fmt.Errorf("govc: read %s: %w: it names no lineage", markerPath, store.ErrCorrupt)
	}
	c.sentinel.Store(true)
	return m, true, nil
}

// stillThere reports a repository of LEGACY that was emptied. Such a service
// forgets what a repository held when nobody asked for it for a while, and goes
// on answering as if it had never held anything. The marker is the sentinel:
// once it was seen, a repository without it is another one (store.ErrIdentity),
// until ReadMarker has told the caller so.
func (c *Client) stillThere(ctx context.Context, info Info) error {
	if info.Dialect != DialectV1 || !c.sentinel.Load() {
		return nil
	}
	_, err := c.speak(info).read(ctx, markerPath)
	if isNotFound(err) {
		return fmt.Errorf("govc: %w: the service emptied the repository %q: %s, which was there, is gone; raise pool.max_idle_time of the service", store.ErrIdentity, c.repo, markerPath)
	}
	return err
}

// touch asks for something of a repository of LEGACY before the service takes
// it for idle. What the answer says is for the next read or write to judge.
func (c *Client) touch(ctx context.Context) error {
	info := c.info.Load()
	if info == nil || info.Dialect != DialectV1 || c.now().UnixNano()-c.touched.Load() < int64(c.touchEvery) {
		return nil
	}
	_, err := c.speak(*info).read(ctx, markerPath)
	if isNotFound(err) || isRepoGone(err) {
		return nil
	}
	return err
}

// WriteMarker writes the marker and returns the commit that holds it. Errors
// are those of Apply.
func (c *Client) WriteMarker(ctx context.Context, m Marker) (commit string, err error) {
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", fmt.Errorf("govc: encode marker: %w", err)
	}
	unlock, err := c.writer.lock(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("govc: write %s: %w", markerPath, err)
	}
	defer unlock()
	info, err := c.described(ctx)
	if err != nil {
		return "", err
	}
	if info.batches() {
		body = append(body, '\n')
		in := &changes{Batch: frame.Batch{Message: markerMessage, At: c.now()}}
		in.put(markerPath, body, blobHash(body), frame.Anything, frame.Hash{}, "")
		done, err := c.sendBatch(ctx, in, nil)
		if err == nil && in.is(0, done.items[0]) != nil {
			err = fmt.Errorf("govc: write %s: %w: the service answers %q", markerPath, store.ErrConflict, bounded(done.items[0].Code, maxStart))
		}
		return done.commit, err
	}
	d := c.speak(info)
	c.dirty.Store(true)
	if err := d.add(ctx, markerPath, append(body, '\n')); err != nil {
		return "", err
	}
	commit, err = d.commit(ctx, commitRequest{
		Message: markerMessage, Timestamp: timestamp(c.now()),
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
