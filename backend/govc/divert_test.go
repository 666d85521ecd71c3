package govc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/fault"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

func startProxy(t *testing.T, target string, m fault.Mode) *fault.Proxy {
	t.Helper()
	p := fault.New(fault.Options{Target: target})
	if err := errors.Join(p.Set(m), p.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestADivertedClientSaysTheSame: through a proxy the certificate is checked for
// the name of the service, the credentials are sent, and nothing of it shows.
func TestADivertedClientSaysTheSame(t *testing.T) {
	own := newAuthority(t, "Own CA")
	for _, o := range []struct {
		service govcd.Options
		client  govc.Options
	}{
		{govcd.Options{Key: "k"}, govc.Options{APIKey: "k"}},
		{govcd.Options{Key: "k", TLS: own.server(time.Time{}, "127.0.0.1")}, govc.Options{APIKey: "k", TLS: govc.TLSOptions{CAFile: own.file}}},
	} {
		_, url := startService(t, o.service)
		o.client.URL = url
		c := openClient(t, o.client)
		if _, err := c.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := c.Access()
		if want := strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://"); c.Address() != want || c.Secure() != strings.HasPrefix(url, "https") {
			t.Errorf("connects to %s, want %s", c.Address(), want)
		}
		p := startProxy(t, c.Address(), fault.Pass())
		if !c.Divert(p.Addr()) {
			t.Fatal("the client cannot be diverted")
		}
		d := newDoc(t, "a", "text")
		if _, err := c.Apply(t.Context(), put(d)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := c.Access(); after.Peer != before.Peer || after.TLSVersion != before.TLSVersion || after.Proxy != "" {
			t.Errorf("Access = %+v, was %+v", after, before)
		}
		seen := p.Stats()
		if seen.Accepted == 0 || seen.Received == 0 {
			t.Errorf("nothing came through the proxy: %+v", seen)
		}
		if err := p.Set(fault.Down()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("while the proxy is down: %v", err)
		}
		c.Divert("")
		if got, err := c.Get(t.Context(), keyOf(d)); err != nil || got.Content.Text != "text" {
			t.Errorf("afterwards: %+v, %v", got, err)
		}
		if p.Stats().Accepted != seen.Accepted {
			t.Error("a connection was made to the proxy after the diversion")
		}
	}
}

func TestAddressHasAPort(t *testing.T) {
	for url, want := range map[string]string{
		"http://example.org": "example.org:80", "https://example.org/govc": "example.org:443", "https://[::1]": "[::1]:443", "http://example.org:8080": "example.org:8080",
	} {
		if got := newClient(t, govc.Options{URL: url}).Address(); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	t.Setenv("HTTP_PROXY", "http://proxy.example:3128")
	t.Setenv("NO_PROXY", "")
	if got := newClient(t, govc.Options{URL: "http://example.org"}).Address(); got != "proxy.example:3128" {
		t.Errorf("behind a proxy: %s", got)
	}
}

func TestAGivenTransportIsNotDiverted(t *testing.T) {
	if newClient(t, govc.Options{URL: "http://service", Transport: direct{}}).Divert("127.0.0.1:1") {
		t.Error("a transport of the caller's was replaced")
	}
}
