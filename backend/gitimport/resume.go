package gitimport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// refPrefix is where the imported histories lie.
	refPrefix = "refs/caiatop/import/"
	// fromTrailer names the commit of the source; partTrailer one of which only
	// a part is there.
	fromTrailer = "Imported-From"
	partTrailer = "Imported-Part-Of"
)

// resume finds the reference of this source, how far an earlier run came, and
// where the documents lie by then. It returns the first commit to import.
func (r *run) resume(ctx context.Context) (from int, err error) {
	sum := sha256.Sum256([]byte(r.chain[0].String() + "\n" + r.report.Branch))
	r.ref = refPrefix + hex.EncodeToString(sum[:8])
	if r.main, err = r.here.Look(ctx); err != nil {
		return 0, err
	}
	at, err := r.into.Ref(r.ref)
	switch {
	case errors.Is(err, gitrepo.ErrNotFound):
	case err != nil:
		return 0, err
	default:
		if from, err = r.continueAt(ctx, at); err != nil {
			return 0, err
		}
	}
	r.report.Earlier, r.report.Done = from, from
	return from, r.listPlaces(ctx, from)
}

// listPlaces notes where documents lie before the first commit is imported.
func (r *run) listPlaces(ctx context.Context, from int) error {
	if r.main != "" {
		err := r.list(ctx, r.here, r.main, func(p *place, folder document.Path) { p.here, p.exists = folder, true })
		if err != nil {
			return err
		}
	}
	if from == 0 {
		return nil
	}
	err := r.list(ctx, r.here, r.tip.String(), func(p *place, folder document.Path) { p.here = folder })
	if err != nil {
		return err
	}
	return r.list(ctx, r.docs, r.chain[from-1].String(), func(p *place, folder document.Path) { p.source = folder })
}

// continueAt goes down the commits of earlier runs to the newest that the
// branch of the source still has.
func (r *run) continueAt(ctx context.Context, at gitrepo.Hash) (from int, err error) {
	index := make(map[string]int, len(r.chain))
	for i, h := range r.chain {
		index[h.String()] = i
	}
	r.was = at
	for !at.IsZero() {
		c, err := r.into.ReadCommit(ctx, at)
		if err != nil {
			return 0, fmt.Errorf("earlier import %s: %w", r.ref, err)
		}
		if i, ok := index[trailerOf(c.Message, fromTrailer)]; ok {
			from = i + 1
			break
		}
		at = gitrepo.Hash{}
		if len(c.Parents) > 0 {
			at = c.Parents[0]
		}
	}
	r.tip = at // without the parts of a commit, and what was rewritten since
	return from, nil
}

// list notes where each document of a commit lies.
func (r *run) list(ctx context.Context, in *gitstore.Store, commit string, note func(*place, document.Path)) error {
	for entry, err := range in.ListAt(ctx, commit) {
		if err != nil {
			return err
		}
		p := r.places[entry.Key.ID]
		note(&p, entry.Key.Folder)
		r.places[entry.Key.ID] = p
	}
	return nil
}

// join brings what was imported into the main branch.
func (r *run) join(ctx context.Context) error {
	if r.DryRun {
		return r.compare(ctx)
	}
	main := plumbing.NewHash(r.main)
	if r.main == "" {
		err := r.into.CreateBranch(gitrepo.Main, r.tip)
		if err == nil {
			r.report.Merge = r.tip.String()
			return nil
		}
		if !errors.Is(err, gitrepo.ErrExists) {
			return err
		}
	} else if held, err := r.into.IsAncestor(ctx, r.tip, main); held || err != nil {
		return err
	}
	result, err := r.into.MergeFavouring(ctx, gitrepo.MergeInput{
		Theirs: r.tip, Author: gitrepo.Signature(r.Author), At: r.Now().UTC(), Favour: gitrepo.FavourOurs,
		Whole: gitstore.IsDocument, AllowUnrelated: true,
		Message: fmt.Sprintf("Import the history of %s, branch %s", store.ASCII(filepath.Base(r.dir)), store.ASCII(r.report.Branch)),
		Before:  func(paths []string) error { return r.allOverridden(ctx, paths) },
	})
	if err != nil {
		return fmt.Errorf("join what was imported: %w", err)
	}
	r.report.Merge = result.Commit.String()
	return nil
}

// allOverridden notes what is not taken by one attempt to merge. What an earlier
// one noted, under which the branch moved, is forgotten.
func (r *run) allOverridden(ctx context.Context, paths []string) error {
	r.report.Conflicts, r.report.Kept = 0, []string{}
	for _, path := range paths {
		if err := r.overridden(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// overridden notes a document whose place was kept, unless both are the same.
func (r *run) overridden(ctx context.Context, path string) error {
	folder, err := document.ParsePath(path)
	if err != nil {
		return nil //nolint:nilerr // no document
	}
	id, ok := document.IDOfFolder(folder)
	if !ok {
		return nil
	}
	key := store.Key{ID: id, Folder: folder}
	_, theirs, err := r.here.Readable(ctx, r.tip.String(), key)
	if err != nil && !gitstore.Unreadable(err) && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.conflict(ctx, key, theirs)
	return nil
}

// compare finds what would be overridden.
func (r *run) compare(ctx context.Context) error {
	for id, p := range r.places {
		if !p.exists || p.source.IsZero() {
			continue
		}
		_, theirs, err := r.docs.Readable(ctx, r.chain[len(r.chain)-1].String(), store.Key{ID: id, Folder: p.source})
		if gitstore.Unreadable(err) {
			continue
		}
		if err != nil {
			return err
		}
		r.conflict(ctx, store.Key{ID: id, Folder: p.here}, theirs)
	}
	return nil
}

// conflict counts a document that the main branch holds with another hash.
func (r *run) conflict(ctx context.Context, key store.Key, theirs document.Hash) {
	doc, err := r.here.Get(ctx, key)
	if err == nil {
		if ours, err := doc.Hash(); err == nil && ours == theirs {
			return
		}
	}
	r.report.Conflicts++
	if len(r.report.Kept) < MaxListed {
		r.report.Kept = append(r.report.Kept, key.ID.String())
	}
}

// Own reports ErrOwn if dir is the repository at git.
func Own(dir, git string) error {
	own, err := os.Stat(git)
	if err != nil {
		return nil //nolint:nilerr // what is not there is not the source
	}
	for _, candidate := range []string{dir, filepath.Join(dir, ".git")} {
		if info, err := os.Stat(candidate); err == nil && os.SameFile(info, own) {
			return fmt.Errorf("%s: %w", dir, ErrOwn)
		}
	}
	return nil
}

// linkOf makes a commit of the same author and time as one that anybody may
// have written.
func linkOf(c gitrepo.Commit) gitrepo.Link {
	l := gitrepo.Link{Author: c.Author, At: c.At}
	if strings.Trim(l.Author.Name, " .,:;\"'\\<>\t\r\n") == "" {
		l.Author.Name = "unknown"
	}
	if strings.Trim(l.Author.Email, " .,:;\"'\\<>\t\r\n") == "" {
		l.Author.Email = "unknown"
	}
	if l.At.Unix() < 0 || l.At.Year() > 9999 {
		l.At = time.Unix(0, 0)
	}
	return l
}

// withTrailer is a message with one more trailer, as text that git takes.
func withTrailer(message, key, value string) string {
	if !utf8.ValidString(message) {
		message = strings.ToValidUTF8(message, "\ufffd")
	}
	message = strings.TrimRight(strings.ReplaceAll(message, "\x00", ""), "\n ")
	if most := gitrepo.MaxMessage - 200; len(message) > most {
		message = strings.ToValidUTF8(message[:most], "")
	}
	gap := "\n\n"
	if i := strings.LastIndex(message, "\n\n"); i >= 0 && isTrailers(message[i+2:]) {
		gap = "\n"
	}
	if message == "" {
		message = "(no message)"
	}
	return message + gap + key + ": " + value + "\n"
}

// isTrailers reports whether every line of a paragraph is a trailer.
func isTrailers(paragraph string) bool {
	for line := range strings.Lines(paragraph) {
		key, _, ok := strings.Cut(line, ": ")
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return false
		}
	}
	return true
}

// trailerOf returns the last value of a trailer.
func trailerOf(message, key string) (value string) {
	message = strings.TrimRight(message, "\n")
	for line := range strings.Lines(message[strings.LastIndex(message, "\n\n")+1:]) {
		if k, v, ok := strings.Cut(line, ": "); ok && k == key {
			value = strings.TrimSpace(v)
		}
	}
	return value
}
