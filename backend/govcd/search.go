package govcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// MaxWords bounds the words of one search.
	MaxWords = 16
	// MaxFound bounds the files that one search answers.
	MaxFound = 1000
	// MaxSearchFile bounds the files whose text is searched, in bytes; of larger
	// ones, and of those that are no text, only the path is.
	MaxSearchFile = 4 << 20
	// maxSearched bounds the text that one search reads, in bytes.
	maxSearched = 64 << 20
	// searchTime bounds how long one search takes.
	searchTime = 2 * time.Second
)

// search finds files by words; upper and lower case are alike.
type search struct {
	words []string // in lower case
	path  document.Path
	limit int
	bytes int // that may be read
	time  time.Duration
}

type searchAnswer struct {
	Commit  string      `json:"commit"`
	Results []foundFile `json:"results"`
	Total   int         `json:"total"`
	// Truncated: a limit ended the search, there may be more.
	Truncated bool `json:"truncated"`
}

type foundFile struct {
	Path string `json:"path"`
	Hash string `json:"hash"`
}

func (s *Service) getSearch(w http.ResponseWriter, r *http.Request, repo *repo) error {
	query := r.URL.Query()
	q := search{words: strings.Fields(strings.ToLower(query.Get("q"))), bytes: maxSearched, time: searchTime}
	slices.Sort(q.words)
	q.words = slices.Compact(q.words)
	var err error
	switch {
	case len(q.words) == 0:
		return fail(http.StatusBadRequest, "MISSING_QUERY", "q parameter is required")
	case len(q.words) > MaxWords:
		return fail(http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("%d words, the limit is %d", len(q.words), MaxWords))
	}
	if q.path, err = optionalPath(query); err != nil {
		return err
	}
	if q.limit, err = parseLimit(query.Get("limit"), query.Has("limit"), MaxFound); err != nil {
		return err
	}
	src, err := repo.sourceOf(r.Context(), r)
	if err != nil {
		return err
	}
	at, err := repo.commitOf(src)
	if err != nil {
		return err
	}
	found, err := repo.search(r.Context(), at, q)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}

// search looks through the files of a commit, in the order of their paths.
func (r *repo) search(ctx context.Context, at gitrepo.Hash, q search) (searchAnswer, error) {
	out := searchAnswer{Commit: named(at), Results: []foundFile{}}
	if at.IsZero() {
		return out, nil
	}
	limited, cancel := context.WithTimeout(ctx, q.time)
	defer cancel()
	err := r.git.Walk(limited, at, q.path, func(e gitrepo.Entry) error {
		if err := limited.Err(); err != nil {
			return err
		}
		ok, err := q.matches(limited, r.git, e)
		if err != nil || !ok {
			return err
		}
		if len(out.Results) == q.limit {
			return errStop
		}
		out.Results = append(out.Results, foundFile{e.Path, e.Hash.String()})
		return nil
	})
	out.Total = len(out.Results)
	switch {
	case errors.Is(err, errStop), errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		out.Truncated = true
		err = nil
	case errors.Is(err, gitrepo.ErrNotFound):
		err = nil // there is no such folder
	}
	return out, err
}

// matches reports whether path and text of a file have all words; errStop if
// no more may be read.
func (q *search) matches(ctx context.Context, git *gitrepo.Repo, e gitrepo.Entry) (bool, error) {
	path := strings.ToLower(e.Path)
	var left []string
	for _, word := range q.words {
		if !strings.Contains(path, word) {
			left = append(left, word)
		}
	}
	if len(left) == 0 {
		return true, nil
	}
	data, err := git.ReadBlobShared(ctx, e.Hash)
	if err != nil {
		return false, err
	}
	if len(data) > MaxSearchFile || isBinary(data) {
		return false, nil
	}
	if q.bytes -= len(data); q.bytes < 0 {
		return false, errStop
	}
	text := bytes.ToLower(data)
	for _, word := range left {
		if !bytes.Contains(text, []byte(word)) {
			return false, nil
		}
	}
	return true, nil
}
