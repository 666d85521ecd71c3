package engine

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe/journal"
)

// known is a service of which only this is asked.
type known struct {
	Primary
	access govc.Access
}

func (k *known) Access() govc.Access { return k.access }

// TestEndOfCredentials is told before it comes, each time it has come nearer,
// and never of credentials that are renewed.
func TestEndOfCredentials(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	db, err := state.Open(t.Context(), t.TempDir(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	service := &known{}
	e := newEngine(Options{State: db, Journal: journal.New(), Primary: service, Now: func() time.Time { return now }, Layout: document.LayoutFanOut})
	told := func() (out []string) {
		for _, ev := range e.view.events {
			out = append(out, fmt.Sprintf("%s %s", ev.Level, ev.Text))
			if ev.Kind != "access" || ev.Next == "" {
				t.Errorf("event %+v", ev)
			}
		}
		e.view.events = nil
		return out
	}
	end := now.Add(10 * 24 * time.Hour)
	for _, step := range []struct {
		at   time.Duration // before the end
		a    govc.Access
		want string
	}{
		{240 * time.Hour, govc.Access{}, ""},
		{240 * time.Hour, govc.Access{Expires: end}, ""},
		{167 * time.Hour, govc.Access{Expires: end, Renews: true}, ""},
		{167 * time.Hour, govc.Access{Expires: end, Renews: true, Problem: "it is forbidden"}, string(Warning) + " .*it is forbidden"},
		{166 * time.Hour, govc.Access{Expires: end}, ""},
		{20 * time.Hour, govc.Access{Expires: end, Method: govc.MethodToken}, string(Warning) + " .*(token) end at 2026-03-24T12:00:00Z, in 20h0m0s"},
		{19 * time.Hour, govc.Access{Expires: end}, ""},
		{9 * time.Minute, govc.Access{Expires: end}, string(Warning) + " .*in 9m0s"},
		{0, govc.Access{Expires: end}, string(Error) + " .*have ended"},
		{-time.Hour, govc.Access{Expires: end}, ""},
		{-time.Hour, govc.Access{Expires: end.Add(90 * time.Minute)}, string(Warning) + " .*in 30m0s"},
		{-2 * time.Hour, govc.Access{Insecure: true}, string(Warning) + " .*govc.insecure"},
		{-2 * time.Hour, govc.Access{Insecure: true}, ""},
	} {
		now, service.access = end.Add(-step.at), step.a
		if step.at == -time.Hour && !step.a.Expires.Equal(end) {
			now = end.Add(time.Hour)
		}
		e.watchCredentials()
		got := strings.Join(told(), "\n")
		level, text, _ := strings.Cut(step.want, " .*")
		if (step.want == "") != (got == "") || !strings.HasPrefix(got, level) || !strings.Contains(got, text) {
			t.Errorf("%v before the end: %q, want %q", step.at, got, step.want)
		}
	}
}

// arrives starts an engine and waits until its primary is in a state.
func arrives(t *testing.T, s Setup, at State) *Stats {
	t.Helper()
	s.Dir, s.Repository, s.Phase, s.Layout, s.Strict = t.TempDir(), "docs", PhaseDual, document.LayoutFanOut, true
	s.Author = store.Author{Name: "Ada", Email: "ada@example.org"}
	h, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	stats := h.Subscribe()
	defer stats.Close()
	for now := range stats.C {
		if now.State == at {
			return now
		}
		if now.State != StateProbing && now.State != StateReseeding && now.State != StateReplaying {
			t.Fatalf("%s instead of %s: %s", now.State, at, now.Reason)
		}
	}
	t.Fatal("the engine ended")
	return nil
}

// TestUntrustedServiceIsFallback: a certificate that is not trusted ends
// nothing: the reason says what to do, and it ends when the certificate does.
func TestUntrustedServiceIsFallback(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	s := arrives(t, Setup{URL: server.URL}, StateFallback)
	if !strings.Contains(s.Reason, "govc.ca") || !strings.Contains(s.Reason, "nobody who is trusted") {
		t.Errorf("the reason is %q", s.Reason)
	}
}

// TestRefusedLoginIsLocked: a service that lives and takes no such user is no
// outage; what was given otherwise reaches it over TLS.
func TestRefusedLoginIsLocked(t *testing.T) {
	t.Parallel()
	service := govcd.New(govcd.Options{Key: "right"})
	server := httptest.NewTLSServer(service.Handler())
	defer func() {
		server.Close()
		if err := service.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	trust := govc.TLSOptions{CAFile: ca}
	s := arrives(t, Setup{URL: server.URL, TLS: trust, Login: govc.Login{User: "ada", Password: "hunter2"}}, StateLocked)
	if !strings.Contains(s.Reason, "refuses our credentials") || strings.Contains(s.Reason, "hunter2") || !strings.Contains(s.Next, "user and password") {
		t.Errorf("%s; %s", s.Reason, s.Next)
	}
	if s = arrives(t, Setup{URL: server.URL, TLS: trust, Token: "right"}, StatePrimary); s.Facts.Access.Method != govc.MethodAPIKey || s.Facts.Access.TLSVersion == "" {
		t.Errorf("Access = %+v", s.Facts.Access)
	}
}

// TestForbiddenIsToldApart: who may not write is told to have it granted, not to
// correct the credentials.
func TestForbiddenIsToldApart(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{store.ErrForbidden: "granted", store.ErrUnauthorized: "GOVC_AUTH_TOKEN"} {
		if v := refused(err); v.to != StateLocked || !strings.Contains(v.next, want) {
			t.Errorf("refused(%v) = %+v", err, v)
		}
	}
}
