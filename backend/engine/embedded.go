package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/fault"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// startEmbedded starts the embedded service, with the repositories in its folder
// or with none. A folder that cannot be used is no error: the service then is
// down until it can be, at the address that it is to have.
func (h *Host) startEmbedded(ctx context.Context, s Setup, o *Options, key string) (own *embedded, url string, err error) {
	at := govcd.Options{Key: key, Version: s.Version, Embedded: true, Now: o.Now, Logger: h.log}
	own = &embedded{blank: at, folder: !s.Memory, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))}
	if !s.Memory {
		at.Data = filepath.Join(s.Dir, ServiceDir)
	}
	if own.whole, err = govcd.Open(ctx, at); err != nil && at.Data == "" {
		return nil, "", err
	}
	if err == nil {
		h.onClose(own.close)
		url, err = own.whole.Start(own.addr)
		own.addr = strings.TrimPrefix(url, "http://") // with the port that was chosen
		return own, url, err
	}
	if ctx.Err() != nil {
		return nil, "", errors.Join(ctx.Err(), err)
	}
	own.trouble = err
	if own.addr, err = freeAddress(ctx, own.addr); err != nil {
		return nil, "", err
	}
	own.whole = govcd.New(at)
	h.onClose(own.close)
	return own, "http://" + own.addr, nil
}

// freeAddress returns the address with a port that is free now.
func freeAddress(ctx context.Context, addr string) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// embedded is the service in this process at its one address. While it is
// stopped, the address stays its own: nobody else is given the port.
type embedded struct {
	whole *govcd.Service // with what its folder holds
	blank govcd.Options  // of one that holds nothing
	addr  string
	// folder: whole has one; standIn: empty runs in its place.
	folder  bool
	standIn atomic.Bool

	mu    sync.Mutex
	empty *govcd.Service // nil while it does not run
	leave func() error   // gives the reserved port back, nil if it is not reserved

	troubleMu sync.Mutex // guards trouble; never held over I/O
	trouble   error
}

// Keeps implements Embedded.
func (m *embedded) Keeps() bool { return m.folder && !m.standIn.Load() }

// Start implements Embedded.
func (m *embedded) Start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.empty != nil {
		return errors.New("the embedded service runs with nothing in it: it must be stopped first")
	}
	_, err := m.whole.Start(m.addr)
	m.troubleMu.Lock()
	m.trouble = err
	m.troubleMu.Unlock()
	if err == nil {
		m.unreserve()
	}
	return err
}

// Trouble implements Embedded.
func (m *embedded) Trouble() error {
	m.troubleMu.Lock()
	defer m.troubleMu.Unlock()
	return m.trouble
}

// StartEmpty implements Embedded.
func (m *embedded) StartEmpty() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	empty := govcd.New(m.blank)
	if _, err := empty.Start(m.addr); err != nil {
		return err
	}
	m.empty = empty
	m.standIn.Store(true)
	m.unreserve()
	return nil
}

// Stop implements Embedded.
func (m *embedded) Stop(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop(ctx)
}

func (m *embedded) stop(ctx context.Context) error {
	if m.empty != nil {
		if err := m.empty.Stop(ctx); err != nil {
			return err
		}
		m.empty = nil
		m.standIn.Store(false)
	} else if err := m.whole.Stop(ctx); err != nil {
		return err
	}
	if m.leave == nil {
		_, leave, err := fault.Reserve(m.addr)
		if err != nil {
			return nil //nolint:nilerr // somebody was given the port in this moment: the next start says so
		}
		m.leave = leave
	}
	return nil
}

// unreserve gives the port back that a listener has now.
func (m *embedded) unreserve() {
	if m.leave != nil {
		_ = m.leave() // what stays reserved is ours all the same
		m.leave = nil
	}
}

// close ends the service for good.
func (m *embedded) close(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.stop(ctx)
	m.unreserve()
	return err
}

// troubled is what the embedded service cannot be started for, nil where it
// runs, was taken down, or is none.
func (e *Engine) troubled() error {
	if e.o.Embedded == nil {
		return nil
	}
	return e.o.Embedded.Trouble()
}

// embeddedAdvice says what brings an embedded service back that cannot use its
// folder, for this reason.
func (e *Engine) embeddedAdvice(err error) string {
	dir := filepath.Join(e.o.StateDir, ServiceDir)
	if errors.Is(err, durable.ErrDiskFull) || errors.Is(err, store.ErrDiskFull) {
		return "Free space on the disk of " + dir + ", then press r (caiatop recover), which starts the embedded service again"
	}
	return "Press r (caiatop recover): it starts the embedded service again. If that does not help, make " + dir +
		" writable or move it away first: it is filled again from git"
}

// restartEmbedded starts an embedded service again that keeps its data and is not
// well: its folder may have been mended, put back or moved away.
func (e *Engine) restartEmbedded(ctx context.Context) error {
	if e.o.Embedded == nil || !e.o.Embedded.Keeps() {
		return nil
	}
	e.drills.mu.Lock()
	defer e.drills.mu.Unlock()
	if e.drills.run != nil {
		return nil // its end starts the service
	}
	e.mu.Lock()
	well := (e.view.health.Up && !e.view.unjudged) || e.view.state == StateProbing
	e.mu.Unlock()
	trouble := e.troubled()
	if well && trouble == nil {
		return nil
	}
	if trouble == nil {
		if err := e.o.Embedded.Stop(ctx); err != nil {
			// What it could not write any more is in the outbox or in git.
			e.event(Warning, "service", "The embedded service did not end well: "+err.Error(), "It is compared with what is known here when it serves again")
		}
	}
	if err := e.o.Embedded.Start(); err != nil {
		e.touch()
		return fmt.Errorf("the embedded service cannot be started: %w", err)
	}
	e.event(Info, "service", "The embedded service was started again, with what its folder holds", "")
	e.prober.Hurry()
	return nil
}
