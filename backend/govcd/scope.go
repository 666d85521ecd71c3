package govcd

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// headerStage names the staging area of one client (CapStage).
const headerStage = "X-Stage"

var stageNames = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// scope is what a request works on: a branch, and one staging area of it.
type scope struct {
	branch string
	stage  string // "" is the area that all clients share
}

// shared is the scope of a request that names none.
var shared = scope{branch: gitrepo.Main}

// scopeOf reads ?branch= and the header that names a staging area.
func scopeOf(r *http.Request) (scope, error) {
	sc := shared
	if asked := parameter(r.URL.RawQuery, "branch"); asked != "" {
		sc.branch = asked
	}
	if given, ok := r.Header[headerStage]; ok {
		if len(given) != 1 || !stageNames.MatchString(given[0]) {
			return scope{}, fail(http.StatusBadRequest, "INVALID_STAGE", headerStage+" must be 1 to 64 letters, digits, hyphens or underscores")
		}
		sc.stage = given[0]
	}
	return sc, nil
}

// source is what a read looks at: what a scope has now, or a commit.
type source struct {
	scope
	commit gitrepo.Hash
	fixed  bool // commit is meant, and nothing that is staged
}

// sourceOf reads what scopeOf reads, and ?ref=, which is stronger.
func (r *repo) sourceOf(ctx context.Context, request *http.Request) (source, error) {
	sc, err := scopeOf(request)
	if err != nil {
		return source{}, err
	}
	src := source{scope: sc}
	if ref := parameter(request.URL.RawQuery, "ref"); ref != "" {
		src.commit, err = r.resolve(ctx, ref)
		src.fixed = true
	}
	return src, err
}

// resolve finds the commit that a full hash, a branch or a tag names.
func (r *repo) resolve(ctx context.Context, ref string) (gitrepo.Hash, error) {
	if h, ok := parseHash(ref); ok {
		if _, err := r.git.ReadCommit(ctx, h); err == nil || !errors.Is(err, gitrepo.ErrNotFound) {
			return h, err
		}
	}
	r.mu.RLock()
	tip, ok := r.tips[ref]
	r.mu.RUnlock()
	if ok {
		return tip, nil
	}
	tag, err := r.git.Tag(ctx, ref)
	switch {
	case errors.Is(err, gitrepo.ErrNotFound), errors.Is(err, gitrepo.ErrInvalid), err == nil && !tag.IsCommit:
		return gitrepo.Hash{}, fail(http.StatusNotFound, "REF_NOT_FOUND", "reference not found: "+ref)
	case err != nil:
		return gitrepo.Hash{}, err
	}
	return tag.Target, nil
}

// parseHash reads the full name of an object.
func parseHash(text string) (h gitrepo.Hash, ok bool) {
	const digits = 2 * len(h)
	if len(text) != digits {
		return h, false
	}
	for i := range digits {
		var nibble byte
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			nibble = c - '0'
		case c >= 'a' && c <= 'f':
			nibble = c - 'a' + 10
		default:
			return gitrepo.Hash{}, false
		}
		h[i/2] = h[i/2]<<4 | nibble
	}
	return h, true
}

// tip returns the newest commit of a branch, zero if it has none yet; the
// caller holds mu.
func (r *repo) tip(branch string) (gitrepo.Hash, error) {
	tip, ok := r.tips[branch]
	if !ok && branch != gitrepo.Main {
		return tip, branchNotFound(branch)
	}
	return tip, nil
}

func branchNotFound(name string) error {
	return fail(http.StatusNotFound, "BRANCH_NOT_FOUND", "branch not found: "+name)
}

// head returns the newest commit of a branch, zero if it has none yet.
func (r *repo) head(branch string) (gitrepo.Hash, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tip(branch)
}

// look calls fn with what is staged in a source and returns its commit, both
// of one moment. fn must not change or keep the area.
func (r *repo) look(src source, fn func(*area)) (gitrepo.Hash, error) {
	if src.fixed {
		return src.commit, nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	tip, err := r.tip(src.branch)
	if err == nil {
		fn(r.areaAt(src.scope))
	}
	return tip, err
}

// commitOf returns the commit of a source, without what is staged.
func (r *repo) commitOf(src source) (gitrepo.Hash, error) {
	if src.fixed {
		return src.commit, nil
	}
	return r.head(src.branch)
}

// read returns the content of a file as clients see it, staged before
// committed, and the name of its blob. The bytes are shared and never changed.
func (r *repo) read(ctx context.Context, src source, p document.Path) ([]byte, gitrepo.Hash, error) {
	var c change
	var pending bool
	tip, err := r.look(src, func(a *area) { c, pending = a.pending(p.String()) })
	switch {
	case err != nil:
		return nil, gitrepo.Hash{}, err
	case pending && c.deleted:
		return nil, gitrepo.Hash{}, fileNotFound(p.String())
	case pending:
		return c.data, blobHash(c.data), nil
	}
	e, found, err := r.find(ctx, tip, p)
	if err == nil && (!found || e.IsDir) {
		err = fileNotFound(p.String())
	}
	if err != nil {
		return nil, gitrepo.Hash{}, err
	}
	data, err := r.git.ReadBlobShared(ctx, e.Hash)
	if errors.Is(err, gitrepo.ErrNotFound) {
		err = fileNotFound(p.String()) // a name that is neither file nor folder
	}
	return data, e.Hash, err
}

// find returns what a commit has at a path; the zero commit has nothing.
func (r *repo) find(ctx context.Context, at gitrepo.Hash, p document.Path) (gitrepo.Entry, bool, error) {
	return findIn(ctx, r.git, at, p)
}

func findIn(ctx context.Context, git *gitrepo.Repo, at gitrepo.Hash, p document.Path) (gitrepo.Entry, bool, error) {
	if at.IsZero() {
		return gitrepo.Entry{}, false, nil
	}
	e, err := git.Find(ctx, at, p)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}
