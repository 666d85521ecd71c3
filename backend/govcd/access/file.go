package access

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

// The names of the files in the folder of a service.
const (
	FileName   = "access.json"
	lockName   = "access.lock"
	usedName   = "access.used.json"
	SecretName = "jwt-secret" // read by ReadSecrets where no other secret is given
	// AuditDir holds the audits: that of changes to the access file (AuditName),
	// and that of the service.
	AuditDir  = "audit"
	AuditName = "access"
)

// Limits of the access file.
const (
	MaxKeys   = 1000 // revoked ones included
	MaxGrants = 10_000
	maxFile   = 4 << 20 // bytes

	version = 1
)

// Key is an API key as it is kept: without the key.
type Key struct {
	ID      string    `json:"id"`   // public, from its hash
	Name    string    `json:"name"` // the subject of grants
	Scopes  []Scope   `json:"scopes,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"` // zero: not
}

// live reports whether the key works at a moment.
func (k Key) live(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// record is a key in the file.
type record struct {
	Key
	Hash string `json:"sha256"`
}

// Grant is a right of a subject.
type Grant struct {
	Subject string `json:"subject"`
	Scope   Scope  `json:"scope"`
}

// contents are the access file.
type contents struct {
	Version int      `json:"version"`
	Keys    []record `json:"keys"`
	Grants  []Grant  `json:"grants"`
}

// encode returns the file.
func (c contents) encode() ([]byte, error) {
	c.Version = version
	if c.Keys == nil {
		c.Keys = []record{}
	}
	if c.Grants == nil {
		c.Grants = []Grant{}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(c); err != nil {
		return nil, fmt.Errorf("encode the access file: %w", err)
	}
	if out.Len() > maxFile {
		return nil, fmt.Errorf("the access file: %w: it would have %d bytes, more than %d", ErrFull, out.Len(), maxFile)
	}
	return out.Bytes(), nil
}

// decode reads the file. It takes nothing that it does not know: a right that
// was misspelt must not be dropped in silence.
func decode(data []byte) (contents, error) {
	var c contents
	if len(data) > maxFile {
		return c, fmt.Errorf("%w: it is larger than %d bytes", ErrInvalid, maxFile)
	}
	if err := plainNames(data); err != nil {
		return c, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return contents{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return contents{}, fmt.Errorf("%w: there is more behind its end", ErrInvalid)
	}
	if c.Version != version {
		return contents{}, fmt.Errorf("%w: it has version %d, and this program knows version %d", ErrInvalid, c.Version, version)
	}
	if err := c.check(); err != nil {
		return contents{}, err
	}
	return c, nil
}

// plainNames refuses what encoding/json takes without a word: a name twice in
// one object, and names in other letters than ours.
func plainNames(data []byte) error {
	type level struct {
		names map[string]bool // of an object, nil for a list
		name  bool            // a name is next
	}
	var stack []level
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			if name, ok := token.(string); ok && top.name {
				if top.names[name] || name != strings.ToLower(name) {
					return fmt.Errorf("%w: %q is there twice, or not in small letters", ErrInvalid, clip(name))
				}
				top.names[name], top.name = true, false
				continue
			}
			top.name = top.names != nil
		}
		if delim, ok := token.(json.Delim); ok {
			next := level{}
			if delim == '{' {
				next = level{names: map[string]bool{}, name: true}
			}
			stack = append(stack, next)
		}
	}
}

// check holds what the types alone do not.
func (c contents) check() error {
	if len(c.Keys) > MaxKeys || len(c.Grants) > MaxGrants {
		return fmt.Errorf("%w: it has more than %d keys or %d grants", ErrInvalid, MaxKeys, MaxGrants)
	}
	ids, names := map[string]bool{}, map[string]bool{}
	for i, k := range c.Keys {
		hash, err := hex.DecodeString(k.Hash)
		switch {
		case err != nil || len(hash) != 32 || !lowerHex(k.Hash):
			return fmt.Errorf("%w: key %d has no sha256", ErrInvalid, i+1)
		case k.ID != keyID([32]byte(hash)):
			return fmt.Errorf("%w: key %d has an id that is not its own", ErrInvalid, i+1)
		case ids[k.ID]:
			return fmt.Errorf("%w: key %s is there twice", ErrInvalid, k.ID)
		case len(k.Scopes) > MaxScopes:
			return fmt.Errorf("%w: key %s has more than %d scopes", ErrInvalid, k.ID, MaxScopes)
		case k.Revoked.IsZero() && names[k.Name]:
			return fmt.Errorf("%w: two keys are named %q", ErrInvalid, clip(k.Name))
		}
		if err := checkSubject(k.Name); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
		if err := checkScopes(k.Scopes); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
		ids[k.ID] = true
		names[k.Name] = names[k.Name] || k.Revoked.IsZero()
	}
	seen := map[[2]string]bool{}
	for i, g := range c.Grants {
		if err := checkSubject(g.Subject); err != nil {
			return fmt.Errorf("grant %d: %w", i+1, err)
		}
		if err := checkScopes([]Scope{g.Scope}); err != nil {
			return fmt.Errorf("grant %d: %w", i+1, err)
		}
		place := [2]string{g.Subject, g.Scope.pattern}
		if seen[place] {
			return fmt.Errorf("%w: %s has two grants at %s", ErrInvalid, g.Subject, g.Scope.pattern)
		}
		seen[place] = true
	}
	return nil
}

// checkScopes refuses the zero Scope, which a missing member leaves.
func checkScopes(scopes []Scope) error {
	for _, s := range scopes {
		if s.need == 0 {
			return fmt.Errorf("%w: a scope is missing", ErrInvalid)
		}
	}
	return nil
}

// room makes place for one more key: the revoked one that was made first goes,
// or the one that expired first.
func (c *contents) room(now time.Time) error {
	if len(c.Keys) < MaxKeys {
		return nil
	}
	for i, k := range c.Keys { // in the order in which they were made
		if !k.live(now) {
			c.Keys = slices.Delete(c.Keys, i, i+1)
			return nil
		}
	}
	return fmt.Errorf("%w: there are %d keys that work; revoke one", ErrFull, MaxKeys)
}

// dangling returns an error if the name of a file that is not there is a link:
// whoever made it wanted what it leads to, as on a disk that is not mounted.
func dangling(v durable.Volume, path string) error {
	if _, err := v.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w: %s is a link that leads nowhere", ErrInvalid, path)
}
