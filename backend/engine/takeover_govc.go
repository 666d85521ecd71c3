package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// typesLooked bounds the documents of the index whose types are looked for,
	// and typesMost the types.
	typesLooked = 10_000
	typesMost   = 32
)

// usualTypes are looked for at a service that cannot list, beside those of the
// index.
var usualTypes = []string{"text", "markdown", "html", "json", "pdf", "document", "article", "csv", "xml", "yaml"}

// importHeld takes over documents that the primary holds and the index does not
// know: all where the service can list them, else those that its newest commits
// name.
func (e *Engine) importHeld(ctx context.Context) error {
	if e.rebuilding() {
		return nil // takeNewer does, and knows what git held
	}
	t := takeover{e: e}
	for entry, err := range e.o.Primary.List(ctx) {
		if errors.Is(err, errors.ErrUnsupported) {
			return t.named(ctx)
		}
		if err == nil {
			err = t.take(ctx, entry.Key)
		}
		if err != nil {
			return err
		}
	}
	t.tell("")
	return nil
}

// takeover counts what is taken over.
type takeover struct {
	e                 *Engine
	taken, unreadable int
}

// named takes over what the service's commits name. It is best effort, and uses
// no more than half of the time that there is.
func (t *takeover) named(ctx context.Context) error {
	types, err := t.e.typesToLookFor(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, t.e.o.Budget/2)
	defer cancel()
	keys, err := t.e.o.Primary.Named(limited, types)
	if err != nil && limited.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return err
	}
	for _, key := range keys {
		if err := t.take(ctx, key); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("This service cannot list its documents: %s were found by what its newest commits say", number(len(keys)))
	if limited.Err() != nil {
		text += fmt.Sprintf(", in the %s that there was to look", roundDuration(t.e.o.Budget/2))
	}
	t.tell(text + "; any other is noticed only when it is read")
	return nil
}

// take records a document that the index does not know, unless it is known to be
// deleted at the very version that the service holds.
func (t *takeover) take(ctx context.Context, key store.Key) error {
	if _, err := t.e.o.State.Lookup(ctx, key.ID); !errors.Is(err, store.ErrNotFound) {
		return local(err)
	}
	if _, buried, err := t.e.buried(ctx, key); err != nil || buried {
		return err
	}
	doc, err := t.e.o.Primary.Get(ctx, key)
	switch {
	case aboutDocument(err):
		t.unreadable++
		return nil
	case errors.Is(err, store.ErrNotFound):
		return nil // deleted a moment ago
	case err != nil:
		return err
	}
	switch err := t.e.inbound(ctx, key, &doc, primaryReplica, document.Hash{}); {
	case errors.Is(err, store.ErrConflict):
		return nil // a caller wrote it meanwhile: the replay compares
	case err != nil:
		return err
	}
	t.taken++
	return nil
}

func (t *takeover) tell(how string) {
	if t.unreadable > 0 {
		t.e.event(Warning, "inbound", fmt.Sprintf("%s documents that the service holds cannot be read, and were not taken over", number(t.unreadable)),
			"Look at them at the service; what is written again with the same id replaces them")
	}
	if how != "" {
		t.e.event(Info, "inbound", how, "")
	}
	if t.taken > 0 {
		t.e.event(Info, "inbound", fmt.Sprintf("Took over %s documents that the service held already", number(t.taken)), "")
	}
}

// typesToLookFor are the types of the first documents of the index, and the
// usual ones.
func (e *Engine) typesToLookFor(ctx context.Context) (types []document.Type, err error) {
	for after, looked := "", 0; looked < typesLooked && len(types) < typesMost; {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return nil, local(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			if !slices.Contains(types, row.Type) && len(types) < typesMost {
				types = append(types, row.Type)
			}
		}
		after, looked = rows[len(rows)-1].ID.String(), looked+len(rows)
	}
	for _, name := range usualTypes {
		t, err := document.ParseType(name)
		if err != nil {
			return nil, local(err)
		}
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types, nil
}
