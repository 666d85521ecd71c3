package gitstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/store"
)

// History implements store.Store. limit is at most gitrepo.MaxLog; a limit of
// zero or less gives nothing.
func (s *Store) History(ctx context.Context, key store.Key, limit int) ([]store.Revision, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	tip, err := s.repo.Tip(s.branch)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fail("history of", key, err)
	}
	commits, err := s.repo.Log(ctx, tip, gitrepo.LogOptions{Path: key.Folder, Limit: limit})
	if err != nil {
		return nil, fail("history of", key, err)
	}
	out := make([]store.Revision, 0, len(commits))
	for _, c := range commits {
		deleted, err := s.absent(ctx, c.Hash, key)
		if err != nil {
			return nil, fail("history of", key, err)
		}
		out = append(out, store.Revision{
			Commit: c.Hash.String(), Author: store.Author(c.Author), At: c.At, Message: c.Message, Deleted: deleted,
		})
	}
	return out, nil
}

func (s *Store) absent(ctx context.Context, at gitrepo.Hash, key store.Key) (bool, error) {
	_, err := s.repo.List(ctx, at, key.Folder)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return true, nil
	}
	return false, err
}

const findTrailer = "find a trailer in git"

// Trailer returns the newest commit of the branch whose message has a trailer
// of that key with a value that matches, and the value. It looks at no more
// than maxCommits commits. store.ErrNotFound if none of them has one. The key
// is compared without regard to case, as git does.
func (s *Store) Trailer(ctx context.Context, key string, match func(value string) bool, maxCommits int) (value, commit string, err error) {
	tip, err := s.repo.Tip(s.branch)
	if err != nil {
		return "", "", wrap(findTrailer, err)
	}
	return s.trailer(ctx, tip, key, match, maxCommits)
}

// TrailerFrom is Trailer in the history of a commit.
func (s *Store) TrailerFrom(ctx context.Context, from, key string, match func(value string) bool, maxCommits int) (value, commit string, err error) {
	at, err := parseCommit(from)
	if err != nil {
		return "", "", wrap(findTrailer, err)
	}
	return s.trailer(ctx, at, key, match, maxCommits)
}

func (s *Store) trailer(ctx context.Context, from gitrepo.Hash, key string, match func(value string) bool, maxCommits int) (value, commit string, err error) {
	seen := 0
	err = s.repo.EachCommit(ctx, from, store.Path{}, func(c gitrepo.Commit) bool {
		if seen++; seen > maxCommits {
			return false
		}
		for _, v := range trailers(c.Message, key) {
			if match(v) {
				value, commit = v, c.Hash.String()
				return false
			}
		}
		return true
	})
	if err == nil && commit == "" {
		err = fmt.Errorf("%w in %d commits", gitrepo.ErrNotFound, min(seen, maxCommits))
	}
	if err != nil {
		return "", "", wrap(findTrailer+" "+key, err)
	}
	return value, commit, nil
}

// trailers returns the values of a key in the last paragraph of a message,
// unless that is its first, which is the subject.
func trailers(message, key string) []string {
	message = strings.TrimRight(message, "\n")
	start := strings.LastIndex(message, "\n\n")
	if start < 0 {
		return nil
	}
	var out []string
	lines := bufio.NewScanner(strings.NewReader(message[start+2:]))
	lines.Buffer(nil, gitrepo.MaxMessage+1)
	for lines.Scan() {
		k, v, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.EqualFold(strings.TrimSpace(k), key) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// Branch implements store.Merger. The branch begins at the tip of this store's
// own branch; store.ErrNotFound while that has no commit, store.ErrConflict if
// the branch exists.
func (s *Store) Branch(ctx context.Context, name string) (store.Store, error) {
	operation := fmt.Sprintf("branch %q in git", name)
	if err := ctx.Err(); err != nil {
		return nil, wrap(operation, err)
	}
	tip, err := s.repo.Tip(s.branch)
	if err != nil {
		return nil, wrap(operation, err)
	}
	if err := s.repo.CreateBranch(name, tip); err != nil {
		if errors.Is(err, gitrepo.ErrExists) {
			err = fmt.Errorf("%w: %w", store.ErrConflict, err)
		}
		return nil, wrap(operation, err)
	}
	return &Store{repo: s.repo, branch: name}, nil
}

// Merge implements store.Merger: it brings the branch into this store's own.
func (s *Store) Merge(ctx context.Context, branch string, author store.Author, at time.Time) (store.Receipt, error) {
	h, err := s.repo.Merge(ctx, gitrepo.MergeInput{
		Into: s.branch, From: branch, Author: gitrepo.Signature(author), At: at,
		Message: fmt.Sprintf("Merge branch %s", store.ASCII(branch)),
	})
	if err != nil {
		return store.Receipt{}, wrap(fmt.Sprintf("merge %q in git", branch), err)
	}
	return store.Receipt{Commit: h.String()}, nil
}
