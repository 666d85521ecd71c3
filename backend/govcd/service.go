package govcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

// Limits of the service. Those of the wire are govc's.
const (
	// MaxBody bounds the body of a request, in bytes (10 MiB).
	MaxBody = 10 << 20
	// MaxURLPath bounds the path of a request, in bytes.
	MaxURLPath = 4096
	// MaxQuery bounds the query of a request, in bytes.
	MaxQuery = 2048
	// MaxHeaders bounds the headers of a request, names and values, in bytes.
	MaxHeaders = 8192
	// MaxMessage bounds a commit message, in bytes.
	MaxMessage = 100_000
	// MaxLog bounds the commits of one answer.
	MaxLog = 10_000
	// MaxPage bounds the files of one page of a listing.
	MaxPage = 10_000
	// MaxFolders bounds the folders that one request can read.
	MaxFolders = 64
	// MaxStaged bounds the files staged in one repository; more answer 507.
	MaxStaged = 1 << 16
	// MaxInFlight bounds the API requests served at once; more answer 503.
	MaxInFlight = 256

	defaultMaxRepos = 100
	defaultMaxBytes = 2 << 30
	requestTimeout  = 25 * time.Second
)

// Options configure a Service. The zero value is an open service with the
// default limits, in memory.
type Options struct {
	// Data is the folder that repositories are kept in on disk, by this service
	// alone; "" keeps them in memory.
	Data string
	// Lock is that of Data (LockData), if the caller has it: then the caller
	// gives it back. Nil makes the service take it.
	Lock *durable.Lock
	// Volume is the file system of Data; the zero value is that of this machine.
	Volume durable.Volume
	// Access decides who may do what; nil is the one key, or open without it.
	Access *access.Control
	Key    string      // without Access: the admin key that every /api route requires; "" leaves them open
	Audit  *audit.Log  // what every change and every refusal is recorded in; nil records nothing; the caller closes it
	TLS    *tls.Config // with a certificate; nil is plain HTTP
	// Certificate is a certificate that is read again when its files change, in
	// place of TLS.
	Certificate *Certificate
	// Hosts are the names, beside localhost and addresses, by which the service
	// may be called. Without any every name will do, but through a loopback address.
	Hosts    []string
	Version  string           // answered by /version and /health; "" is "dev"
	Embedded bool             // announced by /version: the service runs inside its only console
	Now      func() time.Time // nil is time.Now
	MaxRepos int              // 0 is 100
	// MaxBytes bounds what is kept in memory, in bytes, estimated overhead
	// included; 0 is 2 GiB; more answers 507. With Data that is what is not
	// committed, and keys; what is committed is bounded by the disk, see MinFree.
	MaxBytes int64
	Logger   *slog.Logger // nil discards
	// LocalOnly answers only requests to localhost or a loopback address that
	// come from no other web page. It is meant for a service without a key.
	LocalOnly bool
	// Grace is how long Stop waits for requests under way at most; 0 is 1 s.
	Grace time.Duration
}

// keyOnly is an access without a file: its one key, or open.
func (o Options) keyOnly() access.Options {
	return access.Options{AdminKey: config.NewSecret(o.Key), Now: o.Now, Logger: o.Logger}
}

// Service is the HTTP service. Its methods are safe for concurrent use.
type Service struct {
	version  string
	embedded bool
	disk     *disk // nil in memory
	access   *access.Control
	audit    *audit.Log
	tls      *tls.Config
	now      func() time.Time
	log      *slog.Logger
	maxRepos int
	maxBytes int64
	handler  http.Handler
	metrics  *metrics
	inFlight chan struct{}
	bodies   chan struct{} // large ones being read
	streams  chan struct{} // of events
	hosts    map[string]bool
	cert     *Certificate
	refused  *refusals
	// unrecorded: the audit could not be written the last time.
	unrecorded atomic.Bool
	locked     atomic.Bool // a folder could not be written to the last time
	leaving    atomic.Bool // Stop was called: no new streams
	grace      time.Duration

	localOnly bool
	origins   *http.CrossOriginProtection

	stored atomic.Int64 // bytes counted for live repositories, see charge

	mu      sync.RWMutex // guards what follows
	repos   map[string]*repo
	busy    map[string]struct{} // ids being made or dropped, in small letters
	open    bool                // the repositories on disk are; always true in memory
	started time.Time

	life    sync.Mutex // guards the server's life: Start and Stop
	running *running
	ports   map[string]string // address asked for -> address bound
}

// Open is New, and opens the repositories in Options.Data before Start does: a
// folder that cannot be used, or that another process uses
// (*durable.LockedError), is found here. A single repository that cannot be
// opened does not keep the others from being served.
func Open(ctx context.Context, o Options) (*Service, error) {
	s := New(o)
	s.life.Lock()
	defer s.life.Unlock()
	if _, err := s.openData(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// New returns a service that is not listening. Start opens the repositories in
// Options.Data. Stop releases what it holds.
func New(o Options) *Service {
	s := &Service{
		version: o.Version, embedded: o.Embedded, audit: o.Audit, tls: o.TLS,
		now: o.Now, log: o.Logger, maxRepos: o.MaxRepos, maxBytes: o.MaxBytes,
		inFlight: make(chan struct{}, MaxInFlight), bodies: make(chan struct{}, MaxLargeBodies), grace: o.Grace,
		streams: make(chan struct{}, MaxAllStreams),
		hosts:   hostNames(o.Hosts), cert: o.Certificate, refused: newRefusals(),
		localOnly: o.LocalOnly, origins: http.NewCrossOriginProtection(), repos: map[string]*repo{}, busy: map[string]struct{}{}, ports: map[string]string{},
	}
	s.setData(o)
	if s.cert != nil {
		s.tls = s.cert.Config()
	}
	if s.version == "" {
		s.version = "dev"
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.maxRepos <= 0 {
		s.maxRepos = defaultMaxRepos
	}
	if s.maxBytes <= 0 {
		s.maxBytes = defaultMaxBytes
	}
	if s.grace <= 0 {
		s.grace = stopGrace
	}
	s.access = controlOf(o)
	s.started = s.now()
	s.metrics = newMetrics(s)
	s.handler = s.chain()
	return s
}

// Handler returns the service's routes without a server's limits on time.
func (s *Service) Handler() http.Handler { return s.handler }

// setData chooses where repositories are.
func (s *Service) setData(o Options) {
	if s.open = o.Data == ""; s.open {
		return
	}
	s.disk = &disk{volume: o.Volume, data: o.Data, held: o.Lock}
	if full, err := filepath.Abs(o.Data); err == nil { // else it is what was given
		s.disk.data = full
	}
	if o.Volume.FS == nil {
		s.disk.space.look, s.disk.mayWrite = freeBytes, mayWrite
	}
}

// openData opens the repositories on disk, and reports whether it did: they may
// be open. The caller holds life.
func (s *Service) openData(ctx context.Context) (opened bool, err error) {
	if s.isOpen() {
		return false, nil
	}
	if err := s.disk.take(); err != nil {
		return false, err
	}
	repos, err := s.openAll(ctx)
	if err != nil {
		return false, errors.Join(err, s.disk.leave())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos, s.open = repos, true
	return true, nil
}

func (s *Service) isOpen() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.open
}

func (s *Service) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.repos)
}

func (s *Service) uptime() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now().Sub(s.started)
}

// loopbackHint says what to do when an address cannot be bound.
func loopbackHint(address string, err error) error {
	host, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return fmt.Errorf("govcd: listen on %q: %w; give an address of the form host:port", address, err)
	}
	return fmt.Errorf("govcd: listen on %s: %w; stop what uses port %s, or choose another address (%s lets the system choose)",
		address, err, port, net.JoinHostPort(host, "0"))
}
