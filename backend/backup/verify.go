package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// maxDamages bounds what is told of one verification.
const maxDamages = 20

// Report is what a verification found.
type Report struct {
	Tip     gitrepo.Hash // of main at the target
	Commits int
	Objects int
	Bytes   int64 // of objects, before compression
	// Damages names what is missing or is not what its name says, at most 20 of
	// them; Damaged counts all.
	Damages []string
	Damaged int
	// Behind counts the commits that the store has after Tip; -1 if Tip is not
	// an earlier commit of the store, and then Strange says what it is.
	Behind  int
	Strange string
	Took    time.Duration
}

// Good reports whether the store can be restored from the backup as it was at
// its tip.
func (r Report) Good() bool { return r.Damaged == 0 && r.Behind >= 0 }

// Verify reads all of a backup: every object that its main is made of must be
// there and have the bytes that its name says, and main must be a commit of the
// history of tip, which is that of the store. From a server all of it is fetched first, into a temporary
// folder that is removed again. It holds about 50 bytes an object.
func (t *Target) Verify(ctx context.Context, ours *gitrepo.Repo, tip gitrepo.Hash, now func() time.Time) (report Report, err error) {
	started := now()
	repo, theirs, done, err := t.place.fetch(ctx, t.temp)
	if err != nil {
		return Report{}, t.safe("verify", err)
	}
	defer func() { err = errors.Join(err, t.safe("verify", done())) }()
	v := &verifier{repo: repo, seen: map[gitrepo.Hash]struct{}{}}
	v.report.Tip = theirs
	if err := v.walk(ctx, theirs); err != nil {
		return v.report, t.safe("verify", err)
	}
	v.relate(ctx, ours, tip)
	v.report.Took = now().Sub(started)
	return v.report, ctx.Err()
}

type verifier struct {
	repo   *gitrepo.Repo
	seen   map[gitrepo.Hash]struct{}
	queue  []wanted
	report Report
}

type wanted struct {
	hash gitrepo.Hash
	kind plumbing.ObjectType
}

func (v *verifier) want(h gitrepo.Hash, kind plumbing.ObjectType) {
	if _, known := v.seen[h]; !known {
		v.seen[h] = struct{}{}
		v.queue = append(v.queue, wanted{h, kind})
	}
}

// emptyTree needs not be stored to be known.
var emptyTree = plumbing.NewHash("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

// walk looks at everything that a commit is made of.
func (v *verifier) walk(ctx context.Context, tip gitrepo.Hash) error {
	v.want(tip, plumbing.CommitObject)
	for len(v.queue) > 0 {
		at := v.queue[len(v.queue)-1]
		v.queue = v.queue[:len(v.queue)-1]
		kind, data, err := v.repo.Object(ctx, at.hash)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case errors.Is(err, gitrepo.ErrNotFound) && at.hash == emptyTree:
			continue
		case errors.Is(err, gitrepo.ErrNotFound):
			err = fmt.Errorf("%s %s is missing", at.kind, at.hash)
		case err == nil && kind != at.kind:
			err = fmt.Errorf("%s is a %s, not a %s", at.hash, kind, at.kind)
		}
		if err == nil {
			v.report.Objects++
			v.report.Bytes += int64(len(data))
			err = v.parts(at.hash, kind, data)
		}
		if err != nil {
			v.damage(err)
		}
	}
	return nil
}

func (v *verifier) damage(err error) {
	if v.report.Damaged++; len(v.report.Damages) < maxDamages {
		v.report.Damages = append(v.report.Damages, err.Error())
	}
}

// parts wants what an object names.
func (v *verifier) parts(h gitrepo.Hash, kind plumbing.ObjectType, data []byte) error {
	switch kind {
	case plumbing.CommitObject:
		v.report.Commits++
		return v.commitParts(h, data)
	case plumbing.TreeObject:
		return v.treeParts(h, data)
	}
	return nil
}

// commitParts reads the lines that begin a commit: its tree, then its parents.
func (v *verifier) commitParts(h gitrepo.Hash, data []byte) error {
	hasTree := false
	for {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		key, name, _ := bytes.Cut(line, []byte(" "))
		isTree, isParent := string(key) == "tree" && !hasTree, string(key) == "parent"
		if hasTree && !isParent {
			return nil
		}
		if !plumbing.IsHash(string(name)) || !isTree && !isParent {
			return fmt.Errorf("commit %s cannot be read", h)
		}
		kind := plumbing.CommitObject
		if isTree {
			hasTree, kind = true, plumbing.TreeObject
		}
		v.want(plumbing.NewHash(string(name)), kind)
		data = rest
	}
}

// treeParts reads the entries of a tree: mode, space, name, zero, hash.
func (v *verifier) treeParts(h gitrepo.Hash, data []byte) error {
	for len(data) > 0 {
		mode, rest, spaced := bytes.Cut(data, []byte(" "))
		_, rest, ended := bytes.Cut(rest, []byte{0})
		var child gitrepo.Hash
		if !spaced || !ended || len(rest) < len(child) {
			return fmt.Errorf("tree %s cannot be read", h)
		}
		copy(child[:], rest)
		data = rest[len(child):]
		switch string(mode) {
		case "160000": // a submodule: a commit of another repository
		case "40000", "040000":
			v.want(child, plumbing.TreeObject)
		default:
			v.want(child, plumbing.BlobObject)
		}
	}
	return nil
}

// relate says where the backup is in the history of the store.
func (v *verifier) relate(ctx context.Context, ours *gitrepo.Repo, tip gitrepo.Hash) {
	var err error
	v.report.Behind, _, err = ours.Ahead(ctx, v.report.Tip, tip)
	switch {
	case err == nil:
		return
	case errors.Is(err, gitrepo.ErrNotFound):
		v.report.Strange = fmt.Sprintf("its %s is at %s, which this store does not have: it is newer, has commits of others, or is of another store", gitrepo.Main, v.report.Tip)
	default:
		v.report.Strange = err.Error()
	}
	v.report.Behind = -1
}

func (s *server) fetch(ctx context.Context, temp string) (repo *gitrepo.Repo, tip gitrepo.Hash, done func() error, err error) {
	dir, err := os.MkdirTemp(temp, "backup-verify-")
	if err != nil {
		return nil, tip, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	empty, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		return nil, tip, nil, err
	}
	if err := empty.Close(); err != nil {
		return nil, tip, nil, err
	}
	if tip, err = s.fetchInto(ctx, dir); err != nil {
		return nil, tip, nil, err
	}
	if repo, err = gitrepo.OpenDisk(dir, gitrepo.Options{}); err != nil {
		return nil, tip, nil, err
	}
	return repo, tip, func() error { return errors.Join(repo.Close(), remove()) }, nil
}

// fetchInto writes all that the server's main is made of as one pack.
func (s *server) fetchInto(ctx context.Context, dir string) (tip gitrepo.Hash, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	l, err := s.begin(ctx, uploadPack)
	if err != nil {
		return tip, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if l.tip.IsZero() {
		return tip, fmt.Errorf("%w: it has no branch %s", ErrMissing, gitrepo.Main)
	}
	req := packp.NewUploadPackRequest()
	for _, c := range []capability.Capability{capability.OFSDelta, capability.Sideband64k, capability.NoProgress} {
		if l.adv.Capabilities.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return tip, err
			}
		}
	}
	req.Wants = []plumbing.Hash{l.tip}
	size, body, err := encodeFetch(req)
	if err != nil {
		return tip, err
	}
	answer, err := l.exchange(ctx, size, body)
	if err != nil {
		return tip, unavailable(err)
	}
	reply := packp.NewUploadPackResponse(req)
	if err := reply.Decode(io.NopCloser(answer)); err != nil {
		return tip, unavailable(spoken(err, l))
	}
	var pack io.Reader = reply
	if req.Capabilities.Supports(capability.Sideband64k) {
		pack = sideband.NewDemuxer(sideband.Sideband64k, reply)
	}
	return l.tip, unavailable(keepPack(pack, filepath.Join(dir, "objects", "pack", "pack-"+l.tip.String())))
}

// keepPack writes a pack and its index. It is temporary: nothing is synced.
func keepPack(from io.Reader, name string) (err error) {
	file, err := os.OpenFile(name+".pack", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := io.Copy(file, from); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	entries := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(file), entries)
	if err != nil {
		return fmt.Errorf("%w: the pack: %w", gitrepo.ErrCorrupt, err)
	}
	if _, err := parser.Parse(); err != nil {
		return fmt.Errorf("%w: the pack: %w", gitrepo.ErrCorrupt, err)
	}
	index, err := entries.Index()
	if err != nil {
		return fmt.Errorf("%w: the pack: %w", gitrepo.ErrCorrupt, err)
	}
	out, err := os.OpenFile(name+".idx", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(out)
	_, err = idxfile.NewEncoder(buffered).Encode(index)
	return errors.Join(err, buffered.Flush(), out.Close())
}
