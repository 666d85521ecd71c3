package engine

import (
	"context"
	"crypto/sha256"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
)

// earlierVersions is how many revisions of a document are known as ours when a
// service comes back with old data.
const earlierVersions = 50

// parts are what a document's files say, each by itself: a service that takes
// one file after the other shows a write that was torn as a mixture of versions.
type parts struct {
	metadata  map[document.Hash]struct{}
	text, raw map[[sha256.Size]byte]struct{}
}

func (p *parts) add(d document.Document) error {
	metadata, text, raw, err := partsOf(d)
	if err != nil {
		return err
	}
	if p.metadata == nil {
		p.metadata = map[document.Hash]struct{}{}
		p.text, p.raw = map[[sha256.Size]byte]struct{}{}, map[[sha256.Size]byte]struct{}{}
	}
	p.metadata[metadata], p.text[text], p.raw[raw] = struct{}{}, struct{}{}, struct{}{}
	return nil
}

// mixes reports whether every part of a document is one of these.
func (p *parts) mixes(d document.Document) bool {
	metadata, text, raw, err := partsOf(d)
	if err != nil {
		return false
	}
	_, one := p.metadata[metadata]
	_, two := p.text[text]
	_, three := p.raw[raw]
	return one && two && three
}

func partsOf(d document.Document) (metadata document.Hash, text, raw [sha256.Size]byte, err error) {
	text, raw = sha256.Sum256([]byte(d.Content.Text)), sha256.Sum256(d.Content.Raw)
	d.Content.Text, d.Content.Raw = "", nil
	metadata, err = d.Hash()
	return metadata, text, raw, err
}

// addEarlier adds the versions of a document that the outbox and git remember:
// where the primary holds one of them, or a mixture of them, it is an earlier
// state of ours. It looks through the outbox and git's history, so it is for
// documents of which the primary holds something else.
func (e *Engine) addEarlier(ctx context.Context, w *wanted) error {
	err := e.o.State.EachIssued(ctx, w.newest.Key.ID, func(op state.Outgoing) error {
		w.ours[op.Hash] = struct{}{}
		if op.Doc == nil {
			return nil // git has it
		}
		return w.parts.add(*op.Doc)
	})
	if err != nil {
		return local(err)
	}
	revisions, err := e.o.Git.History(ctx, w.newest.Key, earlierVersions)
	if err != nil {
		return local(err)
	}
	for _, r := range revisions {
		if r.Deleted {
			continue
		}
		doc, err := e.o.Git.GetAt(ctx, r.Commit, w.newest.Key)
		if err != nil {
			return local(err)
		}
		hash, err := doc.Hash()
		if err == nil {
			err = w.parts.add(doc)
		}
		if err != nil {
			return local(err)
		}
		w.ours[hash] = struct{}{}
	}
	return nil
}
