package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// startEmbedded starts the embedded service, with the repositories in its folder
// or with none. A folder that cannot be used is no error: the service then is
// down until it can be, at the address that it is to have.
func (h *Host) startEmbedded(ctx context.Context, s Setup, o *Options, key string) (own *embedded, url string, err error) {
	at := govcd.Options{Key: key, Version: s.Version, Embedded: true, Now: o.Now, Logger: h.log}
	if !s.Memory {
		at.Data = filepath.Join(s.Dir, ServiceDir)
	}
	own = &embedded{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), dir: at.Data}
	if own.Service, err = govcd.Open(ctx, at); err != nil && at.Data == "" {
		return nil, "", err
	}
	if err == nil {
		h.onClose(own.Service.Stop)
		url, err = own.Service.Start(own.addr)
		return own, url, err
	}
	if ctx.Err() != nil {
		return nil, "", errors.Join(ctx.Err(), err)
	}
	own.trouble = err
	if own.addr, err = freeAddress(ctx, own.addr); err != nil {
		return nil, "", err
	}
	own.Service = govcd.New(at)
	h.onClose(own.Service.Stop)
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

// embedded is the service in this process at its one address.
type embedded struct {
	*govcd.Service
	addr string
	dir  string // "" keeps nothing

	mu      sync.Mutex // guards trouble
	trouble error
}

// Keeps implements Embedded.
func (e *embedded) Keeps() bool { return e.dir != "" }

// Start implements Embedded.
func (e *embedded) Start() error {
	_, err := e.Service.Start(e.addr)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble = err
	return err
}

// Trouble implements Embedded.
func (e *embedded) Trouble() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble
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
	e.drillMu.Lock()
	defer e.drillMu.Unlock()
	e.mu.Lock()
	well := e.view.drill || (e.view.health.Up && !e.view.unjudged) || e.view.state == StateProbing
	e.mu.Unlock()
	trouble := e.troubled()
	if well && trouble == nil {
		return nil
	}
	if trouble == nil {
		if err := e.o.Embedded.Stop(ctx); err != nil {
			return fmt.Errorf("the embedded service cannot be ended: %w", err)
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
