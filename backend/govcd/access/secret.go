package access

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/config"
)

const (
	// MinSecret is the shortest JWT secret, in bytes (RFC 7518, section 3.2).
	MinSecret = 32
	// MaxSecrets may be live at once: the one that signs, and the one before it
	// until its last token has expired.
	MaxSecrets = 2
	// MinAdminKey is the shortest admin key, in bytes, where other machines
	// reach the service.
	MinAdminKey = 16

	maxSecretFile = 8 << 10
	kidDigits     = 16
)

// secret is a live key of tokens.
type secret struct {
	kid   string
	value config.Secret
}

// Keyring holds the secrets that tokens are signed with: the first signs, all
// verify. The zero Keyring has none.
type Keyring struct{ secrets []secret }

// NewKeyring takes the secrets, the one that signs first. Each has at least
// MinSecret bytes; a rotation puts a new one first and keeps the one before
// second.
func NewKeyring(values ...config.Secret) (Keyring, error) {
	if len(values) > MaxSecrets {
		return Keyring{}, fmt.Errorf("%w: %d JWT secrets are more than the %d that may be live at once", ErrInvalid, len(values), MaxSecrets)
	}
	var k Keyring
	for _, value := range values {
		if n := len(value.Reveal()); n < MinSecret {
			return Keyring{}, fmt.Errorf("%w: a JWT secret has %d bytes, it needs %d: make one with openssl rand -hex 32", ErrWeak, n, MinSecret)
		}
		next := secret{kidOf(value), value}
		for _, other := range k.secrets {
			if other.kid == next.kid {
				return Keyring{}, fmt.Errorf("%w: the same JWT secret is given twice", ErrInvalid)
			}
		}
		k.secrets = append(k.secrets, next)
	}
	return k, nil
}

// IsSet reports whether there is a secret.
func (k Keyring) IsSet() bool { return len(k.secrets) > 0 }

// Weak says why a secret is easy to guess, "" if none is known to be.
func (k Keyring) Weak() string {
	for _, s := range k.secrets {
		if why := weakness(s.value.Reveal()); why != "" {
			return why
		}
	}
	return ""
}

// kidOf names a secret without anybody having to: whoever has the secret knows
// its name, and the name gives no more away than a token does.
func kidOf(value config.Secret) string {
	sum := sha256.Sum256([]byte("caiatop jwt key id\n" + value.Reveal()))
	return hex.EncodeToString(sum[:])[:kidDigits]
}

// ParseSecrets reads the form of GOVC_JWT_SECRET and of a secret file: one
// secret a line, the one that signs first. Empty lines count for nothing.
func ParseSecrets(text string) ([]config.Secret, error) {
	var out []config.Secret
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, config.NewSecret(line))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no secret", ErrInvalid)
	}
	return out, nil
}

// ReadSecrets reads a file of secrets, which nobody but its owner may read.
func ReadSecrets(v durable.Volume, path string) (secrets []config.Secret, err error) {
	file, err := v.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cmp.Or(dangling(v, path), err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSecretFile {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrInvalid, path, maxSecretFile)
	}
	secrets, err = ParseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return secrets, nil
}

// private refuses a file that others may read.
func private(path string, info os.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: others may read %s (%v): chmod 600 it", ErrInvalid, path, info.Mode().Perm())
	}
	return nil
}

// known are words of secrets that were shipped as defaults or stand in guides.
var known = regexp.MustCompile(`(?i)default|secret|change|production|password|passwd|passphrase|example|sample|insecure|dummy|placeholder|` +
	`caiatop|caiatech|caia|govc|token|jwt|api|key|test|demo|admin|root|user|your|this|please|must|should|replace|in|me|my|the|to|be|a|an|for|dev|local|prod|qwerty|letmein`)

var (
	separators = regexp.MustCompile(`[\s._:/,+-]+`)
	wordsOnly  = regexp.MustCompile(`^[A-Z]?[a-z]+([\s._-]+[A-Z]?[a-z]+)+$|^[A-Z]+([\s._-]+[A-Z]+)+$`)
)

// weakness says why a secret of enough bytes is easy to guess, "" if it is not
// known to be.
func weakness(s string) string {
	const distinct, period, left = 10, 12, 16
	seen := map[byte]bool{}
	steps := map[byte]int{}
	for i := range len(s) {
		seen[s[i]] = true
		if i > 0 {
			steps[s[i]-s[i-1]]++
		}
	}
	for _, n := range steps {
		if n*2 > len(s) {
			return "it counts, or repeats one character"
		}
	}
	for p := 1; p <= min(period, len(s)/2); p++ {
		if s[p:] == s[:len(s)-p] {
			return fmt.Sprintf("it repeats %d characters", p)
		}
	}
	rest := separators.ReplaceAllString(known.ReplaceAllString(s, ""), "")
	switch {
	case len(seen) < distinct:
		return fmt.Sprintf("it has only %d different characters", len(seen))
	case wordsOnly.MatchString(s):
		return "it is made of words"
	case len(rest) < left:
		return "it is made of words that stand in guides and default configurations"
	}
	return ""
}
