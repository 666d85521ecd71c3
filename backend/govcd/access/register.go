package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/config"
)

// lockRetry is how often a busy access file is tried again.
const lockRetry = 20 * time.Millisecond

// Register is the access file of a folder: keys and grants, changed one at a
// time under a lock that all processes respect, each change a new file in one
// step. It holds nothing open.
//
// Each change is recorded by package audit, under AuditName in the folder
// AuditDir of Dir. Where that cannot be written, nothing is changed; where it
// fails after the change, the error wraps ErrUnrecorded.
type Register struct {
	Dir    string
	Volume durable.Volume
	Now    func() time.Time // nil is time.Now
	Random io.Reader        // nil is crypto/rand
	// By is who makes changes, and how and from where, for the audit.
	By, Via, From string
}

// KeyRequest describes a key to be made.
type KeyRequest struct {
	Name    string
	Scopes  []Scope   // none: what the name is granted
	Expires time.Time // zero: never
}

func (r Register) path() string { return filepath.Join(r.Dir, FileName) }

func (r Register) now() time.Time {
	if r.Now == nil {
		return time.Now().UTC().Truncate(time.Second)
	}
	return r.Now().UTC().Truncate(time.Second)
}

func (r Register) random() io.Reader {
	if r.Random == nil {
		return rand.Reader
	}
	return r.Random
}

// read returns the contents, empty if there is no file.
func (r Register) read() (contents, error) {
	data, err := r.Volume.ReadFile(r.path())
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil
	}
	if err != nil {
		return contents{}, err
	}
	c, err := decode(data)
	if err != nil {
		return contents{}, fmt.Errorf("%s: %w", r.path(), err)
	}
	return c, nil
}

// edit changes the file and records what was done. It waits for another process
// that does until ctx ends.
func (r Register) edit(ctx context.Context, change func(*contents) (done []audit.Entry, err error)) (err error) {
	if err := r.Volume.MkdirAll(r.Dir, 0o700); err != nil {
		return err
	}
	lock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	c, err := r.read()
	if err != nil {
		return err
	}
	done, err := change(&c)
	if err != nil {
		return err
	}
	data, err := c.encode()
	if err != nil {
		return err
	}
	// What we would not read must not be written.
	if _, err := decode(data); err != nil {
		return err
	}
	log, err := r.record()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if err := r.remember(TraceFile); err != nil {
		return err
	}
	if err := r.Volume.WriteFile(r.path(), data, 0o600); err != nil {
		return err
	}
	for _, e := range done {
		e.Who, e.Via, e.From, e.Result = r.By, r.Via, r.From, audit.OK
		if err := log.Append(e); err != nil {
			return fmt.Errorf("%w: %w", ErrUnrecorded, err)
		}
	}
	return nil
}

// lock takes the lock of the file.
func (r Register) lock(ctx context.Context) (*durable.Lock, error) {
	path := filepath.Join(r.Dir, lockName)
	for {
		lock, err := r.Volume.AcquireLock(path)
		if _, held := errors.AsType[*durable.LockedError](err); !held {
			return lock, err
		}
		wait := time.NewTimer(lockRetry)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("%w: %w", ErrBusy, errors.Join(err, ctx.Err()))
		case <-wait.C:
		}
	}
}

// CreateKey makes a key. The secret is returned once and kept nowhere.
func (r Register) CreateKey(ctx context.Context, q KeyRequest) (Key, config.Secret, error) {
	now := r.now()
	key := Key{Name: q.Name, Scopes: q.Scopes, Created: now}
	if err := errors.Join(checkSubject(q.Name), checkScopes(q.Scopes)); err != nil {
		return Key{}, config.Secret{}, err
	}
	if !q.Expires.IsZero() {
		key.Expires = q.Expires.UTC().Truncate(time.Second)
		if !key.Expires.After(now) || key.Expires.After(latest) {
			return Key{}, config.Secret{}, fmt.Errorf("%w: a key cannot expire at %s", ErrInvalid, key.Expires.Format(time.RFC3339))
		}
	}
	secret, err := newAPIKey(r.random())
	if err != nil {
		return Key{}, config.Secret{}, err
	}
	hash, err := hashAPIKey(secret.Reveal())
	if err != nil {
		return Key{}, config.Secret{}, err
	}
	key.ID = keyID(hash)
	err = r.edit(ctx, func(c *contents) ([]audit.Entry, error) {
		for _, other := range c.Keys {
			if other.Name == q.Name && other.Revoked.IsZero() {
				return nil, fmt.Errorf("a key named %q: %w", q.Name, ErrExists)
			}
		}
		if err := c.room(now); err != nil {
			return nil, err
		}
		c.Keys = append(c.Keys, record{key, hex.EncodeToString(hash[:])})
		return []audit.Entry{{What: "apikey.create", Ref: strings.TrimSpace(key.ID + " " + key.Name + " " + joinScopes(key.Scopes))}}, nil
	})
	if err != nil {
		return Key{}, config.Secret{}, err
	}
	return key, secret, nil
}

// RevokeKey ends a key, named by its id, or by its name where it has one that
// is not revoked. A key that is revoked stays so and keeps its time.
func (r Register) RevokeKey(ctx context.Context, idOrName string) (Key, error) {
	var key Key
	err := r.edit(ctx, func(c *contents) ([]audit.Entry, error) {
		i := slices.IndexFunc(c.Keys, func(k record) bool { return k.ID == idOrName })
		if i < 0 {
			i = slices.IndexFunc(c.Keys, func(k record) bool { return k.Name == idOrName && k.Revoked.IsZero() })
		}
		if i < 0 {
			return nil, fmt.Errorf("a key %q: %w", clip(idOrName), ErrNotFound)
		}
		if c.Keys[i].Revoked.IsZero() {
			c.Keys[i].Revoked = r.now()
		}
		key = c.Keys[i].Key
		return []audit.Entry{{What: "apikey.revoke", Ref: key.ID + " " + key.Name}}, nil
	})
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

// Keys returns all keys in the order in which they were made.
func (r Register) Keys() ([]Key, error) {
	c, err := r.read()
	keys := make([]Key, len(c.Keys))
	for i, k := range c.Keys {
		keys[i] = k.Key
	}
	return keys, err
}

// Grant gives a subject rights. At a pattern where it has another right, the new
// one takes its place.
func (r Register) Grant(ctx context.Context, subject string, scopes ...Scope) error {
	if err := errors.Join(checkSubject(subject), checkScopes(scopes)); err != nil {
		return err
	}
	return r.edit(ctx, func(c *contents) ([]audit.Entry, error) {
		var done []audit.Entry
		for _, s := range scopes {
			done = append(done, audit.Entry{What: "grant.add", Repo: s.pattern, Ref: subject + " " + s.String()})
			i := slices.IndexFunc(c.Grants, func(g Grant) bool { return g.Subject == subject && g.Scope.pattern == s.pattern })
			if i >= 0 {
				c.Grants[i].Scope = s
				continue
			}
			if len(c.Grants) >= MaxGrants {
				return nil, fmt.Errorf("%w: there are %d grants", ErrFull, MaxGrants)
			}
			c.Grants = append(c.Grants, Grant{subject, s})
		}
		return done, nil
	})
}

// Withdraw takes the rights of a subject away that are named, all of them if none
// is, and returns what was taken. One is named by its pattern, or by the whole
// scope ("docs:read"), which then has to be the one that the subject has. One
// that the subject has not is an error, and then nothing is changed.
func (r Register) Withdraw(ctx context.Context, subject string, named ...string) ([]Grant, error) {
	var taken []Grant
	err := r.edit(ctx, func(c *contents) ([]audit.Entry, error) {
		taken = nil
		for _, name := range named {
			if err := c.has(subject, name); err != nil {
				return nil, err
			}
		}
		c.Grants = slices.DeleteFunc(c.Grants, func(g Grant) bool {
			gone := g.Subject == subject && (len(named) == 0 || slices.ContainsFunc(named, g.Scope.named))
			if gone {
				taken = append(taken, g)
			}
			return gone
		})
		if len(taken) == 0 {
			return nil, fmt.Errorf("a grant of %q: %w", clip(subject), ErrNotFound)
		}
		var done []audit.Entry
		for _, g := range taken {
			done = append(done, audit.Entry{What: "grant.remove", Repo: g.Scope.pattern, Ref: subject + " " + g.Scope.String()})
		}
		return done, nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// has returns nil if a subject has a grant that is named so.
func (c *contents) has(subject, name string) error {
	pattern, _, _ := strings.Cut(name, ":")
	for _, g := range c.Grants {
		switch {
		case g.Subject != subject:
		case g.Scope.named(name):
			return nil
		case g.Scope.pattern == pattern:
			return fmt.Errorf("a grant of %q at %q, which has %s there: %w", clip(subject), clip(name), g.Scope, ErrNotFound)
		}
	}
	return fmt.Errorf("a grant of %q at %q: %w", clip(subject), clip(name), ErrNotFound)
}

// named reports whether a name means the scope. No pattern has a colon.
func (s Scope) named(name string) bool { return name == s.pattern || name == s.String() }

// Grants returns all grants, by subject and pattern.
func (r Register) Grants() ([]Grant, error) {
	c, err := r.read()
	slices.SortFunc(c.Grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Scope.pattern, b.Scope.pattern))
	})
	return c.Grants, err
}
