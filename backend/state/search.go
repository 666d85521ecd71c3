package state

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Limits of a query. What is longer is cut.
const (
	maxQuery = 1024 // bytes
	maxTerms = 32
)

// TextHit is one document found, see Search.
type TextHit struct {
	ID document.ID
	// Snippet shows the words found, each between MarkStart and MarkEnd.
	Snippet string
	Rank    float64 // lower is better; comparable within one search only
}

// Search returns the documents whose id, metadata or text hold every term of
// the query, best first, at most limit (1 to MaxHits), and how many there are
// in all. Terms are separated by white space; the last one may be the beginning
// of a word; words between double quotes are a phrase. Nothing else in a query
// means anything: no operator, no wildcard. A query without a letter or digit
// finds nothing. An empty query is document.ErrInvalid.
func (d *Derived) Search(ctx context.Context, query string, limit int) ([]TextHit, int64, error) {
	if strings.TrimSpace(query) == "" {
		return nil, 0, errNoQuery
	}
	match := matchOf(query)
	if match == "" {
		return nil, 0, nil
	}
	var hits []TextHit
	var total int64
	err := d.read(ctx, func(r *reader) error {
		return r.snapshot(ctx, func() error {
			if err := r.stmts[dCount].QueryRowContext(ctx, match).Scan(&total); err != nil || total == 0 {
				return err
			}
			return r.each(ctx, dSearch, func(scan func(...any) error) error {
				hit, err := scanHit(scan)
				hits = append(hits, hit)
				return err
			}, match, min(max(limit, 1), MaxHits))
		})
	})
	if err != nil {
		return nil, 0, d.fail(err, "search")
	}
	return hits, total, nil
}

func scanHit(scan func(...any) error) (TextHit, error) {
	var h TextHit
	var id string
	if err := scan(&id, &h.Snippet, &h.Rank); err != nil {
		return TextHit{}, err
	}
	var err error
	if h.ID, err = document.ParseID(id); err != nil {
		return TextHit{}, fmt.Errorf("%w: an id: %w", store.ErrCorrupt, err)
	}
	return h, nil
}

// matchOf returns the query in the language of FTS5, in which a quoted string
// is never an operator; "" if no term has a letter or digit.
func matchOf(query string) string {
	query = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, cut(query, maxQuery))
	var terms []string
	prefix := false
	add := func(term string, word bool) {
		if len(terms) < maxTerms && strings.ContainsFunc(term, isWord) {
			terms = append(terms, `"`+term+`"`)
			prefix = word
		}
	}
	for i, part := range strings.Split(query, `"`) {
		if i%2 == 1 && strings.Count(query, `"`) > i {
			add(part, false)
			continue
		}
		for word := range strings.FieldsSeq(part) {
			add(word, true)
		}
	}
	match := strings.Join(terms, " AND ")
	if prefix {
		match += " *"
	}
	return match
}

// isWord reports what the tokenizer takes for a part of a word: letters and
// digits. Marks belong to the letter before them.
func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Co, r)
}
