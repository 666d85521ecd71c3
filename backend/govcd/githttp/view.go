package githttp

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/go-git/go-git/v5/plumbing"
)

// Repo is what is served. *gitrepo.Repo is one.
type Repo interface {
	// Head returns the branch that HEAD names, "" for none; ErrNotFound of
	// package gitrepo with it if it has no commits yet.
	Head(ctx context.Context) (branch string, tip Hash, err error)
	Branches() ([]gitrepo.Branch, error)
	Tags(ctx context.Context) ([]gitrepo.Tag, error)
	ReadCommit(ctx context.Context, h Hash) (gitrepo.Commit, error)
	// Object returns an object that may be anything. The bytes are shared.
	Object(ctx context.Context, h Hash) (plumbing.ObjectType, []byte, error)
}

const (
	heads = "refs/heads/"
	tags  = "refs/tags/"
	head  = "HEAD"
)

// ref is one reference of a view.
type ref struct {
	name   string
	target Hash
	peeled Hash // what an annotated tag stands for, else zero
	commit bool // that, or the target, is a commit
}

// at is what a reference stands for.
func (r ref) at() Hash {
	if r.peeled.IsZero() {
		return r.target
	}
	return r.peeled
}

// view is the references of a repository as one request sees them.
type view struct {
	head    string // the reference that HEAD names, "" if it names none
	headAt  Hash   // zero if that has no commits yet
	refs    []ref  // by name
	byNames map[string]int
}

// look makes a view. HEAD is where the listing of branches has it, and not a
// moment later.
func look(ctx context.Context, repo Repo) (*view, error) {
	v := &view{byNames: map[string]int{}}
	branch, tip, err := repo.Head(ctx)
	if err != nil && !errors.Is(err, gitrepo.ErrNotFound) {
		return nil, err
	}
	branches, err := repo.Branches()
	if err != nil {
		return nil, err
	}
	annotated, err := repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	v.refs = make([]ref, 0, len(branches)+len(annotated))
	for _, b := range branches {
		v.refs = append(v.refs, ref{name: heads + b.Name, target: b.Tip, commit: true})
	}
	for _, t := range annotated {
		r := ref{name: tags + t.Name, target: t.Object, commit: t.IsCommit}
		if t.Target != t.Object {
			r.peeled = t.Target
		}
		v.refs = append(v.refs, r)
	}
	slices.SortFunc(v.refs, func(a, b ref) int { return strings.Compare(a.name, b.name) })
	for i, r := range v.refs {
		v.byNames[r.name] = i
	}
	if branch == "" {
		v.headAt = tip
		return v, nil
	}
	v.head = heads + branch
	if i, ok := v.byNames[v.head]; ok {
		v.headAt = v.refs[i].target
	}
	return v, nil
}

// find returns the reference that a client means by a short or a full name.
func (v *view) find(name string) (ref, bool) {
	for _, prefix := range []string{"", "refs/", tags, heads} {
		if i, ok := v.byNames[prefix+name]; ok {
			return v.refs[i], true
		}
	}
	return ref{}, false
}

// tips calls fn with every object that the view names.
func (v *view) tips(fn func(Hash)) {
	if !v.headAt.IsZero() {
		fn(v.headAt)
	}
	for _, r := range v.refs {
		fn(r.target)
		if !r.peeled.IsZero() {
			fn(r.peeled)
		}
	}
}

// commits calls fn with every commit that the view names.
func (v *view) commits(fn func(Hash)) {
	if !v.headAt.IsZero() {
		fn(v.headAt)
	}
	for _, r := range v.refs {
		if r.commit {
			fn(r.at())
		}
	}
}

// What is announced. Nothing that is not served is in it.
const (
	features0 = "multi_ack multi_ack_detailed no-done side-band side-band-64k thin-pack ofs-delta shallow deepen-since deepen-not" +
		" deepen-relative no-progress include-tag allow-tip-sha1-in-want allow-reachable-sha1-in-want filter object-format=sha1"
	noObject = "0000000000000000000000000000000000000000"
)

// advertise0 is the listing with which version 0 begins, and version 1 but for
// its first line.
func (v *view) advertise0(b []byte, version int, agent string) []byte {
	b = appendLine(b, "# service=git-upload-pack")
	b = append(b, flushLine...)
	if version == 1 {
		b = appendLine(b, "version 1")
	}
	features := "\x00" + features0
	if v.head != "" && !v.headAt.IsZero() {
		features += " symref=" + head + ":" + v.head
	}
	features += " agent=" + agent
	line := func(name string, at Hash) {
		b = appendLine(b, at.String(), " ", name, features)
		features = ""
	}
	if !v.headAt.IsZero() {
		line(head, v.headAt)
	}
	for _, r := range v.refs {
		line(r.name, r.target)
		if !r.peeled.IsZero() {
			line(r.name+"^{}", r.peeled)
		}
	}
	if features != "" {
		b = appendLine(b, noObject, " capabilities^{}", features)
	}
	return append(b, flushLine...)
}

// advertise2 is what version 2 begins with: the commands.
func advertise2(b []byte, agent string) []byte {
	for _, line := range []string{
		"version 2", "agent=" + agent, "ls-refs=unborn", "fetch=shallow filter", "object-format=sha1",
	} {
		b = appendLine(b, line)
	}
	return append(b, flushLine...)
}

// list answers the command ls-refs.
func (v *view) list(b []byte, r *request) []byte {
	wanted := func(name string) bool {
		return len(r.prefixes) == 0 || len(r.prefixes) > MaxPrefixes ||
			slices.ContainsFunc(r.prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	if wanted(head) {
		target := ""
		if r.symrefs && v.head != "" {
			target = " symref-target:" + v.head
		}
		switch {
		case !v.headAt.IsZero():
			b = appendLine(b, v.headAt.String(), " ", head, target)
		case r.unborn && target != "":
			b = appendLine(b, "unborn ", head, target)
		}
	}
	for _, ref := range v.refs {
		if !wanted(ref.name) {
			continue
		}
		peeled := ""
		if r.peel && !ref.peeled.IsZero() {
			peeled = " peeled:" + ref.peeled.String()
		}
		b = appendLine(b, ref.target.String(), " ", ref.name, peeled)
	}
	return append(b, flushLine...)
}
