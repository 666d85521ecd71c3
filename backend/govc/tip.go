package govc

import (
	"context"
	"errors"
	"fmt"
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
