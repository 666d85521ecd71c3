package wiretest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// repository is the state of one repository of an emulator. Staging is shared
// by all clients, and reads show what is staged.
type repository struct {
	id            string
	created       time.Time
	files         map[string]string  // what reads show
	staged        map[string]*string // by path; nil removes it
	commits       []commit           // the oldest first
	author, email string             // used last, by anybody
	asked         time.Time
	v1Only        bool // made by v1 of a LEGACY service: v2 does not have it
}

type commit struct {
	Hash      string    `json:"hash"`
	Message   string    `json:"message"`
	Author    string    `json:"author"`
	Email     string    `json:"email"`
	Timestamp time.Time `json:"timestamp"`
	Parent    string    `json:"parent,omitempty"`

	tree map[string]string
}

func newRepository(id string, now time.Time) *repository {
	r := &repository{id: id, created: now, asked: now}
	r.forget()
	return r
}

// forget empties the repository, as an eviction does.
func (r *repository) forget() {
	r.files, r.staged, r.commits = map[string]string{}, map[string]*string{}, nil
	r.author, r.email = "Unknown", "unknown@example.com"
}

func (r *repository) shown() map[string]any {
	return map[string]any{"id": r.id, "path": ":memory:", "current_branch": "main", "created_at": r.created}
}

func (r *repository) add(path, content string) {
	r.files[path], r.staged[path] = content, &content
}

func (r *repository) tip() (tree map[string]string, hash string) {
	if len(r.commits) == 0 {
		return nil, ""
	}
	last := r.commits[len(r.commits)-1]
	return last.tree, last.Hash
}

// commit makes a commit of a tree and clears the staging. Its hash is made of
// what a commit holds, to the second, and of nothing that tells repositories
// apart.
func (r *repository) commit(tree map[string]string, message, author, email string, now time.Time) commit {
	if author != "" {
		r.author = author
	}
	if email != "" {
		r.email = email
	}
	_, parent := r.tip()
	c := commit{Message: message, Author: r.author, Email: r.email, Timestamp: now.UTC(), Parent: parent, tree: tree}
	sum := sha1.New()
	for _, path := range slices.Sorted(maps.Keys(r.staged)) {
		_, _ = fmt.Fprintf(sum, "%q", path) // a hash takes everything
		if content := r.staged[path]; content != nil {
			_, _ = io.WriteString(sum, *content)
		}
	}
	_, _ = fmt.Fprintf(sum, "%q %q %q %d %s", message, r.author, r.email, now.Unix(), parent)
	c.Hash = hex.EncodeToString(sum.Sum(nil))
	r.commits, r.staged = append(r.commits, c), map[string]*string{}
	return c
}

// stagedOnly is the tree of a commit of NEW: what was staged, and nothing else.
func (r *repository) stagedOnly() map[string]string {
	tree := map[string]string{}
	for path, content := range r.staged {
		if content != nil {
			tree[path] = *content
		}
	}
	return tree
}

// stagedOver is the tree of a commit of LEGACY: the one before with what was
// staged.
func (r *repository) stagedOver() map[string]string {
	before, _ := r.tip()
	tree := maps.Clone(before)
	if tree == nil {
		tree = map[string]string{}
	}
	for path, content := range r.staged {
		if content == nil {
			delete(tree, path)
			continue
		}
		tree[path] = *content
	}
	return tree
}

// entry is one entry of a listing.
type entry struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"`
	Type     string    `json:"type"`
	Size     int       `json:"size"`
	Mode     string    `json:"mode"`
	Modified time.Time `json:"modified"`
}

// list lists files below a folder ("" is the root): its children, or every
// file. The order is that of a map: none.
func (r *repository) list(folder string, recursive bool, kinds, modes [2]string) []entry {
	entries := []entry{}
	if folder != "" {
		folder += "/"
	}
	seen := map[string]bool{}
	for path, content := range r.files {
		rest, below := strings.CutPrefix(path, folder)
		if !below {
			continue
		}
		name, _, nested := strings.Cut(rest, "/")
		switch {
		case recursive:
			entries = append(entries, entry{Name: rest[strings.LastIndexByte(rest, '/')+1:], Path: path, Type: kinds[0], Size: len(content), Mode: modes[0]})
		case !nested:
			entries = append(entries, entry{Name: name, Path: path, Type: kinds[0], Size: len(content), Mode: modes[0]})
		case !seen[name]:
			seen[name] = true
			entries = append(entries, entry{Name: name, Path: folder + name, Type: kinds[1], Mode: modes[1]})
		}
	}
	return entries
}

// unlogged reports a commit at which the log of LEGACY ends: one whose author
// cannot be read back.
func (c commit) unlogged() bool { return strings.ContainsAny(c.Author+c.Email, "<>\n\r") }

// log returns the newest commits first. With stops, it ends at a commit that
// is unlogged.
func (r *repository) log(limit int, stops bool) []commit {
	out := []commit{}
	for i := len(r.commits) - 1; i >= 0 && len(out) < limit; i-- {
		if stops && r.commits[i].unlogged() {
			break
		}
		out = append(out, r.commits[i])
	}
	return out
}

// untracked are the files that the newest commit does not hold.
func (r *repository) untracked() []string {
	tree, _ := r.tip()
	out := []string{}
	for path := range r.files {
		if _, ok := tree[path]; !ok && r.staged[path] == nil {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}
