package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/caiatech/caiatop/config"
)

func from(address string, headers ...string) *http.Request {
	r := request(headers...)
	r.RemoteAddr = address
	return r
}

func TestRequestsAreLimitedByAddress(t *testing.T) {
	at := newClock()
	c := control(t, Options{Now: at.now, Limits: Limits{Requests: 10, Burst: 5}})
	for i := range 5 {
		if err := c.Admit(from("192.0.2.1:1", "X-Forwarded-For", fmt.Sprint("10.0.0.", i))); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	err := c.Admit(from("192.0.2.1:2", "X-Forwarded-For", "10.0.0.9"))
	wantDenied(t, "one past the limit", err, ErrLimited, Rate)
	var d *Denied
	if errors.As(err, &d); d.After <= 0 || d.After > 100*time.Millisecond {
		t.Errorf("try again after %v", d.After)
	}
	must(t, c.Admit(from("192.0.2.2:1")))
	at.pass(d.After)
	must(t, c.Admit(from("192.0.2.1:1")))
	for range 100 {
		must(t, c.Admit(from("127.0.0.1:1")))
		must(t, c.Admit(from("[::1]:1")))
		must(t, c.Admit(from("@")))
	}
}

// TestWrongCredentialsLockAnAddressOut: also a right one is not looked at then,
// a mistyped key counts, and asking without one does not.
func TestWrongCredentialsLockAnAddressOut(t *testing.T) {
	at := newClock()
	c := control(t, Options{AdminKey: config.NewSecret(adminKey), Now: at.now, Limits: Limits{Failures: 3, Forgive: time.Minute}})
	wrong := []string{"guess", KeyPrefix + "typo", "eyJ.eyJ.x"}
	for _, guess := range wrong {
		_, err := c.Authenticate(from("192.0.2.1:1", "X-API-Key", guess))
		if !errors.Is(err, ErrUnauthenticated) {
			t.Fatal(err)
		}
		_, err = c.Authenticate(from("192.0.2.1:1"))
		wantDenied(t, "no credential", err, ErrUnauthenticated, NoCredential)
	}
	_, err := c.Authenticate(from("192.0.2.1:9", "X-API-Key", adminKey))
	wantDenied(t, "locked out", err, ErrLimited, LockedOut)
	var d *Denied
	if errors.As(err, &d); d.After != time.Minute {
		t.Errorf("for %v", d.After)
	}
	_, err = c.Authenticate(from("192.0.2.1:9"))
	wantDenied(t, "no credential", err, ErrUnauthenticated, NoCredential)
	if _, err := c.Authenticate(from("192.0.2.2:1", "X-API-Key", adminKey)); err != nil {
		t.Errorf("another address: %v", err)
	}
	at.pass(time.Minute - time.Nanosecond)
	_, err = c.Authenticate(from("192.0.2.1:9", "X-API-Key", adminKey))
	wantDenied(t, "still locked out", err, ErrLimited, LockedOut)
	at.pass(time.Millisecond)
	if _, err := c.Authenticate(from("192.0.2.1:9", "X-API-Key", adminKey)); err != nil {
		t.Errorf("forgiven: %v", err)
	}
	// A right one forgives nothing: the next wrong one locks out again.
	_, err = c.Authenticate(from("192.0.2.1:9", "X-API-Key", "guess"))
	wantDenied(t, "wrong", err, ErrUnauthenticated, UnknownKey)
	_, err = c.Authenticate(from("192.0.2.1:9", "X-API-Key", "guess"))
	wantDenied(t, "wrong again", err, ErrLimited, LockedOut)
}

func TestLoopbackIsLockedOutLater(t *testing.T) {
	c := control(t, Options{AdminKey: config.NewSecret(adminKey), Now: newClock().now, Limits: Limits{Failures: 2}})
	for i := range 2 * localFactor {
		if _, err := c.Authenticate(from("127.0.0.1:1", "X-API-Key", "guess")); !errors.Is(err, ErrUnauthenticated) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	_, err := c.Authenticate(from("127.0.0.1:1", "X-API-Key", adminKey))
	wantDenied(t, "this machine", err, ErrLimited, LockedOut)
}

func TestPeers(t *testing.T) {
	for given, want := range map[string]struct {
		address, shown string
		local          bool
	}{
		"192.0.2.1:80":               {"192.0.2.1", "192.0.2.1", false},
		"[::ffff:192.0.2.1]:80":      {"192.0.2.1", "192.0.2.1", false},
		"[2001:db8:1:2:3:4:5:6]:80":  {"2001:db8:1:2::", "2001:db8:1:2:3:4:5:6", false},
		"[2001:db8:1:2:ffff::]:80":   {"2001:db8:1:2::", "2001:db8:1:2:ffff::", false},
		"[fe80::1%eth0]:80":          {"fe80::", "fe80::1%eth0", false},
		"127.0.0.9:80":               {"127.0.0.9", "127.0.0.9", true},
		"[::ffff:127.0.0.1]:80":      {"127.0.0.1", "127.0.0.1", true},
		"[::1]:80":                   {"::1", "::1", true},
		"@":                          {"invalid IP", "local", true},
		"":                           {"invalid IP", "local", true},
		"not an address at all:port": {"invalid IP", "local", true},
	} {
		r := from(given)
		if p := peerOf(r); p.address.String() != want.address || p.local != want.local || Address(r) != want.shown {
			t.Errorf("%q: %v, %v, %q", given, p.address, p.local, Address(r))
		}
	}
}

// TestTheTableIsBounded: it forgets the address that it saw longest ago.
func TestTheTableIsBounded(t *testing.T) {
	table := newTable(1, 1)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range MaxAddresses {
		table.take(address(i), noon)
	}
	if table.take(address(0), noon) == 0 || table.take(address(1), noon) == 0 {
		t.Fatal("forgotten within the limit")
	}
	table.take(address(MaxAddresses), noon) // in place of the third
	if len(table.known) != MaxAddresses || table.order.Len() != MaxAddresses {
		t.Errorf("%d and %d addresses", len(table.known), table.order.Len())
	}
	if table.empty(address(0), noon) == 0 || table.empty(address(1), noon) == 0 || table.empty(address(2), noon) != 0 {
		t.Error("another address was forgotten than the one that was seen longest ago")
	}
	// Looking at strangers adds none.
	for i := range 100 {
		table.empty(address(1<<20+i), noon)
	}
	if len(table.known) != MaxAddresses {
		t.Errorf("%d addresses", len(table.known))
	}
}
