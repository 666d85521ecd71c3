package govc

import (
	"errors"
	"testing"
)

// TestBatchLimits: at the limits of a batch, and one past them. Nothing is
// sent, because nobody listens.
func TestBatchLimits(t *testing.T) {
	for size, want := range map[int]error{maxBody: nil, maxBody + 1: nil, maxUnpacked: nil, maxUnpacked + 1: errNoBatch} {
		out, err := pack(make([]byte, size))
		if !errors.Is(err, want) || (err == nil && (len(out) == size) != (size <= maxBody)) {
			t.Errorf("%d bytes are packed into %d, %v", size, len(out), err)
		}
	}
	c, err := New(Options{URL: "http://127.0.0.1:1", Repo: "r", Retry: RetryOptions{Max: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n, tooMany := range map[int]bool{maxItems: false, maxItems + 1: true} {
		if _, err := c.sendBatch(t.Context(), batchRequest{Items: make([]batchItem, n)}, nil); errors.Is(err, errNoBatch) != tooMany {
			t.Errorf("%d items: %v", n, err)
		}
	}
}
