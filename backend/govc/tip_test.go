package govc_test

import (
	"errors"
	"net/http"
	"strings"
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

// TestReachesIsAboutHistory: a commit that only lies at the service, as on
// another branch, is not reached.
func TestReachesIsAboutHistory(t *testing.T) {
	_, url := startService(t, govcd.Options{})
	c := openClient(t, govc.Options{URL: url})
	if reached, err := c.Reaches(t.Context(), strings.Repeat("0", 40)); err != nil || reached {
		t.Errorf("in an empty repository: %v, %v", reached, err)
	}
	var made []string
	for _, text := range []string{"one", "two", "three"} {
		receipt, err := c.Apply(t.Context(), put(newDoc(t, "a", text)))
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, receipt.Commit)
	}
	asked(t, http.MethodPost, url+"/api/v2/repos/docs/branches", `{"name":"side"}`)
	aside := asked(t, http.MethodPost, url+"/api/v2/repos/docs/batch?branch=side", `{"message":"Aside","items":[{"op":"put","path":"x","content":"y"}]}`)
	for commit, want := range map[string]bool{
		made[0]: true, made[1]: true, made[2]: true, strings.Repeat("1", 40): false, aside["hash"].(string): false,
	} {
		if reached, err := c.Reaches(t.Context(), commit); err != nil || reached != want {
			t.Errorf("%s of %q: %v, %v, want %v", commit, made, reached, err, want)
		}
	}
	plain := openClient(t, govc.Options{URL: startPlain(t)})
	if _, err := plain.Reaches(t.Context(), made[0]); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
