package govc_test

import (
	"errors"
	"testing"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
)

func TestTipIsTheNewestCommitOfAnybody(t *testing.T) {
	_, url := startService(t, govcd.Options{})
	c := openClient(t, govc.Options{URL: url})
	if tip, err := c.Tip(t.Context()); err != nil || tip != "" {
		t.Fatalf("an empty repository has the tip %q, %v", tip, err)
	}
	receipt, err := c.Apply(t.Context(), put(newDoc(t, "a", "one")))
	if err != nil {
		t.Fatal(err)
	}
	if tip, err := c.Tip(t.Context()); err != nil || tip != receipt.Commit {
		t.Errorf("tip %q, %v, want %q", tip, err, receipt.Commit)
	}
	marked, err := c.WriteMarker(t.Context(), govc.Marker{Lineage: "l", Epoch: 1})
	if err != nil || marked == receipt.Commit {
		t.Fatalf("%q, %v", marked, err)
	}
	if tip, err := c.Tip(t.Context()); err != nil || tip != marked {
		t.Errorf("tip %q, %v, want %q", tip, err, marked)
	}
}

func TestTipOfAPlainServiceProvesNothing(t *testing.T) {
	c := openClient(t, govc.Options{URL: startPlain(t)})
	if _, err := c.Tip(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
