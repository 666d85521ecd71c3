package githttp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func sender(r *http.Request) (netip.Addr, bool) {
	at := netip.MustParseAddrPort(r.RemoteAddr).Addr()
	return at, !at.IsLoopback()
}

func from(address string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.RemoteAddr = address + ":4711"
	return r
}

// TestOneAddressDoesNotTakeEveryPlace: sixteen transfers of one client kept all
// others from theirs for as long as they moved.
func TestOneAddressDoesNotTakeEveryPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Transfers: 5, OfOne: 2, Client: sender})
		var leave []func()
		take := func(address string, fits bool) {
			t.Helper()
			begin := time.Now()
			back, err := s.enter(from(address))
			if refused, ok := asRefusal(err); ok == fits || !fits && (refused.After == 0 || time.Since(begin) != DefaultWait) {
				t.Fatalf("%s: %v after %v", address, err, time.Since(begin))
			}
			if err == nil {
				leave = append(leave, back)
			}
		}
		take("192.0.2.1", true)
		take("192.0.2.1", true)
		take("192.0.2.1", false)
		take("192.0.2.2", true)
		take("127.0.0.1", true)
		take("127.0.0.1", true) // is counted for nobody
		take("192.0.2.3", false)

		// Who waits gets the place that becomes free, and whoever goes away none.
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := s.enter(from("192.0.2.1").WithContext(ctx))
			gone <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gone; err != context.Canceled { //nolint:errorlint // it is that one
			t.Error(err)
		}
		waited := make(chan func(), 1)
		go func() {
			back, err := s.enter(from("192.0.2.1"))
			if err != nil {
				t.Error(err)
			}
			waited <- back
		}()
		synctest.Wait()
		leave[0]()
		leave[0] = <-waited
		for _, back := range leave {
			back()
		}
		if len(s.own.of) != 0 || len(s.places) != 0 {
			t.Errorf("left are %d clients, %d places", len(s.own.of), len(s.places))
		}
	})
}
