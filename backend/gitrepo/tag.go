package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPeel bounds how many tags may point to each other.
const maxPeel = 16

// Tag is a name for a commit, or for another object, that does not move.
type Tag struct {
	Name   string
	Object Hash // what the reference points to: a tag object, if it is annotated
	Target Hash // what it stands for in the end; nearly always a commit
	// IsCommit tells whether Target is a commit.
	IsCommit bool
	// The rest is zero for a light tag. Of an annotated one it may come from
	// anybody, so it is not safe to show.
	Annotated bool
	Tagger    Signature
	At        time.Time
	Message   string
}

// TagInput says what to tag.
type TagInput struct {
	Name   string
	Commit Hash
	// Message makes it an annotated tag; without one it is light, and Tagger
	// and At are not used. UTF-8 text, at most MaxMessage bytes.
	Message string
	Tagger  Signature
	At      time.Time // recorded in UTC, to the second
}

// tagRef checks the name of a tag and returns its reference.
func tagRef(name string) (string, error) {
	ref := tagsPrefix + name
	if err := checkRef(ref); err != nil {
		return "", fmt.Errorf("tag %q: %w", name, err)
	}
	if strings.HasPrefix(name, "-") {
		return "", fmt.Errorf("tag %q: %w: git takes it for an option", name, ErrInvalid)
	}
	return ref, nil
}

// Tags returns all tags, by name, peeled. ErrCorrupt if one points to an object
// that is not there.
func (r *Repo) Tags(ctx context.Context) ([]Tag, error) {
	if r.closed.Load() {
		return nil, ErrClosed
	}
	refs, err := listRefs(r.refs, tagsPrefix)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	out := make([]Tag, 0, len(refs))
	for ref, h := range refs {
		t, err := r.peel(ctx, Tag{Name: strings.TrimPrefix(ref, tagsPrefix), Object: h, Target: h})
		if err != nil {
			return nil, fmt.Errorf("tag %s: %w", t.Name, err)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Tag returns one tag. ErrNotFound.
func (r *Repo) Tag(ctx context.Context, name string) (Tag, error) {
	ref, err := tagRef(name)
	if err != nil {
		return Tag{}, err
	}
	h, err := r.Ref(ref)
	if err != nil {
		return Tag{}, err
	}
	t, err := r.peel(ctx, Tag{Name: name, Object: h, Target: h})
	if err != nil {
		return Tag{}, fmt.Errorf("tag %s: %w", name, err)
	}
	return t, nil
}

// peel follows tag objects to what they stand for; the first one says who
// tagged it, and why.
func (r *Repo) peel(ctx context.Context, t Tag) (Tag, error) {
	for range maxPeel {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		o, err := r.objects.object(t.Target)
		if errors.Is(err, ErrNotFound) {
			return t, fmt.Errorf("%w: the object %s is missing", ErrCorrupt, t.Target)
		}
		if err != nil {
			return t, err
		}
		if o.kind != plumbing.TagObject {
			t.IsCommit = o.kind == plumbing.CommitObject
			return t, nil
		}
		d, err := decodeTag(t.Target, o.data)
		if err != nil {
			return t, err
		}
		if !t.Annotated {
			t.Annotated, t.Tagger, t.At, t.Message = true, d.tagger, d.at, d.message
		}
		t.Target = d.target
	}
	return t, fmt.Errorf("%w: more than %d tags point to each other", ErrCorrupt, maxPeel)
}

// tagObject is what a tag object says.
type tagObject struct {
	target  Hash
	kind    plumbing.ObjectType // of the target
	tagger  Signature
	at      time.Time
	message string
}

// decodeTag reads a tag object written by anybody. Old ones have no tagger.
func decodeTag(h Hash, data []byte) (tagObject, error) {
	var t tagObject
	corrupt := func(what string) (tagObject, error) {
		return tagObject{}, fmt.Errorf("%w: tag %s: %s", ErrCorrupt, h, what)
	}
	for more := true; more; {
		var line []byte
		line, data, more = bytes.Cut(data, []byte("\n"))
		if len(line) == 0 {
			t.message = string(data)
			break
		}
		key, value, _ := bytes.Cut(line, []byte(" "))
		ok := true
		switch string(key) {
		case "object":
			t.target, ok = parseHash(value)
		case "type":
			var err error
			t.kind, err = plumbing.ParseObjectType(string(value))
			ok = err == nil
		case "tagger":
			t.tagger, t.at, ok = parseIdentity(value)
		}
		if !ok {
			return corrupt(fmt.Sprintf("the %s line cannot be read", key))
		}
	}
	if t.target.IsZero() || t.kind == plumbing.InvalidObject {
		return corrupt("it does not say what it tags")
	}
	return t, nil
}

func encodeTag(in TagInput) ([]byte, error) {
	name, email := cleanIdentity(in.Tagger.Name), cleanIdentity(in.Tagger.Email)
	if name == "" {
		return nil, fmt.Errorf("%w: a tag with a message needs the name of a tagger", ErrInvalid)
	}
	if in.At.Unix() < 0 || in.At.Year() > 9999 {
		return nil, fmt.Errorf("%w: the time %v is outside 1970 to 9999", ErrInvalid, in.At)
	}
	message, err := cleanMessage(in.Message)
	if err != nil {
		return nil, err
	}
	b := fmt.Appendf(nil, "object %s\ntype commit\ntag %s\ntagger %s <%s> ", in.Commit, in.Name, name, email)
	b = strconv.AppendInt(b, in.At.Unix(), 10)
	b = append(b, " +0000\n\n"...)
	return append(b, message...), nil
}

// CreateTag makes a tag of a commit, durably. ErrExists; ErrNotFound if there
// is no such commit; ErrInvalid for a name that git does not allow.
func (r *Repo) CreateTag(ctx context.Context, in TagInput) error {
	ref, err := tagRef(in.Name)
	if err == nil {
		err = checkNewName(in.Name)
	}
	if err != nil {
		return err
	}
	wrap := func(err error) error { return fmt.Errorf("create tag %s: %w", in.Name, err) }
	if _, err := r.ReadCommit(ctx, in.Commit); err != nil {
		return wrap(err)
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	u := refUpdate{name: ref, target: in.Commit}
	if in.Message != "" {
		data, err := encodeTag(in)
		if err != nil {
			return wrap(err)
		}
		b := &builder{repo: r}
		if u.target, err = b.stage(plumbing.TagObject, data); err != nil {
			return wrap(err)
		}
		err = r.storeAndMove(ctx, b, u)
		if err != nil {
			return wrap(existsErr(err))
		}
		return nil
	}
	if err := r.move(ctx, u); err != nil {
		return wrap(existsErr(err))
	}
	return nil
}

// existsErr names what "it is not nowhere" means to who creates something.
func existsErr(err error) error {
	if errors.Is(err, ErrMoved) {
		return ErrExists
	}
	return err
}

// DeleteTag removes a tag; what it named stays until git collects it.
// ErrNotFound.
func (r *Repo) DeleteTag(ctx context.Context, name string) error {
	ref, err := tagRef(name)
	if err != nil {
		return err
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	at, err := r.refs.ref(ref)
	if err != nil {
		return fmt.Errorf("delete tag %s: %w", name, err)
	}
	return r.move(ctx, refUpdate{name: ref, old: at})
}
