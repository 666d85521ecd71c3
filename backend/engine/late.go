package engine

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// late is the embedded service of an engine that begins in a phase without one,
// and its client. Both are made by the first Start; before, nothing is there.
type late struct {
	keeps bool
	// open starts the service and returns it, its client, and what ends both.
	open func() (*embedded, *govc.Client, string, func(context.Context) error, error)

	mu     sync.Mutex
	own    *embedded
	client *govc.Client
	url    string
	end    func(context.Context) error
}

var (
	_ Primary       = (*late)(nil)
	_ Embedded      = (*late)(nil)
	_ probe.Checker = (*late)(nil)
	_ informant     = (*late)(nil)
	_ diverter      = (*late)(nil)
)

// Keeps implements Embedded.
func (l *late) Keeps() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		return l.keeps
	}
	return l.own.Keeps()
}

// Trouble implements Embedded.
func (l *late) Trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		return nil
	}
	return l.own.Trouble()
}

// Start implements Embedded.
func (l *late) Start() (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own != nil {
		return l.own.Start()
	}
	l.own, l.client, l.url, l.end, err = l.open()
	return err
}

// StartEmpty implements Embedded.
func (l *late) StartEmpty() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		return fmt.Errorf("%w: the embedded service does not run in this phase", store.ErrUnavailable)
	}
	return l.own.StartEmpty()
}

// Stop implements Embedded.
func (l *late) Stop(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil {
		return nil
	}
	return l.own.Stop(ctx)
}

// close ends what was started.
func (l *late) close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		return nil
	}
	return l.end(ctx)
}

// URL is the address of the service, "" if it never ran.
func (l *late) URL() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.url
}

// there returns the client.
func (l *late) there() (*govc.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil, fmt.Errorf("%w: the embedded service does not run in this phase", store.ErrUnavailable)
	}
	return l.client, nil
}

// asked calls the client, if there is one.
func asked[T any](l *late, ask func(*govc.Client) (T, error)) (out T, err error) {
	c, err := l.there()
	if err != nil {
		return out, err
	}
	return ask(c)
}

// Check implements probe.Checker.
func (l *late) Check(ctx context.Context) (probe.Found, error) {
	return asked(l, func(c *govc.Client) (probe.Found, error) { return health{c}.Check(ctx) })
}

// Access implements informant.
func (l *late) Access() govc.Access {
	if c, err := l.there(); err == nil {
		return c.Access()
	}
	return govc.Access{}
}

// Latency implements informant.
func (l *late) Latency() govc.Latency {
	if c, err := l.there(); err == nil {
		return c.Latency()
	}
	return govc.Latency{}
}

// Divert implements diverter.
func (l *late) Divert(address string) bool {
	c, err := l.there()
	return err == nil && c.Divert(address)
}

// Address implements diverter.
func (l *late) Address() string {
	if c, err := l.there(); err == nil {
		return c.Address()
	}
	return ""
}

// Secure implements diverter.
func (l *late) Secure() bool {
	c, err := l.there()
	return err == nil && c.Secure()
}

// Get implements store.Store.
func (l *late) Get(ctx context.Context, key store.Key) (document.Document, error) {
	return asked(l, func(c *govc.Client) (document.Document, error) { return c.Get(ctx, key) })
}

// Apply implements store.Store.
func (l *late) Apply(ctx context.Context, batch store.Batch) (store.Receipt, error) {
	return asked(l, func(c *govc.Client) (store.Receipt, error) { return c.Apply(ctx, batch) })
}

// List implements store.Store.
func (l *late) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	c, err := l.there()
	if err != nil {
		return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, err) }
	}
	return c.List(ctx)
}

// History implements store.Store.
func (l *late) History(ctx context.Context, key store.Key, limit int) ([]store.Revision, error) {
	return asked(l, func(c *govc.Client) ([]store.Revision, error) { return c.History(ctx, key, limit) })
}

// Tip implements Attachment.
func (l *late) Tip(ctx context.Context) (string, error) {
	return asked(l, func(c *govc.Client) (string, error) { return c.Tip(ctx) })
}

// Reaches implements Attachment.
func (l *late) Reaches(ctx context.Context, commit string) (bool, error) {
	return asked(l, func(c *govc.Client) (bool, error) { return c.Reaches(ctx, commit) })
}

// Changed implements Attachment.
func (l *late) Changed(ctx context.Context, from, to string) (changes []govc.Change, complete bool, err error) {
	c, err := l.there()
	if err != nil {
		return nil, false, err
	}
	return c.Changed(ctx, from, to)
}

// Named implements Attachment.
func (l *late) Named(ctx context.Context, types []document.Type) ([]store.Key, error) {
	return asked(l, func(c *govc.Client) ([]store.Key, error) { return c.Named(ctx, types) })
}

// Describe implements Attachment.
func (l *late) Describe(ctx context.Context) (govc.Info, error) {
	return asked(l, func(c *govc.Client) (govc.Info, error) { return c.Describe(ctx) })
}

// EnsureRepo implements Attachment.
func (l *late) EnsureRepo(ctx context.Context) (created bool, err error) {
	return asked(l, func(c *govc.Client) (bool, error) { return c.EnsureRepo(ctx) })
}

// Empty implements Attachment.
func (l *late) Empty(ctx context.Context) (bool, error) {
	return asked(l, func(c *govc.Client) (bool, error) { return c.Empty(ctx) })
}

// ReadMarker implements Attachment.
func (l *late) ReadMarker(ctx context.Context) (m govc.Marker, found bool, err error) {
	c, err := l.there()
	if err != nil {
		return m, false, err
	}
	return c.ReadMarker(ctx)
}

// WriteMarker implements Attachment.
func (l *late) WriteMarker(ctx context.Context, m govc.Marker) (commit string, err error) {
	return asked(l, func(c *govc.Client) (string, error) { return c.WriteMarker(ctx, m) })
}

// Fits implements Attachment.
func (l *late) Fits(d document.Document) error {
	_, err := asked(l, func(c *govc.Client) (struct{}, error) { return struct{}{}, c.Fits(d) })
	return err
}
