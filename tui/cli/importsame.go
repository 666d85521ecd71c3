package cli

import (
	"context"
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

// same reports whether a document is stored already, with this content, source,
// type and metadata: with the times that it has there, it is that very version.
func (i *importer) same(doc httpapi.Document) bool {
	was, stored := i.there[doc.ID]
	if !stored {
		return false
	}
	d, err := fromAPI(doc)
	if err != nil {
		return false // told when it is put
	}
	d.CreatedAt, d.UpdatedAt = was.created, was.updated
	hash, err := d.Hash()
	return err == nil && hash.String() == was.hash
}
