package cli

import (
	"context"
	"errors"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// versionThere is what is known of a document that is stored already.
type versionThere struct {
	hash             string
	created, updated time.Time
}

// storedVersions lists what is stored before an import begins.
func storedVersions(ctx context.Context, docs httpapi.Documents) (map[string]versionThere, error) {
	there := map[string]versionThere{}
	for offset := 0; ; {
		page, err := docs.List(ctx, httpapi.ListQuery{Offset: offset, Limit: httpapi.MaxList})
		if err != nil {
			return nil, err
		}
		for _, r := range page.Rows {
			there[r.ID] = versionThere{r.Hash, r.CreatedAt, r.UpdatedAt}
		}
		if offset += len(page.Rows); len(page.Rows) == 0 || int64(offset) >= page.Total {
			return there, nil
		}
	}
}

// lacking returns those of docs that are not stored just like that.
func lacking(ctx context.Context, s httpapi.Documents, docs []httpapi.Document) (left []httpapi.Document, err error) {
	for _, doc := range docs {
		there, err := s.Get(ctx, doc.ID)
		if err != nil && !errors.Is(err, httpapi.ErrNotFound) {
			return nil, err
		}
		if err != nil || !(versionThere{there.Hash, there.CreatedAt, there.UpdatedAt}).is(doc) {
			left = append(left, doc)
		}
	}
	return left, nil
}

// same reports whether a document was stored just like that before the import.
func (i *importer) same(doc httpapi.Document) bool {
	was, stored := i.there[doc.ID]
	return stored && was.is(doc)
}

// is reports whether a document has the content, source, type and metadata of a
// version: with the times of that, it is that very version.
func (was versionThere) is(doc httpapi.Document) bool {
	d, err := fromAPI(doc)
	if err != nil {
		return false // told when it is put
	}
	d.CreatedAt, d.UpdatedAt = was.created, was.updated
	hash, err := d.Hash()
	return err == nil && hash.String() == was.hash
}
