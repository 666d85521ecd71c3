package access

import (
	"fmt"
	"testing"
	"time"
)

// TestARememberedTokenEnds when it says so, is not valid before it is, and lets
// no other one pass.
func TestARememberedTokenEnds(t *testing.T) {
	at := newClock()
	c := control(t, Options{Keyring: keyring(t, goodSecret), Now: at.now})
	minted, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Minute})
	must(t, err)
	token := minted.Value.Reveal()
	for range 2 {
		who, err := c.Authenticate(request(bearer(token)...))
		if err != nil || who.Subject != "ann" || len(c.verified.known) != 1 {
			t.Fatalf("%+v, %v, %d remembered", who, err, len(c.verified.known))
		}
	}
	for _, wrong := range []string{spoil(token, len(token)-5), spoil(token, 60), token[:len(token)-1]} {
		if _, err := c.Authenticate(request(bearer(wrong)...)); err == nil || len(c.verified.known) != 1 {
			t.Errorf("%v, %d remembered", err, len(c.verified.known))
		}
	}
	at.pass(-Leeway - time.Second)
	_, err = c.Authenticate(request(bearer(token)...))
	wantDenied(t, "the clock was set back", err, ErrUnauthenticated, NotYet)
	at.pass(Leeway + time.Second + time.Minute + Leeway - time.Nanosecond)
	if _, err := c.Authenticate(request(bearer(token)...)); err != nil {
		t.Errorf("at its end: %v", err)
	}
	at.pass(time.Nanosecond)
	_, err = c.Authenticate(request(bearer(token)...))
	wantDenied(t, "remembered past its end", err, ErrUnauthenticated, Expired)
}

func TestRememberedTokensAreBounded(t *testing.T) {
	var v verified
	for i := range maxVerified + 1 {
		v.add(fmt.Sprint(i), Identity{Expires: noon}, noon)
		if i == maxVerified-1 && len(v.known) != maxVerified {
			t.Errorf("%d within the limit", len(v.known))
		}
	}
	if _, ok := v.find(fmt.Sprint(maxVerified), noon); len(v.known) != 1 || !ok {
		t.Errorf("%d past the limit, the newest: %v", len(v.known), ok)
	}
}
