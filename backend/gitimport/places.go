package gitimport

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

// place is where a document lies.
type place struct {
	here   document.Path // in this repository; zero if it never did
	source document.Path // whose version was imported; zero if that folder is gone
	exists bool          // the main branch has it
	live   bool          // what was imported has it
	// touched: this run imported something of it. unreadable: both repositories
	// have it, and nobody can read it.
	touched, unreadable bool
}

// folders returns where a document lies in the source, the folder that was
// changed last at the end: it leads. Most lie where their version was imported
// from, and nowhere else; the others are kept apart.
func (r *run) folders(id document.ID) []document.Path {
	if lies, ok := r.apart[id]; ok {
		return lies
	}
	if p := r.places[id]; !p.source.IsZero() {
		return []document.Path{p.source}
	}
	return nil
}

func (r *run) setFolders(id document.ID, lies []document.Path) {
	source := r.places[id].source
	if (len(lies) == 0 && source.IsZero()) || (len(lies) == 1 && lies[0] == source) {
		delete(r.apart, id)
		return
	}
	r.apart[id] = lies
}

// lay notes where the documents of a commit lie after it, and returns those
// that it changed and that lie in several folders, with the ones it changed.
func (r *run) lay(puts, gone []store.Key) map[document.ID][]document.Path {
	without := func(key store.Key) []document.Path {
		return slices.DeleteFunc(slices.Clone(r.folders(key.ID)), func(p document.Path) bool { return p == key.Folder })
	}
	for _, key := range gone {
		r.setFolders(key.ID, without(key))
	}
	for _, key := range puts {
		r.setFolders(key.ID, append(without(key), key.Folder))
	}
	several := map[document.ID][]document.Path{}
	for _, key := range puts {
		if len(r.apart[key.ID]) > 1 {
			several[key.ID] = append(several[key.ID], key.Folder)
		}
	}
	for id, changed := range several {
		lies := slices.Clone(r.apart[id])
		slices.SortStableFunc(lies[len(lies)-len(changed):], byMonth)
		r.apart[id] = lies
	}
	return several
}

// byMonth compares folders of one document: the later month is the newer one.
func byMonth(a, b document.Path) int {
	return cmp.Or(strings.Compare(month(a), month(b)), strings.Compare(a.String(), b.String()))
}

// month is the month that the folder of a document names, as YYYY-MM.
func month(folder document.Path) string {
	parts := strings.Split(folder.String(), "/")
	if len(parts) > 3 && len(parts[2]) == 4 {
		return parts[2] + "-" + parts[3]
	}
	return parts[min(2, len(parts)-1)]
}

// newest returns the changes that make the version of a document that leads
// after a commit, which changed some of its folders; none if that is imported
// already. One that cannot be read is told, and what was imported from its
// folder stays.
func (r *run) newest(ctx context.Context, at string, id document.ID, changed []document.Path, when time.Time) ([]gitrepo.Change, int, error) {
	lies := r.folders(id)
	for _, folder := range slices.Backward(lies) {
		fresh, source := slices.Contains(changed, folder), r.places[id].source
		if folder == source && !fresh {
			return nil, 0, nil
		}
		changes, size, err := r.put(ctx, at, store.Key{ID: id, Folder: folder}, when)
		if err == nil {
			r.setFolders(id, lies)
			return changes, size, nil
		}
		if !gitstore.Unreadable(err) {
			return nil, 0, err
		}
		if fresh {
			r.fail(folder.String(), at, err)
		}
		if folder == source {
			return nil, 0, nil
		}
	}
	if p := r.places[id]; !slices.Contains(lies, p.source) {
		p.source = document.Path{}
		r.places[id] = p
	}
	r.setFolders(id, lies)
	return nil, 0, nil
}

// gone returns the changes that a folder brings that a commit removed: none if
// the document was moved, or another folder of it leads.
func (r *run) gone(ctx context.Context, at string, key store.Key, when time.Time) ([]gitrepo.Change, int, error) {
	p := r.places[key.ID]
	if len(r.folders(key.ID)) > 0 {
		if p.source != key.Folder {
			return nil, 0, nil
		}
		return r.newest(ctx, at, key.ID, nil, when)
	}
	if !p.live {
		return nil, 0, nil
	}
	p.source, p.live, p.touched = document.Path{}, false, true
	r.places[key.ID] = p
	r.setFolders(key.ID, nil)
	r.report.Deletes++
	return []gitrepo.Change{{Path: p.here, Delete: true}}, 0, nil
}

// put returns the changes that make a version of a document. An Unreadable
// error says that there is none.
func (r *run) put(ctx context.Context, at string, key store.Key, when time.Time) ([]gitrepo.Change, int, error) {
	doc, files, err := r.docs.ReadableFiles(ctx, at, key)
	if err != nil {
		return nil, 0, err
	}
	p := r.places[key.ID]
	if p.here.IsZero() {
		created := doc.CreatedAt
		if created.IsZero() {
			created = when
		}
		p.here = r.Layout.Folder(doc.Source.Type, created, doc.ID)
	}
	if known := r.report.Known; known > 0 && p.here != key.Folder {
		// One that lies here twice is changed where the source changed it.
		shared, err := r.docs.Has(ctx, r.chain[known-1].String(), key.Folder)
		if err != nil {
			return nil, 0, err
		}
		if shared {
			p.here = key.Folder
		}
	}
	p.source, p.live, p.touched, p.unreadable = key.Folder, true, true, false
	r.places[key.ID] = p
	r.report.Revisions++
	var changes []gitrepo.Change
	size := 0
	for _, name := range gitstore.FileNames() {
		path, err := document.ParsePath(p.here.String() + "/" + name)
		if err != nil {
			return nil, 0, err
		}
		data, there := files[name]
		changes = append(changes, gitrepo.Change{Path: path, Data: data, Delete: !there})
		size += len(data)
	}
	return changes, size, nil
}

// elsewhere notes the folders of documents that lie in another one, too.
func (r *run) elsewhere() {
	for id, lies := range r.apart {
		for _, folder := range lies {
			if source := r.places[id].source; len(lies) > 1 && folder != source && !source.IsZero() {
				r.report.Elsewhere++
				r.report.ElsewhereNames = append(r.report.ElsewhereNames, folder.String())
			}
		}
	}
	slices.Sort(r.report.ElsewhereNames)
	r.report.ElsewhereNames = r.report.ElsewhereNames[:min(len(r.report.ElsewhereNames), MaxListed)]
}
