package govc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Tip returns the hash of the repository's newest commit, "" if it has none.
// Where it is the commit of our own last batch, nobody else has committed
// since. The error wraps errors.ErrUnsupported where a commit may be missing
// from the service's log, so that its newest one proves nothing.
func (c *Client) Tip(ctx context.Context) (string, error) {
	info, err := c.described(ctx)
	if err != nil {
		return "", err
	}
	if info.Implementation != ours {
		return "", fmt.Errorf("govc: newest commit: the log of this service is not complete: %w", errors.ErrUnsupported)
	}
	commits, err := c.speak(info).log(ctx, "", 1)
	if err != nil || len(commits) == 0 {
		return "", err
	}
	return commits[0].Hash, nil
}

const (
	// reachPage is how many commits one look for a commit asks for.
	reachPage = 1000
	// reachMost bounds how far back a commit is looked for.
	reachMost = 10_000
)

// Reaches reports whether the newest commit of the repository is this one, or
// has it among the newest 10,000 commits that it is made of. A service that went
// back to an earlier time does not reach what was committed after it. Errors are
// those of Tip.
func (c *Client) Reaches(ctx context.Context, commit string) (bool, error) {
	tip, err := c.Tip(ctx)
	if err != nil || tip == commit || tip == "" {
		return err == nil && tip == commit && tip != "", err
	}
	for offset := 0; offset < reachMost; offset += reachPage {
		found, more, err := c.since(ctx, commit, offset)
		if err != nil || found || !more {
			return found, err
		}
	}
	return false, nil
}

// since looks for a commit among the parents of those that came after it.
func (c *Client) since(ctx context.Context, commit string, offset int) (found, more bool, err error) {
	r, err := c.call(ctx, request{
		op: "look for commit", method: http.MethodGet, path: c.repoPath("/api/v2", "/commits"),
		query:  url.Values{"since": {commit}, "limit": {strconv.Itoa(reachPage)}, "offset": {strconv.Itoa(offset)}},
		repeat: true, timeout: c.timeouts.Bulk,
	})
	if r.code() == "REF_NOT_FOUND" {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	var told struct {
		Commits []struct {
			Parent string `json:"parent"`
		} `json:"commits"`
	}
	if err := decodeFirst(r.body, &told); err != nil {
		return false, false, c.notGovc(r, "its log is not govc's")
	}
	for _, m := range told.Commits {
		if m.Parent == commit {
			return true, false, nil
		}
	}
	return false, len(told.Commits) == reachPage, nil
}
