package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
)

// Names in a state folder.
const (
	LockFile = "lock"
	KeyFile  = "embedded.key"
	GitDir   = "documents.git"
	LogFile  = "caiatop.log" // older ones lie beside it
	// ServiceDir holds the repositories of the embedded service.
	ServiceDir = "service"
)

// cacheBytes bounds the memory store as a cache.
const cacheBytes = 64 << 20

// Setup says which engine Start is to build.
type Setup struct {
	Dir        string // the state folder, made if missing
	URL        string // of the service; "" runs an embedded one
	Repository string
	Token      string // a JWT or an API key, see govc.Options
	APIKey     string
	Login      govc.Login
	TLS        govc.TLSOptions // without effect on an embedded service
	// Phase is the one of the configuration, "" if it says nothing: then it is
	// that of the state file, PhaseDual of a new one. See Options.Phase.
	Phase  Phase
	Layout document.Layout
	// KeptBytes bounds the copies that the phase govc-only keeps; 0 means
	// DefaultKeptBytes.
	KeptBytes int64
	// Budget bounds one interactive operation; 0 means DefaultBudget.
	Budget time.Duration
	// Detached leaves the embedded service away: one-shot commands stop at
	// state file and git. It has no effect with a URL, nor in the phase govc-only,
	// where that service holds the documents.
	Detached bool
	// Memory makes the embedded service forget at its end what it holds. Else
	// that lies in ServiceDir, and a start copies nothing.
	Memory bool
	// Port of the embedded service on 127.0.0.1, 0 takes a free one.
	Port    int
	Version string
	Author  store.Author
	// Journal keeps what happens; nil makes one.
	Journal *journal.Journal
	// LogLevel is the lowest level that the log file keeps; the zero value is Info.
	LogLevel slog.Level
	// GitCache bounds the object cache of the git repository, in bytes; 0 is
	// that of gitrepo.
	GitCache int64
	// Backup is where git is pushed to, nil for nowhere; BackupInterval lies
	// between two pushes, 0 waits for the command. Detached engines push only when
	// they are told to.
	Backup         *backup.Target
	BackupInterval time.Duration
	Now            func() time.Time
	Strict         bool

	// rebuilding prepares the new state file of a rebuild; nil starts as always.
	rebuilding func(ctx context.Context, db *state.DB) error
}

// Host is an engine with all its parts, in one state folder that no other
// process uses.
type Host struct {
	*Engine
	closers []func(context.Context) error
	log     *slog.Logger
}

// Log is where the parts of the program log to: the log file in the state
// folder, and what an operator may want to know the journal, too. It never
// writes to a terminal, and may be used after Close, to no effect.
func (h *Host) Log() *slog.Logger { return h.log }

// Start opens the state folder and starts the engine on it. A folder that
// another process holds is a *durable.LockedError.
func Start(ctx context.Context, s Setup) (host *Host, err error) {
	h := &Host{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.closeParts(ctx))
		}
	}()
	if err := durable.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder %s: %w", s.Dir, err)
	}
	lock, err := durable.AcquireLock(filepath.Join(s.Dir, LockFile))
	if err != nil {
		return nil, fmt.Errorf("state folder %s: %w", s.Dir, err)
	}
	h.onClose(func(context.Context) error { return lock.Release() })
	if err := checkRebuild(s); err != nil {
		return nil, err
	}
	o := Options{
		Phase: s.Phase, Layout: s.Layout, Author: s.Author, Budget: s.Budget, Now: s.Now, Strict: s.Strict,
		Repository: s.Repository, StateDir: s.Dir, GitDir: filepath.Join(s.Dir, GitDir),
		Memory: memstore.New(cacheBytes), Journal: s.Journal,
		KeptBytes: s.KeptBytes,
		Backup:    BackupOptions{Target: s.Backup, Interval: s.BackupInterval, Detached: s.Detached},
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Recorder = probe.New(o.Now)
	if o.Journal == nil {
		o.Journal = journal.New()
	}
	noLog := h.openLog(s, o.Journal)
	if err := h.openStores(ctx, s, &o); err != nil {
		return nil, err
	}
	if err := h.openPrimary(ctx, s, &o); err != nil {
		return nil, err
	}
	if h.Engine, err = Open(ctx, o); err != nil {
		return nil, err
	}
	if noLog != nil {
		h.event(Warning, "log", noLog.Error(), "Everything else works; make the file "+filepath.Join(s.Dir, LogFile)+" writable and start again")
	}
	return h, nil
}

func (h *Host) onClose(f func(context.Context) error) { h.closers = append(h.closers, f) }

// openLog opens the log file. Without one everything works, and the log still
// reaches the journal.
func (h *Host) openLog(s Setup, j *journal.Journal) error {
	file, err := journal.OpenLog(filepath.Join(s.Dir, LogFile), s.LogLevel)
	if err != nil {
		h.log = slog.New(j.Handler(slog.DiscardHandler))
		return err
	}
	file.Follow(j)
	h.log = slog.New(j.Handler(file.Handler()))
	h.onClose(func(context.Context) error {
		if err := file.Close(); err != nil {
			return fmt.Errorf("log file: %w", err)
		}
		return nil
	})
	return nil
}

// openStores opens what lies in the state folder.
func (h *Host) openStores(ctx context.Context, s Setup, o *Options) (err error) {
	if o.State, err = state.Open(ctx, o.StateDir, state.Options{Now: o.Now}); err != nil {
		return err
	}
	h.onClose(func(context.Context) error { return o.State.Close() })
	if s.rebuilding != nil {
		if err := s.rebuilding(ctx, o.State); err != nil {
			return err
		}
	}
	if err := h.openDerived(ctx, o); err != nil {
		return err
	}
	repo, err := gitrepo.OpenDisk(o.GitDir, gitrepo.Options{CacheBytes: s.GitCache, SyncAll: true})
	if err != nil {
		return fmt.Errorf("git repository %s: %w", o.GitDir, err)
	}
	h.onClose(func(context.Context) error { return repo.Close() })
	if err := checkBranch(ctx, repo, o.GitDir); err != nil {
		return err
	}
	o.Git = gitstore.New(repo)
	o.Backup.Repo = repo
	return nil
}

// OtherBranchError refuses a repository that has a history, but none of ours:
// to go on would begin an unrelated one beside it. It wraps store.ErrIdentity.
type OtherBranchError struct {
	Dir    string
	Branch string // that it has; not safe to show
}

// Error names the branch.
func (e *OtherBranchError) Error() string {
	return fmt.Sprintf("git repository %s: %v: it has no branch %s, but %q", e.Dir, store.ErrIdentity, gitrepo.Main, e.Branch)
}

// Unwrap returns store.ErrIdentity.
func (e *OtherBranchError) Unwrap() error { return store.ErrIdentity }

// checkBranch refuses a repository with another branch instead of ours, unless
// a mark says that ours was there: then it was deleted, and comes back.
func checkBranch(ctx context.Context, repo *gitrepo.Repo, dir string) error {
	for _, ref := range []string{"refs/heads/" + gitrepo.Main, gitstore.LastRef} {
		if _, err := repo.Ref(ref); !errors.Is(err, gitrepo.ErrNotFound) {
			return nil //nolint:nilerr // what cannot be read is mended, see mendGit
		}
	}
	others, err := repo.Branches()
	if err != nil || len(others) == 0 {
		return nil //nolint:nilerr // see above
	}
	name := others[0].Name
	if head, _, err := repo.Head(ctx); err == nil && head != "" {
		name = head
	}
	return &OtherBranchError{dir, name}
}

// openDerived opens the full-text index. Where the state folder has no room for
// it, it is made in a temporary folder for as long as the engine runs: reading
// and listing must go on.
func (h *Host) openDerived(ctx context.Context, o *Options) (err error) {
	dir := o.StateDir
	o.Derived, err = state.OpenDerived(ctx, dir, o.State.StateID())
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		cause := err
		if dir, err = os.MkdirTemp("", "caiatop-search-"); err != nil {
			return errors.Join(cause, err)
		}
		h.onClose(func(context.Context) error { return os.RemoveAll(dir) })
		if o.Derived, err = state.OpenDerived(ctx, dir, o.State.StateID()); err != nil {
			return errors.Join(cause, err)
		}
	}
	if err != nil {
		return err
	}
	h.onClose(func(context.Context) error { return o.Derived.Close() })
	return nil
}

// openPrimary makes the service ready that the phase has, or may have later.
func (h *Host) openPrimary(ctx context.Context, s Setup, o *Options) error {
	rec, _ := atStart(o.State, s.Phase, gitEmpty(ctx, o.Git), o.Now())
	phase := Phase(rec.Name)
	switch {
	case s.URL == "" && s.Detached && phase != PhaseGovcOnly:
		o.Rests = phase.stores().govc && !s.Memory
		return nil
	case s.URL == "" && !phase.stores().govc:
		l := &late{keeps: !s.Memory}
		l.open = func() (*embedded, *govc.Client, string, func(context.Context) error, error) {
			at, own := &Host{log: h.log}, *o
			// It ends with the engine, and not with who started that.
			if err := at.openService(context.WithoutCancel(ctx), s, &own); err != nil {
				return nil, nil, "", nil, errors.Join(err, at.closeParts(context.WithoutCancel(ctx)))
			}
			return own.Embedded.(*embedded), own.Primary.(*govc.Client), own.URL, at.closeParts, nil
		}
		h.onClose(l.close)
		o.Primary, o.Checker, o.Embedded = l, l, l
		return nil
	}
	return h.openService(ctx, s, o)
}

// openService starts the embedded service if no URL is given, and makes the
// client of whichever service there is.
func (h *Host) openService(ctx context.Context, s Setup, o *Options) error {
	o.URL = s.URL
	options := govc.Options{Repo: s.Repository, Token: govc.Secret(s.Token), APIKey: govc.Secret(s.APIKey), Login: s.Login, TLS: s.TLS, Now: s.Now}
	if s.URL == "" {
		key, err := embeddedKey(s.Dir)
		if err != nil {
			return err
		}
		options = govc.Options{Repo: s.Repository, APIKey: govc.Secret(key), Now: s.Now}
		if o.Embedded, o.URL, err = h.startEmbedded(ctx, s, o, key); err != nil {
			return fmt.Errorf("embedded service: %w", err)
		}
	}
	options.URL = o.URL
	client, err := govc.New(options)
	if err != nil {
		return fmt.Errorf("govc client: %w", err)
	}
	h.onClose(func(context.Context) error { client.Close(); return nil })
	o.Primary, o.Checker = client, health{client}
	return nil
}

// embeddedKey returns the key of the embedded service, made at the first start.
func embeddedKey(dir string) (string, error) {
	name := filepath.Join(dir, KeyFile)
	data, err := os.ReadFile(name)
	if err == nil && len(strings.TrimSpace(string(data))) >= 32 {
		return strings.TrimSpace(string(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("key of the embedded service: %w", err)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("key of the embedded service: %w", err)
	}
	key := hex.EncodeToString(secret)
	if err := durable.WriteFile(name, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("key of the embedded service: %w", err)
	}
	return key, nil
}

// health makes a checker of the client.
type health struct{ client *govc.Client }

// Check implements probe.Checker.
func (h health) Check(ctx context.Context) (probe.Found, error) {
	found, err := h.client.Health(ctx)
	return probe.Found{Status: found.Status, Version: found.Version, Uptime: found.Uptime, Checks: found.Checks}, err
}

// Close drains the engine within the context's deadline and closes every part,
// in the reverse order of their opening. The error says what did not end well;
// acknowledged writes are safe in any case.
func (h *Host) Close(ctx context.Context) error {
	return errors.Join(h.Engine.Close(ctx), h.closeParts(ctx))
}

func (h *Host) closeParts(ctx context.Context) error {
	var all error
	for i := len(h.closers) - 1; i >= 0; i-- {
		all = errors.Join(all, h.closers[i](context.WithoutCancel(ctx)))
	}
	h.closers = nil
	return all
}
