package gitrepo

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// Main is the branch that an empty name means.
const Main = "main"

const (
	headsPrefix = "refs/heads/"
	tagsPrefix  = "refs/tags/"
	// MaxMessage bounds a commit message, in bytes (1 MiB).
	MaxMessage = 1 << 20
)

// branchRef checks the name of a branch and returns its reference.
func branchRef(branch string) (string, error) {
	if branch == "" || branch == Main {
		return headsPrefix + Main, nil
	}
	ref := headsPrefix + branch
	if plainName(branch) {
		return ref, nil
	}
	if err := checkRef(ref); err != nil {
		return "", fmt.Errorf("branch %q: %w", branch, err)
	}
	return ref, nil
}

// plainName tells names that all rules allow, so that they need not be gone
// through: they take as long as an eighth of a merge.
func plainName(s string) bool {
	const long = 100
	if s == "" || s[0] == '-' || len(s) > long {
		return false
	}
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// checkRef holds git's rules for references and ours for paths, because a
// reference is also a file.
func checkRef(ref string) error {
	if _, err := document.ParsePath(ref); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !strings.HasPrefix(ref, "refs/") || ref+"/" == headsPrefix || ref+"/" == tagsPrefix {
		return fmt.Errorf("%w: a reference begins with refs/, and is not the folder of all branches or tags", ErrInvalid)
	}
	if err := plumbing.ReferenceName(ref).Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// checkNewName refuses what git reads and does not make: every command would
// call it ambiguous.
func checkNewName(name string) error {
	if name == "HEAD" {
		return fmt.Errorf("%w: HEAD is the name of the current branch", ErrInvalid)
	}
	return nil
}

// checkMark checks the name of a mark, "" being none.
func checkMark(mark string) error {
	if mark == "" {
		return nil
	}
	if err := checkRef(mark); err != nil {
		return fmt.Errorf("mark %q: %w", mark, err)
	}
	if strings.HasPrefix(mark, headsPrefix) || strings.HasPrefix(mark, tagsPrefix) {
		return fmt.Errorf("mark %q: %w: it is a branch or a tag", mark, ErrInvalid)
	}
	return nil
}

// cleanIdentity drops what would end a name or an email early, as git does.
func cleanIdentity(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '<' || r == '>' || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, " .,:;\"'\\")
}

// cleanMessage checks a message and ends its last line.
func cleanMessage(s string) (string, error) {
	switch {
	case len(s) > MaxMessage:
		return "", fmt.Errorf("%w: the message has %d bytes, the limit is %d", ErrInvalid, len(s), MaxMessage)
	case strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s):
		return "", fmt.Errorf("%w: the message is not text", ErrInvalid)
	case s != "" && !strings.HasSuffix(s, "\n"):
		s += "\n"
	}
	return s, nil
}
