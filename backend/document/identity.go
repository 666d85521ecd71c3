package document

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of names, in bytes.
const (
	MaxID      = 200
	MaxType    = 64
	MaxSegment = 255
	MaxPath    = 1024
)

// ID identifies a document: 1 to MaxID bytes of UTF-8 that form one safe path
// segment. The zero ID is no identity.
type ID struct{ s string }

// ParseID validates s. Errors wrap ErrInvalid and say which rule was broken.
func ParseID(s string) (ID, error) {
	if err := checkFolder("id", s, MaxID); err != nil {
		return ID{}, err
	}
	return ID{s}, nil
}

// String returns the identity as it was given. It is not safe to show.
func (id ID) String() string { return id.s }

// IsZero reports whether id is no identity.
func (id ID) IsZero() bool { return id.s == "" }

// Type is the kind of a document ("text", "pdf"): 1 to MaxType bytes of UTF-8
// that form one safe path segment.
type Type struct{ s string }

// ParseType validates s. Errors wrap ErrInvalid and say which rule was broken.
func ParseType(s string) (Type, error) {
	if err := checkFolder("type", s, MaxType); err != nil {
		return Type{}, err
	}
	return Type{s}, nil
}

// String returns the type as it was given. It is not safe to show.
func (t Type) String() string { return t.s }

// IsZero reports whether t is no type.
func (t Type) IsZero() bool { return t.s == "" }

// Path is a relative, slash-separated path whose segments are all safe, at
// most MaxPath bytes long. The zero Path is the root.
type Path struct{ s string }

// ParsePath validates s. Errors wrap ErrInvalid and say which rule was broken.
func ParsePath(s string) (Path, error) {
	if len(s) > MaxPath {
		return Path{}, fmt.Errorf("%w: the path has %d bytes, the limit is %d", ErrInvalid, len(s), MaxPath)
	}
	for rest, more := s, true; more; {
		var segment string
		check := checkName
		if segment, rest, more = strings.Cut(rest, "/"); more {
			check = checkFolder
		}
		if err := check("path segment", segment, MaxSegment); err != nil {
			return Path{}, err
		}
	}
	return Path{s}, nil
}

// String returns the path with slashes between its segments.
func (p Path) String() string { return p.s }

// Parent returns the folder that p lies in, the root of a path of one segment.
func (p Path) Parent() Path { return Path{p.s[:max(strings.LastIndexByte(p.s, '/'), 0)]} }

// IsZero reports whether p is the root.
func (p Path) IsZero() bool { return p.s == "" }

// checkFolder holds the rules for everything that becomes a folder of a git
// tree.
func checkFolder(what, s string, limit int) error {
	if isPlain(s) && len(s) <= limit {
		return nil
	}
	if err := checkOddName(what, s, limit); err != nil {
		return err
	}
	if own, is := gitOwnFile(s); is {
		return fmt.Errorf("%w: the %s %q means %s, which git takes for a file of its own", ErrInvalid, what, s, own)
	}
	return nil
}

// checkName holds the rules for everything that becomes one segment of a git
// tree, a file name or a part of a URL.
func checkName(what, s string, limit int) error {
	if isPlain(s) && len(s) <= limit {
		return nil
	}
	return checkOddName(what, s, limit)
}

// checkOddName is checkName for what is not plain.
func checkOddName(what, s string, limit int) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: the %s is empty", ErrInvalid, what)
	case len(s) > limit:
		return fmt.Errorf("%w: the %s has %d bytes, the limit is %d", ErrInvalid, what, len(s), limit)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: the %s is not UTF-8", ErrInvalid, what)
	case s == "." || s == "..":
		return fmt.Errorf("%w: the %s may not be %q", ErrInvalid, what, s)
	case DisguisesGit(s):
		return fmt.Errorf("%w: the %s %q means .git on some file systems", ErrInvalid, what, s)
	}
	for _, r := range s {
		switch {
		case r == '/' || r == '\\':
			return fmt.Errorf("%w: the %s holds %q", ErrInvalid, what, r)
		case unicode.IsControl(r) || isInvisible(r):
			return fmt.Errorf("%w: the %s holds the control character %U", ErrInvalid, what, r)
		}
	}
	return nil
}

// isPlain reports ASCII letters, digits, hyphens, underscores, and dots that are
// neither first nor last: what nearly all names are made of, and what no rule is
// against.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c == '-', c == '_':
		case c == '.' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// isInvisible reports bidi controls, line separators, zero-width characters
// and tags: what can make two names look alike or one look like another.
func isInvisible(r rune) bool {
	switch r {
	case '\u00ad', '\u034f', '\u061c', '\u180e', '\u2028', '\u2029', '\ufeff', utf8.RuneError:
		return true
	}
	return unicode.Is(unicode.Cf, r) || (r >= 0xe0000 && r <= 0xe0fff)
}

// DisguisesGit reports whether s is taken for ".git" by a file system that
// folds case, ignores characters (HFS+) or has short names, trailing dots and
// streams (NTFS). The rules are those of git's core.protectHFS and
// core.protectNTFS.
func DisguisesGit(s string) bool {
	folded := folded(s)
	return folded == ".git" || folded == "git~1"
}

// folded is what s may become on a file system that folds case, ignores
// characters, and drops streams, trailing dots and spaces.
func folded(s string) string {
	s = strings.ToLower(norm.NFKC.String(strings.Map(func(r rune) rune {
		if isInvisible(r) {
			return -1
		}
		return r
	}, s)))
	stream, _, _ := strings.Cut(s, ":")
	return strings.TrimRight(stream, ". ")
}

// ownFile is a file in which git itself reads, with the first letters of its
// short names at NTFS: those of its name, and those of a hash of it.
type ownFile struct{ name, short, hashed string }

// Below them git knows .gitignore and .mailmap, too, which may be folders.
var ownFiles = []ownFile{
	{".gitmodules", "gitmod", "gi7eba"},
	{".gitattributes", "gitatt", "gi7d29"},
}

// gitOwnFile reports whether s is taken for a file of git's own by some file
// system, and for which. As a folder it makes git fsck fail, and servers that
// check what they receive refuse the whole history (git's fsck messages
// gitmodulesBlob and gitattributesBlob).
func gitOwnFile(s string) (name string, is bool) {
	s = folded(s)
	for _, f := range ownFiles {
		if s == f.name || f.isShort(s) {
			return f.name, true
		}
	}
	return "", false
}

// isShort reports whether s is a short name of the file: the first of its name
// with 1 to 4, or as many letters of the hash as fit before a number.
func (f ownFile) isShort(s string) bool {
	stem, number, found := strings.Cut(s, "~")
	if !found || len(s) != 8 || strings.Trim(number, "0123456789") != "" || number == "" || number[0] == '0' {
		return false
	}
	return stem == f.short && number <= "4" || strings.HasPrefix(f.hashed, stem)
}
