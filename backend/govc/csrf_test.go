package govc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
)

// TestCSRFIsKnownBeforehand: where answers carry tokens, no write is refused for
// the lack of one and hardly one is asked for; each is used once.
func TestCSRFIsKnownBeforehand(t *testing.T) {
	g := guard(t, time.Now)
	c := openClient(t, govc.Options{URL: g.url})
	for i := range 4 {
		if _, err := c.Apply(t.Context(), put(newDoc(t, fmt.Sprint("d", i), "x"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.counts(); got[2] != 0 || !c.Access().CSRF {
		t.Errorf("%d writes were refused, Access = %+v", got[2], c.Access())
	}
	// Tokens die with a service.
	g.change(func() { g.csrf = map[string]bool{} })
	if _, err := c.Apply(t.Context(), put(newDoc(t, "after", "x"))); err != nil {
		t.Errorf("Apply after a restart: %v", err)
	}
	if got := g.counts(); got[2] != 1 {
		t.Errorf("%d writes were refused after a restart, want the first", got[2])
	}
	// A service that was switched over wants none any more.
	g.change(func() { g.debug, g.csrf = true, map[string]bool{} })
	for i := range 3 {
		if _, err := c.Apply(t.Context(), put(newDoc(t, fmt.Sprint("e", i), "x"))); err != nil {
			t.Errorf("Apply without CSRF: %v", err)
		}
	}
	if c.Access().CSRF {
		t.Error("tokens are still wanted")
	}
}

// TestCSRFTokensAge: tokens that lay too long are not tried.
func TestCSRFTokensAge(t *testing.T) {
	clock := newTick()
	g := guard(t, clock.now)
	c := openClient(t, govc.Options{URL: g.url, Now: clock.now})
	if _, err := c.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.change(func() { g.csrf = map[string]bool{} })
	clock.pass(40 * time.Minute)
	if _, err := c.WriteMarker(t.Context(), govc.Marker{Lineage: "l"}); err != nil {
		t.Fatal(err)
	}
	if got := g.counts(); got[2] != 0 {
		t.Errorf("%d writes were refused", got[2])
	}
}
