package engine

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/fault"
	"github.com/caiatech/caiatop/backend/govcd"
)

// startEmbedded starts the embedded service, with the repositories in its
// folder or with none.
func (h *Host) startEmbedded(ctx context.Context, s Setup, o *Options, key string) (own *embedded, url string, err error) {
	at := govcd.Options{Key: key, Version: s.Version, Embedded: true, Now: o.Now, Logger: h.log}
	own = &embedded{blank: at, folder: !s.Memory}
	if !s.Memory {
		at.Data = filepath.Join(s.Dir, ServiceDir)
	}
	own.whole, err = govcd.Open(ctx, at)
	if err != nil && at.Data != "" {
		return nil, "", &ServiceDirError{Dir: at.Data, Err: err}
	}
	if err != nil {
		return nil, "", err
	}
	h.onClose(own.close)
	url, err = own.whole.Start(net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)))
	own.addr = strings.TrimPrefix(url, "http://") // with the port that was chosen
	return own, url, err
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
	if _, err := m.whole.Start(m.addr); err != nil {
		return err
	}
	m.unreserve()
	return nil
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
