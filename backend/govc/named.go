package govc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// maxNamed bounds the documents that Named looks for.
	maxNamed = 2_000
	// maxTried bounds the folders that Named looks into.
	maxTried = 20_000
)

// Named finds documents where nothing can be listed: the newest commits name
// them ("Add document ID"), and their times the month; every folder of that
// month that could hold such a document of a known type, in either layout, is
// looked into. It is best effort: a document of an unknown type, one whose
// commit names no id, and one older than the newest 10,000 commits or 2,000
// ids is not found, and nothing may be inferred of what is not found. An error
// comes with what was found before it.
func (c *Client) Named(ctx context.Context, types []document.Type) (found []store.Key, err error) {
	info, err := c.described(ctx)
	if err != nil {
		return nil, err
	}
	d := c.speak(info)
	commits, err := d.log(ctx, "", maxHistory)
	if err != nil {
		return nil, err
	}
	tried := map[document.Path]bool{}
	for _, s := range sightings(commits) {
		for _, folder := range s.folders(types) {
			if tried[folder] {
				continue
			}
			if tried[folder] = true; len(tried) > maxTried {
				return found, nil
			}
			key := store.Key{ID: s.id, Folder: folder}
			meta, err := d.read(ctx, folder.String()+"/"+document.MetadataFile)
			switch {
			case isNotFound(err) || isTombstone(meta):
				continue
			case err != nil:
				return found, fmt.Errorf("govc: look for %q: %w", s.id, err)
			}
			found = append(found, key)
		}
	}
	return found, nil
}

// sighting is a document that a commit names.
type sighting struct {
	id document.ID
	at time.Time
}

// sightings reads the documents that commits name, the newest first.
func sightings(commits []remoteCommit) (out []sighting) {
	for _, m := range commits {
		for line := range strings.Lines(m.Message) {
			id, ok := namedBy(strings.TrimSpace(line))
			if !ok {
				continue
			}
			if out = append(out, sighting{id, m.Timestamp.UTC()}); len(out) == maxNamed {
				return out
			}
		}
	}
	return out
}

// namedBy returns the document that a line of a message names.
func namedBy(line string) (document.ID, bool) {
	for _, verb := range []string{"Add", "Put", "Update"} {
		if name, ok := strings.CutPrefix(line, verb+" document "); ok {
			id, err := document.ParseID(name)
			return id, err == nil
		}
	}
	return document.ID{}, false
}

// folders are those where the document may lie. The month is that of the
// commit; within a day of its ends, which may be another month where the
// document was made, the neighbour is tried as well.
func (s sighting) folders(types []document.Type) (out []store.Path) {
	const day = 24 * time.Hour
	seen := map[string]bool{}
	for _, at := range []time.Time{s.at, s.at.Add(-day), s.at.Add(day)} {
		month := at.Format("2006-01")
		if seen[month] {
			continue
		}
		seen[month] = true
		for _, t := range types {
			for _, layout := range []document.Layout{document.LayoutLibrary, document.LayoutFanOut} {
				out = append(out, layout.Folder(t, at, s.id))
			}
		}
	}
	return out
}
