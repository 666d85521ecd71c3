package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	// checkEvery is how often the access file is looked at, on use.
	checkEvery = time.Second
	// settled is how old a file must be until an unchanged date says that it did
	// not change: clocks of file systems tick coarsely.
	settled = 2 * time.Second
)

// snapshot is the access file as it was read once. It never changes.
type snapshot struct {
	present bool // there is a file, or there was one
	info    os.FileInfo
	readAt  time.Time
	keys    map[string]*liveKey // by id
	hashes  map[[4]byte][]*liveKey
	grants  map[string][]Scope // by subject
}

// liveKey is a key that can be looked up.
type liveKey struct {
	Key
	hash   [sha256.Size]byte
	rights []Scope // its scopes, and what its name is granted
}

// usable says why a key does not work now.
func (k *liveKey) usable(now time.Time) error {
	switch {
	case !k.Revoked.IsZero():
		return unauthenticated(Revoked, "the API key was revoked")
	case !k.live(now):
		return unauthenticated(Expired, "the API key has expired")
	}
	return nil
}

// byHash finds a key. Only the beginning of the hash decides what it is compared
// with, and each comparison takes the same time.
func (s *snapshot) byHash(hash [sha256.Size]byte) *liveKey {
	var found *liveKey
	for _, k := range s.hashes[[4]byte(hash[:4])] {
		if subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1 {
			found = k
		}
	}
	return found
}

func newSnapshot(c contents) (*snapshot, error) {
	s := &snapshot{keys: map[string]*liveKey{}, hashes: map[[4]byte][]*liveKey{}, grants: map[string][]Scope{}}
	for _, g := range c.Grants {
		s.grants[g.Subject] = append(s.grants[g.Subject], g.Scope)
	}
	for _, k := range c.Keys {
		hash, err := hex.DecodeString(k.Hash)
		if err != nil {
			return nil, fmt.Errorf("%w: the hash of key %s", ErrInvalid, k.ID)
		}
		live := &liveKey{Key: k.Key, hash: [sha256.Size]byte(hash)}
		live.rights = append(append(live.rights, k.Scopes...), s.grants[k.Name]...)
		short := [4]byte(hash[:4])
		s.keys[k.ID], s.hashes[short] = live, append(s.hashes[short], live)
	}
	return s, nil
}

// load reads the access file. Where it is gone nobody has a key or a grant any
// more; that it was there is remembered.
func (c *Control) load(before *snapshot) (next *snapshot, err error) {
	none, err := newSnapshot(contents{})
	if err != nil || c.register.Dir == "" {
		return none, err
	}
	readAt := time.Now()
	file, err := c.register.Volume.Open(c.register.path())
	if errors.Is(err, fs.ErrNotExist) {
		if err := dangling(c.register.Volume, c.register.path()); err != nil {
			return nil, err
		}
		none.present = before != nil && before.present
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(c.register.path(), info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	read, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.register.path(), err)
	}
	if next, err = newSnapshot(read); err == nil {
		next.present, next.info, next.readAt = true, info, readAt
	}
	return next, err
}

// refresh reads the file again if it changed. One request a second looks; the
// others go on with what is known.
func (c *Control) refresh() {
	if c.register.Dir == "" {
		return
	}
	now, last := c.now().UnixNano(), c.checked.Load()
	if since := now - last; (since >= 0 && since < int64(checkEvery)) || !c.checked.CompareAndSwap(last, now) {
		return
	}
	if !c.loading.TryLock() {
		return // somebody reads it this moment
	}
	defer c.loading.Unlock()
	before := c.current.Load()
	info, err := c.register.Volume.Stat(c.register.path())
	trouble := c.trouble()
	stillGone := errors.Is(err, fs.ErrNotExist) && before.info == nil && (trouble == nil || errors.Is(trouble, fs.ErrNotExist))
	if stillGone || (err == nil && before.same(info) && trouble == nil) {
		return
	}
	next, err := c.load(before)
	if err != nil {
		c.fail(err)
		return
	}
	c.take(next)
}

// same reports whether a file is certainly the one that was read.
func (s *snapshot) same(info os.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) && s.info.Size() == info.Size() &&
		s.info.ModTime().Equal(info.ModTime()) && s.readAt.Sub(info.ModTime()) > settled
}

// goneError: there was an access file.
type goneError struct{}

// Error says what that means.
func (goneError) Error() string {
	return "the access file is gone: no API key and no grant holds any more"
}

// Unwrap returns fs.ErrNotExist.
func (goneError) Unwrap() error { return fs.ErrNotExist }

var errGone error = goneError{}

// take puts a snapshot in force.
func (c *Control) take(next *snapshot) {
	before := c.current.Swap(next)
	c.problem.Store(nil)
	switch {
	case next.info == nil && next.present:
		if before.info != nil {
			c.log.Error(errGone.Error(), "file", c.AccessFile())
		}
		c.problem.Store(&errGone)
	case next.info != nil && before.info == nil:
		if err := c.register.remember(TraceFile); err != nil {
			c.log.Error("it is not remembered that there is an access file: do not lose it", "file", c.AccessFile(), "error", err)
		}
		c.log.Info("the access file is in force", "file", c.AccessFile(), "keys", len(next.keys), "subjects", len(next.grants))
	case next.info != nil && !before.info.ModTime().Equal(next.info.ModTime()):
		c.log.Info("the access file was read again", "file", c.AccessFile(), "keys", len(next.keys), "subjects", len(next.grants))
	}
}

// fail leaves in force what was read before, and says so once.
func (c *Control) fail(err error) {
	if before := c.trouble(); before == nil || before.Error() != err.Error() {
		c.log.Error("the access file cannot be used: what was read before holds", "file", c.AccessFile(), "error", err)
	}
	c.problem.Store(&err)
}
