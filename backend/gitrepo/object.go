package gitrepo

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	githash "github.com/go-git/go-git/v5/plumbing/hash"
)

// MaxObject bounds one object, decompressed, in bytes (64 MiB). Larger ones
// are neither written nor read.
const MaxObject = 64 << 20

// Hash names an object.
type Hash = plumbing.Hash

// object is the content of one object. The bytes are shared between all who
// hold it and are never changed.
type object struct {
	kind plumbing.ObjectType
	data []byte
}

// staged is an object that is not in the repository yet.
type staged struct {
	hash Hash
	object
	// base is what was at the same place before, zero if nothing or unknown:
	// a good base for a delta.
	base Hash
	// name is the last part of the path, "" for a commit and for the root:
	// objects of one name are often alike.
	name string
	// index is that of a tree, if it has been made already.
	index *treeIndex
	// like is the entry of a tree that has the same names and kinds in the same
	// places, nil if none is known.
	like *tableEntry
}

// hasher is a hash with the room for what goes in and what comes out: passed
// through an interface, each would be an allocation.
type hasher struct {
	githash.Hash
	in  [32 + wholeBytes]byte
	sum [hashSize]byte
}

// wholeBytes is how much of an object goes into the hash in one piece with its
// header, in bytes: nearly all trees are smaller, and each piece costs as much
// as hashing a hundred bytes.
const wholeBytes = 2048

// hashers are collision detecting, as git's are; making one costs more than
// hashing a small object.
var hashers = sync.Pool{New: func() any { return &hasher{Hash: githash.New(crypto.SHA1)} }}

func hashObject(kind plumbing.ObjectType, data []byte) Hash {
	h := hashers.Get().(*hasher) //nolint:forcetypeassert // the pool makes nothing else
	h.Reset()
	b := append(h.in[:0], kind.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(data)), 10)
	b = append(b, 0)
	if len(data) <= wholeBytes {
		b, data = append(b, data...), nil
	}
	h.Write(b)
	h.Write(data)
	h.Sum(h.sum[:0])
	out := Hash(h.sum)
	hashers.Put(h)
	return out
}

// stage names an object.
func stage(kind plumbing.ObjectType, data []byte) (staged, error) {
	if len(data) > MaxObject {
		return staged{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(data), MaxObject)
	}
	return staged{hash: hashObject(kind, data), object: object{kind, data}}, nil
}

// Signature names who made a commit.
type Signature struct{ Name, Email string }

// Commit is one commit of the history.
type Commit struct {
	Hash, Tree Hash
	Parents    []Hash
	Author     Signature
	At         time.Time // of the commit (the committer's time), UTC
	Message    string
}

// encodeCommit writes c. Author and committer are the same, and the time is
// in UTC.
func encodeCommit(c Commit) ([]byte, error) {
	name, email := cleanIdentity(c.Author.Name), cleanIdentity(c.Author.Email)
	if name == "" || email == "" {
		return nil, fmt.Errorf("%w: a commit needs the name and the email of its author", ErrInvalid)
	}
	if c.At.Unix() < 0 || c.At.Year() > 9999 {
		return nil, fmt.Errorf("%w: the commit time %v is outside 1970 to 9999", ErrInvalid, c.At)
	}
	message, err := cleanMessage(c.Message)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 128+2*(len(name)+len(email))+(2*hashSize+8)*(len(c.Parents)+1)+len(message))
	b = append(b, "tree "...)
	b = hex.AppendEncode(b, c.Tree[:])
	for i := range c.Parents {
		b = append(b, "\nparent "...)
		b = hex.AppendEncode(b, c.Parents[i][:])
	}
	for _, role := range [...]string{"author", "committer"} {
		b = append(b, '\n')
		b = append(b, role...)
		b = append(b, ' ')
		b = append(b, name...)
		b = append(b, " <"...)
		b = append(b, email...)
		b = append(b, "> "...)
		b = strconv.AppendInt(b, c.At.Unix(), 10)
		b = append(b, " +0000"...)
	}
	b = append(b, "\n\n"...)
	return append(b, message...), nil
}

// decodeCommit reads a commit written by anybody. Headers that it does not
// know (signatures, encodings) are skipped.
func decodeCommit(h Hash, data []byte) (Commit, error) {
	c := Commit{Hash: h}
	corrupt := func(what string) (Commit, error) {
		return Commit{}, fmt.Errorf("%w: commit %s: %s", ErrCorrupt, h, what)
	}
	for {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		if len(line) == 0 {
			c.Message = string(rest)
			break
		}
		key, value, _ := bytes.Cut(line, []byte(" "))
		ok := true
		switch string(key) {
		case "tree":
			c.Tree, ok = parseHash(value)
		case "parent":
			var p Hash
			p, ok = parseHash(value)
			c.Parents = append(c.Parents, p)
		case "author":
			c.Author, _, ok = parseIdentity(value)
		case "committer":
			_, c.At, ok = parseIdentity(value)
		}
		if !ok {
			return corrupt(fmt.Sprintf("the %s line cannot be read", key))
		}
		if !found {
			break
		}
		data = rest
	}
	if c.Tree.IsZero() {
		return corrupt("it has no tree")
	}
	return c, nil
}

// treeOf reads no more of a commit than its tree, which git writes first.
func treeOf(h Hash, data []byte) (Hash, error) {
	const key = "tree "
	var tree Hash
	if bytes.HasPrefix(data, []byte(key)) && len(data) > len(key)+2*hashSize && data[len(key)+2*hashSize] == '\n' {
		if _, err := hex.Decode(tree[:], data[len(key):len(key)+2*hashSize]); err == nil {
			return tree, nil
		}
	}
	return Hash{}, fmt.Errorf("%w: commit %s has no tree", ErrCorrupt, h)
}

// decodeLinks reads no more of a commit than its tree, its parents and its
// time.
func decodeLinks(h Hash, data []byte) (Commit, error) {
	tree, err := treeOf(h, data)
	if err != nil {
		return decodeCommit(h, data)
	}
	c := Commit{Hash: h, Tree: tree}
	for rest := data; len(rest) > 0 && rest[0] != '\n'; {
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		if value, ok := bytes.CutPrefix(line, []byte("parent ")); ok {
			p, ok := parseHash(value)
			if !ok {
				return decodeCommit(h, data) // says what is wrong
			}
			c.Parents = append(c.Parents, p)
		} else if value, ok := bytes.CutPrefix(line, []byte("committer ")); ok {
			end := bytes.LastIndexByte(value, '>')
			if end < 0 {
				return decodeCommit(h, data)
			}
			c.At = parseTime(value[end+1:])
			break
		}
	}
	return c, nil
}

func parseHash(text []byte) (h Hash, ok bool) {
	if len(text) != 2*hashSize {
		return Hash{}, false
	}
	_, err := hex.Decode(h[:], text)
	return h, err == nil
}

// parseTime reads "seconds zone". A time that cannot be read counts as the
// start of 1970, as git shows it.
func parseTime(value []byte) time.Time {
	seconds, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
	unix, err := strconv.ParseInt(string(seconds), 10, 64)
	if err != nil {
		unix = 0
	}
	return time.Unix(unix, 0).UTC()
}

// parseIdentity reads "name <email> seconds zone".
func parseIdentity(value []byte) (Signature, time.Time, bool) {
	open, end := bytes.IndexByte(value, '<'), bytes.LastIndexByte(value, '>')
	if open < 0 || end < open {
		return Signature{}, time.Time{}, false
	}
	s := Signature{string(bytes.TrimSpace(value[:open])), string(value[open+1 : end])}
	return s, parseTime(value[end+1:]), true
}
