package access

import (
	"fmt"
	"regexp"
	"strings"
)

// Need is what a request does with a repository. The zero Need is nothing that
// can be allowed.
type Need uint8

// The needs, of which each includes those before.
const (
	Read Need = iota + 1
	Write
	Admin // create and delete the repository
)

var needNames = map[Need]string{Read: "read", Write: "write", Admin: "admin"}

// String names the need.
func (n Need) String() string {
	if name, ok := needNames[n]; ok {
		return name
	}
	return fmt.Sprintf("Need(%d)", uint8(n))
}

// ParseNeed reads read, write or admin.
func ParseNeed(s string) (Need, error) {
	for n, name := range needNames {
		if s == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: %q is not read, write or admin", ErrInvalid, clip(s))
}

// Service stands for the service itself where a repository is asked for:
// metrics in detail, events of all repositories.
const Service = "*"

// Limits on names, in bytes.
const (
	maxPattern = 64
	maxSubject = 64
	// MaxScopes bounds the scopes of one credential.
	MaxScopes = 32
)

var (
	patterns = regexp.MustCompile(`^(\*|[A-Za-z0-9][A-Za-z0-9_-]*\*?)$`)
	subjects = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)
)

// Scope is a right: a need at the repositories of a pattern. Only ParseScope and
// NewScope make one that matches anything.
type Scope struct {
	pattern string
	need    Need
}

// NewScope checks both parts. A pattern is the id of a repository, the beginning
// of ids followed by "*", or "*".
func NewScope(pattern string, need Need) (Scope, error) {
	if len(pattern) > maxPattern || !patterns.MatchString(pattern) {
		return Scope{}, fmt.Errorf("%w: %q is no repository: give its id, the beginning of ids and *, or *", ErrInvalid, clip(pattern))
	}
	if _, ok := needNames[need]; !ok {
		return Scope{}, fmt.Errorf("%w: there is no right %v", ErrInvalid, need)
	}
	return Scope{pattern, need}, nil
}

// ParseScope reads "docs:read", "team-*:write" or "*:admin".
func ParseScope(s string) (Scope, error) {
	pattern, word, found := strings.Cut(s, ":")
	if !found {
		return Scope{}, fmt.Errorf("%w: %q is no right: give a repository and read, write or admin, as in docs:read", ErrInvalid, clip(s))
	}
	need, err := ParseNeed(word)
	if err != nil {
		return Scope{}, err
	}
	return NewScope(pattern, need)
}

// ParseScopes reads several, separated by single spaces; "" is none.
func ParseScopes(s string) ([]Scope, error) {
	if s == "" {
		return nil, nil
	}
	words := strings.Split(s, " ")
	if len(words) > MaxScopes {
		return nil, fmt.Errorf("%w: %d scopes are more than %d", ErrInvalid, len(words), MaxScopes)
	}
	scopes := make([]Scope, 0, len(words))
	for _, word := range words {
		scope, err := ParseScope(word)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// Repo returns the pattern.
func (s Scope) Repo() string { return s.pattern }

// Need returns the need.
func (s Scope) Need() Need { return s.need }

// String is what ParseScope reads.
func (s Scope) String() string { return s.pattern + ":" + s.need.String() }

// MarshalText is String.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseScope.
func (s *Scope) UnmarshalText(text []byte) (err error) {
	*s, err = ParseScope(string(text))
	return err
}

// allows reports whether the scope covers a need at a repository.
func (s Scope) allows(repo string, need Need) bool {
	if need < Read || need > s.need || repo == "" {
		return false
	}
	prefix, open := strings.CutSuffix(s.pattern, "*")
	if !open {
		return s.pattern == repo
	}
	// Service begins with no prefix, so that only "*" covers it.
	return strings.HasPrefix(repo, prefix)
}

func joinScopes(scopes []Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = s.String()
	}
	return strings.Join(words, " ")
}

func checkSubject(s string) error {
	if len(s) > maxSubject || !subjects.MatchString(s) {
		return fmt.Errorf("%w: %q is no name: give 1 to %d letters, digits and . _ @ + -, beginning with a letter or digit",
			ErrInvalid, clip(s), maxSubject)
	}
	return nil
}

// clip keeps what an error quotes short, and quotes nothing of a credential.
func clip(s string) string {
	const most = 24
	if strings.HasPrefix(s, KeyPrefix) || strings.HasPrefix(s, "eyJ") {
		return "[redacted]"
	}
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
