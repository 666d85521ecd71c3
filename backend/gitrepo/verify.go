package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
)

// MaxFindings bounds the findings that a report lists.
const MaxFindings = 1000

// Problem is what is wrong.
type Problem string

// The problems that Verify finds.
const (
	ProblemMissing   Problem = "missing"   // an object is named and not there
	ProblemDamaged   Problem = "damaged"   // an object cannot be read, or is not what its name says
	ProblemKind      Problem = "kind"      // an object is not of the kind that it is named as
	ProblemMalformed Problem = "malformed" // an object breaks a rule of git
	ProblemFile      Problem = "file"      // a pack, an index or another file does not match its checksum
	ProblemReference Problem = "reference" // a reference cannot be read
)

// Finding is one thing that is wrong. What is not safe to show.
type Finding struct {
	Problem Problem
	Object  Hash   // zero if it is about a file or a reference
	Kind    string // of the object: commit, tree, blob, tag; "" if unknown
	File    string // path of the pack or the file, or name of the reference; "" if none
	What    string
}

// VerifyOptions tune Verify.
type VerifyOptions struct {
	// Progress, if set, is called from time to time with the steps that are
	// done and those that there will be at most.
	Progress func(done, total int64)
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	References  int
	Packs       int
	Objects     int64 // different ones
	Unreachable int64 // of them, those that no reference reaches
	// Absent are the objects that a partial clone may lack, and lacks.
	Absent int64
	// Shallow are the commits whose parents a shallow clone may lack.
	Shallow  int
	Findings []Finding // the first MaxFindings
	Found    int64     // all of them
}

// Whole tells that nothing is wrong.
func (r VerifyReport) Whole() bool { return r.Found == 0 }

// Verify checks the repository without git: every reference resolves; every
// object that is there can be read, is what its name says and obeys the rules
// of git fsck --strict for its kind; every object that a reference reaches is
// there, and of the kind that it is named as; packs, indexes and git's other
// files match their checksums. Damage is in the report; the error is for what
// keeps Verify from looking at all.
//
// Everything is read from the disk once, commits and trees a second time.
// Memory is 24 bytes for each object and each further copy of it, and 56 more
// for each object of the largest pack. Commits and maintenance go on meanwhile: what is
// committed after the beginning is not looked at.
func (r *Repo) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	if r.closed.Load() {
		return VerifyReport{}, ErrClosed
	}
	v := &verifier{ctx: ctx, repo: r, progress: o.Progress, missing: make(map[Hash]struct{})}
	if v.progress == nil {
		v.progress = func(int64, int64) {}
	}
	if err := v.run(); err != nil {
		return v.report, fmt.Errorf("verify the repository: %w", err)
	}
	return v.report, nil
}

// known is what the verifier remembers of an object.
type known struct {
	hash    Hash
	kind    plumbing.ObjectType // InvalidObject: not read yet, or it cannot be
	read    bool
	reached bool
}

// verifier is one run of Verify.
type verifier struct {
	ctx      context.Context //nolint:containedctx // lives for one call of Verify
	repo     *Repo
	report   VerifyReport
	progress func(done, total int64)
	done     int64
	total    int64

	objects []known // by name
	stack   []int   // of objects that are reached and not followed yet
	shallow map[Hash]struct{}
	// partial: objects may be absent, because they were left at the origin.
	partial bool
	missing map[Hash]struct{} // found already, at most MaxFindings
}

func (v *verifier) run() error {
	// References first: what they reach is then in the packs that are listed.
	targets, err := v.references()
	if err != nil {
		return err
	}
	switch s := v.repo.objects.(type) {
	case *packStore:
		if err := v.readDisk(s); err != nil {
			return err
		}
	case *memory:
		if err := v.readMemory(s); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		if err := v.reach(name, targets[name]); err != nil {
			return err
		}
	}
	for _, k := range v.objects {
		if !k.reached {
			v.report.Unreachable++
		}
	}
	v.total = v.done
	v.progress(v.done, v.total)
	return v.ctx.Err()
}

func (v *verifier) find(f Finding) {
	v.report.Found++
	if len(v.report.Findings) < MaxFindings {
		v.report.Findings = append(v.report.Findings, f)
	}
}

// step counts one object, and reports every few of them.
func (v *verifier) step() error {
	const every = 256
	if v.done++; v.done%every != 0 {
		return nil
	}
	v.progress(v.done, max(v.done, v.total))
	return v.ctx.Err()
}

// references returns where references point, and finds those that cannot be
// read.
func (v *verifier) references() (map[string]Hash, error) {
	targets := make(map[string]Hash)
	err := v.repo.refs.each("refs/", func(name string, target Hash, err error) error {
		if err == nil {
			targets[name] = target
			return nil
		}
		if !errors.Is(err, ErrCorrupt) {
			return err
		}
		v.find(Finding{Problem: ProblemReference, File: name, What: err.Error()})
		return nil
	})
	v.report.References = len(targets)
	return targets, err
}

func (v *verifier) readMemory(m *memory) error {
	m.objects.each(func(h Hash) { v.objects = append(v.objects, known{hash: h}) })
	v.sortObjects()
	for i := range v.objects {
		o, err := m.object(v.objects[i].hash)
		v.check(i, o, err, "")
		if err := v.step(); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn with the name of every object. Those that are put meanwhile may
// be left out.
func (t *table) each(fn func(h Hash)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if buckets := s.buckets.Load(); buckets != nil {
			for b := range *buckets {
				for e := (*buckets)[b].Load(); e != nil; e = e.next.Load() {
					fn(e.hash)
				}
			}
		}
		s.mu.Unlock()
	}
}

// sortObjects makes the table searchable, each object once.
func (v *verifier) sortObjects() {
	slices.SortFunc(v.objects, func(a, b known) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	v.objects = slices.CompactFunc(v.objects, func(a, b known) bool { return a.hash == b.hash })
	v.report.Objects = int64(len(v.objects))
	v.total = 2 * v.report.Objects
}

// at returns where an object is in the table, -1 if it is not.
func (v *verifier) at(h Hash) int {
	i := sort.Search(len(v.objects), func(i int) bool { return bytes.Compare(v.objects[i].hash[:], h[:]) >= 0 })
	if i < len(v.objects) && v.objects[i].hash == h {
		return i
	}
	return -1
}

// check judges one copy of an object, or the error of reading it.
func (v *verifier) check(i int, o object, err error, file string) {
	k := &v.objects[i]
	f := Finding{Problem: ProblemDamaged, Object: k.hash, File: file}
	if err != nil {
		f.What = err.Error()
		v.find(f)
		return
	}
	f.Kind = o.kind.String()
	name, err := nameObject(o.kind, o.data)
	switch {
	case err != nil:
		f.What = err.Error()
	case name != k.hash:
		f.What = "its content is that of " + name.String()
	}
	if f.What != "" {
		v.find(f)
		return
	}
	if k.read {
		return // another copy of it
	}
	k.read, k.kind = true, o.kind
	checkObject(o, func(what string) {
		f.Problem, f.What = ProblemMalformed, what
		v.find(f)
	})
}

// reach follows everything that a reference is made of. It goes into a commit's
// tree before it goes to the parents, so that the stack stays as small as the
// trees are wide and deep.
func (v *verifier) reach(ref string, target Hash) error {
	kind := plumbing.AnyObject
	if len(ref) > len(headsPrefix) && ref[:len(headsPrefix)] == headsPrefix {
		kind = plumbing.CommitObject
	}
	if err := v.push(target, kind, Finding{File: ref, What: "the reference " + ref + " names it"}); err != nil {
		return err
	}
	for len(v.stack) > 0 {
		i := v.stack[len(v.stack)-1]
		v.stack = v.stack[:len(v.stack)-1]
		if err := v.step(); err != nil {
			return err
		}
		k := v.objects[i]
		if k.kind == plumbing.BlobObject || !k.read {
			continue // nothing in it, or found damaged already
		}
		o, err := v.repo.stored(k.hash)
		if err != nil {
			if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
				v.find(Finding{Problem: ProblemDamaged, Object: k.hash, Kind: k.kind.String(), What: err.Error()})
				continue
			}
			return err
		}
		if err := v.follow(k.hash, o); err != nil {
			return err
		}
	}
	return nil
}

// follow pushes what an object names. What cannot be read was found already.
func (v *verifier) follow(h Hash, o object) error {
	by := Finding{What: fmt.Sprintf("the %s %s names it", o.kind, h)}
	var failed error
	push := func(h Hash, kind plumbing.ObjectType) {
		if failed == nil {
			failed = v.push(h, kind, by)
		}
	}
	if o.kind == plumbing.TagObject {
		if t, err := decodeTag(h, o.data); err == nil {
			push(t.target, t.kind)
		}
		return failed
	}
	if _, cut := v.shallow[h]; cut && o.kind == plumbing.CommitObject {
		if tree, err := treeOf(h, o.data); err == nil {
			push(tree, plumbing.TreeObject)
		}
		return failed
	}
	var trees []Hash
	_ = parts(h, o, func(h Hash, kind plumbing.ObjectType) { // said by check
		if o.kind == plumbing.CommitObject && kind == plumbing.TreeObject {
			trees = append(trees, h)
			return
		}
		push(h, kind)
	})
	for _, tree := range trees {
		push(tree, plumbing.TreeObject)
	}
	return failed
}

// push notes that an object is reached, as one of a kind.
func (v *verifier) push(h Hash, kind plumbing.ObjectType, by Finding) error {
	if h == emptyTree && v.at(h) < 0 {
		return nil // every git knows it
	}
	by.Object = h
	if kind != plumbing.AnyObject {
		by.Kind = kind.String()
	}
	i := v.at(h)
	if i < 0 {
		if v.partial {
			v.report.Absent++
			return nil
		}
		// Once more: it may have moved from loose to packed while we listed.
		_, err := v.repo.stored(h)
		switch {
		case errors.Is(err, ErrNotFound):
			v.findMissing(by)
			return nil
		case err != nil && !errors.Is(err, ErrCorrupt):
			return err
		}
		return v.late(h, kind, by)
	}
	k := &v.objects[i]
	if k.read && kind != plumbing.AnyObject && k.kind != kind {
		by.Problem, by.What = ProblemKind, fmt.Sprintf("it is a %s, and %s as a %s", k.kind, by.What, kind)
		v.find(by)
	}
	if !k.reached {
		k.reached = true
		v.stack = append(v.stack, i)
	}
	return nil
}

// findMissing finds an object that is nowhere, once for all that name it.
func (v *verifier) findMissing(f Finding) {
	if _, known := v.missing[f.Object]; known {
		return
	}
	if len(v.missing) < MaxFindings {
		v.missing[f.Object] = struct{}{}
	}
	f.Problem = ProblemMissing
	v.find(f)
}

// late checks an object that was listed nowhere and is there, with what it
// names.
func (v *verifier) late(h Hash, kind plumbing.ObjectType, by Finding) error {
	i, _ := slices.BinarySearchFunc(v.objects, h, func(k known, h Hash) int { return bytes.Compare(k.hash[:], h[:]) })
	for n, at := range v.stack {
		if at >= i {
			v.stack[n]++
		}
	}
	v.objects = slices.Insert(v.objects, i, known{hash: h})
	v.report.Objects++
	o, err := v.repo.stored(h)
	v.check(i, o, err, "")
	return v.push(h, kind, by)
}
