package govcd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the files of a certificate are looked at, on use.
const certificateEvery = time.Second

// ErrNotValid: a certificate is not valid now.
var ErrNotValid = errors.New("the certificate is not to be used now")

// Certificate is a certificate in two files, which may be replaced while the
// service runs: a renewal needs no restart. New files are in force for the
// connections that come after them; while they cannot be used, or do not
// belong together, the certificate before stays in force and Problem says why.
// Its methods are safe for concurrent use; it has no goroutine and needs no end.
type Certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]os.FileInfo // of the files that were tried last
	checked time.Time
	problem error
}

// LoadCertificate reads a certificate with its chain and its key, both in PEM. It
// fails with ErrNotValid where the certificate is not valid yet, or no more. A
// nil now is time.Now, a nil log discards.
func LoadCertificate(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, now: now, log: log}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	pair, err := c.load()
	if err != nil {
		return nil, err
	}
	c.current, c.checked = pair, c.now()
	return c, nil
}

// Config is what a server needs to use the certificate: TLS 1.2 at least.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.fresh(), nil },
	}
}

// Problem returns why the files are not in force, or that the certificate in
// force is not valid any more; nil if all is well.
func (c *Certificate) Problem() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	if c.problem != nil {
		return c.problem
	}
	return valid(c.current, c.now())
}

// fresh returns the certificate that is in force now.
func (c *Certificate) fresh() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return c.current
}

// look reads the files again if they changed, or could not be used before. The
// caller holds mu.
func (c *Certificate) look() {
	now := c.now()
	if since := now.Sub(c.checked); since >= 0 && since < certificateEvery {
		return
	}
	c.checked = now
	if c.problem == nil && c.unchanged() {
		return
	}
	pair, err := c.load()
	if err != nil {
		if c.problem == nil || c.problem.Error() != err.Error() {
			c.log.Error("the new certificate cannot be used: the one before stays in force", "file", c.certFile, "error", err)
		}
		c.problem = err
		return
	}
	c.current, c.problem = pair, nil
	c.log.Info("the certificate was read again", "file", c.certFile, "until", pair.Leaf.NotAfter)
}

func (c *Certificate) files() [2]string { return [2]string{c.certFile, c.keyFile} }

// unchanged reports whether both files are those that were read.
func (c *Certificate) unchanged() bool {
	for i, name := range c.files() {
		info, err := os.Stat(name)
		before := c.seen[i]
		if err != nil || before == nil || !os.SameFile(before, info) || info.Size() != before.Size() || !info.ModTime().Equal(before.ModTime()) {
			return false
		}
	}
	return true
}

// load reads both files. What they looked like is taken before, so that a change
// in the meantime is seen later.
func (c *Certificate) load() (*tls.Certificate, error) {
	for i, name := range c.files() {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		c.seen[i] = info
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	if err := valid(&pair, c.now()); err != nil {
		return nil, err
	}
	return &pair, nil
}

func valid(pair *tls.Certificate, now time.Time) error {
	if leaf := pair.Leaf; now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return fmt.Errorf("%w: it is valid from %s to %s only", ErrNotValid, leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}
