package access

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/config"
)

// Mode is how the service is protected.
type Mode string

// The modes.
const (
	ModeOpen    Mode = "open"
	ModeKey     Mode = "key"
	ModeManaged Mode = "managed"
)

// Options configure a Control. The zero value is open, for this machine only.
type Options struct {
	// Dir is the folder of the access file, which need not be there yet; "" has
	// none.
	Dir    string
	Volume durable.Volume
	// AdminKey may do everything; see GOVC_API_KEY.
	AdminKey config.Secret
	// Keyring verifies tokens, and signs those that are made here.
	Keyring Keyring
	// Remote says that other machines reach the service: then it may not be
	// open, and no secret may be easy to guess.
	Remote bool
	Limits Limits
	Now    func() time.Time // nil is time.Now
	Random io.Reader        // nil is crypto/rand
	Logger *slog.Logger     // nil discards
}

// Control decides about requests. Its methods are safe for concurrent use; it
// has no goroutine and needs no end.
type Control struct {
	register Register // without its own clock's seconds
	managed  bool     // a JWT secret is set up
	adminKey bool
	adminSum [sha256.Size]byte
	keyring  Keyring
	limits   limits
	now      func() time.Time
	random   io.Reader
	log      *slog.Logger
	used     usage
	verified verified

	loading sync.Mutex   // so that no older reading takes the place of a newer one
	checked atomic.Int64 // when the file was looked at, in nanoseconds
	current atomic.Pointer[snapshot]
	problem atomic.Pointer[error]
}

// New reads the access file. It fails with ErrWeak where a secret is not good
// enough for where the service listens, with ErrInvalid where the file is wrong,
// and with ErrLost where the service would be open that was not before. It writes
// nothing: Remember does.
func New(o Options) (*Control, error) {
	c := &Control{
		register: Register{Dir: o.Dir, Volume: o.Volume, Now: o.Now, Random: o.Random},
		managed:  o.Keyring.IsSet(), adminKey: o.AdminKey.IsSet(), adminSum: sha256.Sum256([]byte(o.AdminKey.Reveal())),
		keyring: o.Keyring, limits: newLimits(o.Limits), now: o.Now, random: o.Random, log: o.Logger,
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.random == nil {
		c.random = rand.Reader
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	first, err := c.load(nil)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	c.current.Store(first)
	if o.Dir != "" {
		if c.used.days, err = c.register.LastUsed(); err != nil {
			c.log.Warn("it is not known when API keys were used last", "error", err)
		}
	}
	if err = c.heed(); err == nil {
		err = c.checkRemote(o)
	}
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return c, nil
}

// checkRemote refuses what is good enough for this machine only.
func (c *Control) checkRemote(o Options) error {
	weak := o.Keyring.Weak()
	if weak != "" {
		weak = "the JWT secret is easy to guess: " + weak
	}
	if n := len(o.AdminKey.Reveal()); weak == "" && c.adminKey && n < MinAdminKey {
		weak = fmt.Sprintf("the admin key has %d bytes, it needs %d", n, MinAdminKey)
	}
	switch {
	case o.Remote && c.Mode() == ModeOpen:
		return fmt.Errorf("%w: other machines reach this service, and it asks for no credential", ErrWeak)
	case o.Remote && weak != "":
		return fmt.Errorf("%w: %s; other machines reach this service: make one with openssl rand -hex 32", ErrWeak, weak)
	case weak != "":
		c.log.Warn("a secret is good enough for this machine only", "why", weak)
	}
	return nil
}

// Mode returns how the service is protected now.
func (c *Control) Mode() Mode {
	switch {
	case c.managed || c.current.Load().present:
		return ModeManaged
	case c.adminKey:
		return ModeKey
	}
	return ModeOpen
}

// Register is the access file, to change keys and grants. Reload makes a change
// hold at once.
func (c *Control) Register() Register { return c.register }

// Problem returns why the access file that is there is not the one in force, nil
// if it is. It looks at the file as every request does.
func (c *Control) Problem() error {
	c.refresh()
	return c.trouble()
}

func (c *Control) trouble() error {
	if p := c.problem.Load(); p != nil {
		return *p
	}
	return nil
}

// Admit counts a request against the limit of its address (ErrLimited). It comes
// first, for every route.
func (c *Control) Admit(r *http.Request) error {
	p := peerOf(r)
	if p.local {
		return nil
	}
	if after := c.limits.requests.take(p.address, c.now()); after > 0 {
		return &Denied{Kind: ErrLimited, Reason: Rate, Text: "too many requests from this address", After: after}
	}
	return nil
}

// Authenticate returns who a request comes from. The error is a *Denied of
// ErrUnauthenticated or ErrLimited.
func (c *Control) Authenticate(r *http.Request) (Identity, error) {
	return c.authenticate(r, false)
}

// AuthenticateGit is Authenticate for git's routes, where the password of basic
// authentication is a credential, too; the user's name counts for nothing. It
// is not for others: a browser would send such a password by itself.
func (c *Control) AuthenticateGit(r *http.Request) (Identity, error) {
	return c.authenticate(r, true)
}

func (c *Control) authenticate(r *http.Request, git bool) (Identity, error) {
	c.refresh()
	if c.Mode() == ModeOpen {
		return Identity{Subject: "local", Kind: Anybody}, nil
	}
	given, err := credentialOf(r, git)
	if err == nil && given == "" {
		return Identity{}, unauthenticated(NoCredential, "Authentication required")
	}
	p, now := peerOf(r), c.now()
	failures := c.limits.failuresOf(p)
	if after := failures.empty(p.address, now); after > 0 {
		return Identity{}, &Denied{Kind: ErrLimited, Reason: LockedOut, Text: "too many wrong credentials from this address", After: after}
	}
	var who Identity
	if err == nil {
		who, err = c.identify(given, now)
	}
	if err != nil {
		failures.take(p.address, now)
		return Identity{}, err
	}
	return who, nil
}

// identify returns who a credential stands for. What no kind of credential looks
// like is told as an unknown key.
func (c *Control) identify(given string, now time.Time) (Identity, error) {
	if c.isAdmin(given) {
		return Identity{Subject: "admin", Kind: AdminKey}, nil
	}
	switch kindOf(given) {
	case APIKey:
		return c.byKey(given, now)
	case JWT:
		return c.byToken(given, now)
	}
	return Identity{}, unauthenticated(UnknownKey, "the key is not known")
}

func (c *Control) byToken(given string, now time.Time) (Identity, error) {
	if who, ok := c.verified.find(given, now); ok {
		return who, nil
	}
	who, err := c.keyring.verify(now, given)
	if err == nil {
		c.verified.add(given, who, now)
	}
	return who, err
}

func (c *Control) byKey(given string, now time.Time) (Identity, error) {
	hash, err := hashAPIKey(given)
	if err != nil {
		return Identity{}, unauthenticated(Mistyped, err.Error())
	}
	s := c.current.Load()
	k := s.byHash(hash)
	if k == nil {
		return Identity{}, unauthenticated(UnknownKey, "the API key is not known")
	}
	if err := k.usable(now); err != nil {
		return Identity{}, err
	}
	known := func(id string) bool { return s.keys[id] != nil }
	if err := c.used.note(c.register, k.ID, now, known); err != nil {
		c.log.Warn("the last use of an API key is not remembered", "error", err)
	}
	return Identity{Subject: k.Name, Kind: APIKey, ID: k.ID, Expires: k.Expires}, nil
}

// Allow returns nil if an identity may do that at a repository, or at the whole
// Service. The error is a *Denied of ErrForbidden, or of ErrUnauthenticated if
// the credential has expired or was revoked since: a long answer asks again now
// and then.
func (c *Control) Allow(who Identity, repo string, need Need) error {
	c.refresh()
	rights, all, err := c.rights(who)
	if err != nil {
		return err
	}
	if all && need >= Read && need <= Admin && repo != "" {
		return nil
	}
	for _, s := range rights {
		if s.allows(repo, need) {
			return nil
		}
	}
	return &Denied{Kind: ErrForbidden, Reason: Permission, Text: "Insufficient permissions"}
}

// rights returns what an identity may do now; all is everything.
func (c *Control) rights(who Identity) (rights []Scope, all bool, err error) {
	s, now := c.current.Load(), c.now()
	switch who.Kind {
	case Anybody:
		if c.Mode() == ModeOpen {
			return nil, true, nil
		}
	case AdminKey:
		if c.adminKey {
			return nil, true, nil
		}
	case APIKey:
		k := s.keys[who.ID]
		if k == nil {
			return nil, false, unauthenticated(UnknownKey, "the API key is not known any more")
		}
		if err := k.usable(now); err != nil {
			return nil, false, err
		}
		return k.rights, false, nil
	case JWT:
		if !now.Before(who.Expires.Add(Leeway)) {
			return nil, false, unauthenticated(Expired, "the token has expired")
		}
		granted := s.grants[who.Subject]
		if len(granted) == 0 {
			return who.scopes, false, nil
		}
		return slices.Concat(who.scopes, granted), false, nil
	}
	return nil, false, unauthenticated(NoCredential, "Authentication required")
}

// Whoami describes an identity and what it may do now.
func (c *Control) Whoami(who Identity) (Whoami, error) {
	rights, all, err := c.rights(who)
	if err != nil {
		return Whoami{}, err
	}
	if all {
		rights = []Scope{{Service, Admin}}
	}
	w := Whoami{
		ID: who.Subject, Username: who.Subject, Method: who.Kind.String(), Credential: who.ID,
		Permissions: []string{}, Repos: map[string]string{},
	}
	best := map[string]Need{}
	for _, s := range rights {
		if s.need > best[s.pattern] {
			best[s.pattern] = s.need
			w.Repos[s.pattern] = s.need.String()
		}
	}
	for _, s := range rights {
		if best[s.pattern] == s.need {
			w.Permissions = append(w.Permissions, s.String())
			best[s.pattern] = 0 // once
		}
	}
	if !who.Expires.IsZero() {
		w.Expires = &who.Expires
	}
	return w, nil
}

// Mint makes a token.
func (c *Control) Mint(r TokenRequest) (Token, error) { return c.keyring.Mint(c.now(), c.random, r) }

// Refresh makes a token with the subject, the scopes and the lifetime of the one
// that it was authenticated by, until MaxRefresh after the first of the row; a
// token that does not say when that was counts from its own making.
func (c *Control) Refresh(who Identity) (Token, error) {
	if _, _, err := c.rights(who); err != nil {
		return Token{}, err
	}
	if who.Kind != JWT {
		return Token{}, &Denied{Kind: ErrForbidden, Reason: Permission, Text: "only a token can be refreshed"}
	}
	first := who.first
	if first.IsZero() || first.After(who.issued) {
		first = who.issued
	}
	now := c.now()
	// Without a beginning there is no lifetime to repeat.
	if first.IsZero() || who.issued.IsZero() || !now.Before(first.Add(MaxRefresh)) {
		return Token{}, &Denied{Kind: ErrForbidden, Reason: Expired, Text: "this token can be refreshed no more: ask for a new one"}
	}
	ttl := min(who.Expires.Sub(who.issued), MaxTTL, first.Add(MaxRefresh).Sub(now))
	return c.keyring.Mint(now, c.random, TokenRequest{Subject: who.Subject, TTL: max(ttl, time.Second), Scopes: who.scopes, first: first})
}

// AccessFile is where keys and grants are kept, "" if nowhere.
func (c *Control) AccessFile() string {
	if c.register.Dir == "" {
		return ""
	}
	return filepath.Join(c.register.Dir, FileName)
}

// Reload reads the access file now.
func (c *Control) Reload() error {
	c.loading.Lock()
	defer c.loading.Unlock()
	c.checked.Store(c.now().UnixNano())
	next, err := c.load(c.current.Load())
	if err != nil {
		c.fail(err)
		return err
	}
	c.take(next)
	return nil
}
