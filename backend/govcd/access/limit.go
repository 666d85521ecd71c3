package access

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// MaxAddresses bounds the addresses that are remembered by each limit; then the
// one that was seen longest ago is forgotten.
const MaxAddresses = 4096

// Limits are per address of the other end: a single IPv4 address, or the 64
// bits of an IPv6 network. Zero values are the defaults.
type Limits struct {
	// Requests a second, and how many at once. Loopback has no limit.
	Requests rate.Limit // 1,000
	Burst    int        // 2,000
	// Failures is how many credentials may fail at once, Forgive how long it
	// takes until one more may. While none is left, no credential of that address
	// is looked at. Loopback, where a proxy may stand, has ten times as many.
	Failures int           // 10
	Forgive  time.Duration // 30 s
}

const localFactor = 10

func (l Limits) orDefaults() Limits {
	if l.Requests <= 0 {
		l.Requests = 1000
	}
	if l.Burst <= 0 {
		l.Burst = 2000
	}
	if l.Failures <= 0 {
		l.Failures = 10
	}
	if l.Forgive <= 0 {
		l.Forgive = 30 * time.Second
	}
	return l
}

// table is a token bucket an address. Addresses that were never seen have a full
// one.
type table struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	known map[netip.Addr]*list.Element
	order *list.List // *seen, the newest first
}

type seen struct {
	address netip.Addr
	bucket  *rate.Limiter
}

func newTable(limit rate.Limit, burst int) *table {
	return &table{limit: limit, burst: burst, known: map[netip.Addr]*list.Element{}, order: list.New()}
}

// bucket returns that of an address; without create nil for one that is not
// known.
func (t *table) bucket(a netip.Addr, create bool) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.known[a]; e != nil {
		t.order.MoveToFront(e)
		return e.Value.(*seen).bucket
	}
	if !create {
		return nil
	}
	if t.order.Len() >= MaxAddresses {
		oldest := t.order.Back()
		delete(t.known, oldest.Value.(*seen).address)
		t.order.Remove(oldest)
	}
	bucket := rate.NewLimiter(t.limit, t.burst)
	t.known[a] = t.order.PushFront(&seen{a, bucket})
	return bucket
}

// take takes a token, or says when there is one.
func (t *table) take(a netip.Addr, now time.Time) (after time.Duration) {
	r := t.bucket(a, true).ReserveN(now, 1)
	if after = r.DelayFrom(now); after > 0 {
		r.CancelAt(now)
	}
	return after
}

// empty says when there is a token again, 0 if there is one now.
func (t *table) empty(a netip.Addr, now time.Time) (after time.Duration) {
	bucket := t.bucket(a, false)
	if bucket == nil {
		return 0
	}
	left := bucket.TokensAt(now)
	if left >= 1 {
		return 0
	}
	return time.Duration((1 - left) / float64(t.limit) * float64(time.Second))
}

// limits are all tables.
type limits struct{ requests, failures, localFailures *table }

func newLimits(l Limits) limits {
	l = l.orDefaults()
	return limits{
		requests:      newTable(l.Requests, l.Burst),
		failures:      newTable(rate.Every(l.Forgive), l.Failures),
		localFailures: newTable(rate.Every(l.Forgive/localFactor), l.Failures*localFactor),
	}
}

func (l limits) failuresOf(p peer) *table {
	if p.local {
		return l.localFailures
	}
	return l.failures
}

// peer is the other end of a connection, as the limits count it.
type peer struct {
	address netip.Addr
	local   bool // of this machine
}

// peerOf believes the connection only. One without an address is a socket of
// this machine.
func peerOf(r *http.Request) peer {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return peer{local: true}
	}
	a := at.Addr().Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		network, err := a.Prefix(64)
		if err == nil {
			a = network.Addr()
		}
	}
	return peer{a, a.IsLoopback()}
}

// Address is the other end of a request's connection, for the audit.
func Address(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "local"
	}
	return at.Addr().Unmap().String()
}
