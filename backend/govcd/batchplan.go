package govcd

import (
	"context"
	"errors"
	"net/http"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// item is one change of a batch.
type item struct {
	name   string // the path as it was asked for
	path   document.Path
	data   []byte
	delete bool
	fresh  bool // its folder must not exist
	cond   condition
	group  string
	wrong  *failure // why it is left out whatever the repository holds
	failed *failure // why it is left out
}

// forget forgets what was found of items upon some commit.
func forget(items []item) {
	for i := range items {
		items[i].failed = items[i].wrong
	}
}

// parseItems checks what can be checked without the repository.
func parseItems(in []BatchItem) []item {
	items := make([]item, len(in))
	for i := range in {
		items[i] = item{name: in[i].Path, group: in[i].Group, delete: in[i].Op == "delete", fresh: in[i].NewFolder && in[i].Op == "put"}
		items[i].refuse(items[i].parse(&in[i]))
	}
	return items
}

// refuse leaves an item out for good if err is one.
func (it *item) refuse(err error) {
	if err != nil {
		it.wrong = asFailure(err)
		it.failed = it.wrong
	}
}

func (it *item) parse(in *BatchItem) (err error) {
	switch {
	case in.Op != "put" && in.Op != "delete":
		return fail(http.StatusBadRequest, "INVALID_REQUEST", "op must be put or delete")
	case in.Op == "put" && in.Content == nil:
		return fail(http.StatusBadRequest, "INVALID_REQUEST", "a put needs content")
	}
	if it.path, err = writablePath(in.Path); err != nil {
		return err
	}
	if it.cond, err = itemCondition(in.Match); err != nil || it.delete {
		return err
	}
	it.data, err = decodeContent(*in.Content, in.Encoding)
	return err
}

// batchPlan decides which items of a batch are made.
//
// An item of a group may fail after others of it were accepted, which are then
// left out. So that this changes nothing for the rest, an item relies on the
// newest commit, on deletions without a group and on those of its own group,
// never on what another group does. It may be refused because of an item that
// is left out later; it is never accepted because of one.
type batchPlan struct {
	*ground
	puts    map[string]struct{} // that were accepted
	folders map[string]struct{} // above them
	deleted map[string]string   // deletions that were accepted -> group
	thinned map[string]struct{} // folders above them
	failed  map[string]struct{} // groups
}

// planBatch marks items that cannot be made as failed, and returns what the
// others change.
func (g *ground) planBatch(ctx context.Context, items []item) ([]gitrepo.Change, error) {
	b := &batchPlan{
		ground: g, puts: map[string]struct{}{}, folders: map[string]struct{}{}, deleted: map[string]string{},
		thinned: map[string]struct{}{}, failed: map[string]struct{}{},
	}
	for i := range items {
		if it := &items[i]; it.failed != nil && it.group != "" {
			b.failed[it.group] = struct{}{}
		}
	}
	for i := range items {
		it := &items[i]
		if _, lost := b.failed[it.group]; lost || it.failed != nil {
			continue
		}
		err := b.accept(ctx, it)
		if err == nil {
			continue
		}
		if !errors.As(err, &it.failed) {
			return nil, err
		}
		if it.group != "" {
			b.failed[it.group] = struct{}{}
		}
	}
	changes := make([]gitrepo.Change, 0, len(items))
	for i := range items {
		it := &items[i]
		if _, lost := b.failed[it.group]; lost && it.failed == nil {
			it.failed = fail(http.StatusConflict, "GROUP_FAILED", "another item of the group failed")
		}
		if it.failed == nil {
			changes = append(changes, gitrepo.Change{Path: it.path, Data: it.data, Delete: it.delete})
		}
	}
	return changes, nil
}

func (b *batchPlan) accept(ctx context.Context, it *item) error {
	name := it.path.String()
	e, found, err := b.at(ctx, it.path)
	if err != nil {
		return err
	}
	if err := it.cond.checkFile(name, found, blobOf(e, found)); err != nil {
		return err
	}
	if it.delete {
		return b.remove(it, found)
	}
	if it.fresh {
		there, err := b.hasFolder(ctx, it.path.Parent())
		if err != nil {
			return err
		}
		if there {
			return preconditionFailed("the folder of "+name+" is there already", nil)
		}
	}
	return b.put(ctx, it, e, found)
}

// remove accepts a deletion of what the newest commit has, unless an item
// before it changed something there.
func (b *batchPlan) remove(it *item, found bool) error {
	name := it.path.String()
	_, twice := b.deleted[name]
	_, put := b.puts[name]
	_, above := b.folders[name]
	_, thinned := b.thinned[name]
	for folder := range parents(name) {
		if _, ok := b.puts[folder]; ok {
			put = true
		}
		if _, ok := b.deleted[folder]; ok {
			found = false
		}
	}
	switch {
	case put || above || thinned || twice:
		return overlaps(name)
	case !found:
		return fileNotFound(name)
	}
	b.deleted[name] = it.group
	mark(b.thinned, name)
	return nil
}

func (b *batchPlan) put(ctx context.Context, it *item, e gitrepo.Entry, found bool) error {
	name := it.path.String()
	if _, twice := b.puts[name]; twice {
		return overlaps(name)
	}
	if _, folder := b.folders[name]; folder {
		return placeTaken(name, "is a folder")
	}
	for folder := range parents(name) {
		if _, file := b.puts[folder]; file {
			return placeTaken(folder, "is a file")
		}
	}
	if _, deleted := b.deleted[name]; deleted && !b.gone(name, it.group) {
		return overlaps(name)
	}
	switch {
	case found && e.IsDir:
		if !b.gone(name, it.group) {
			return placeTaken(name, "is a folder")
		}
	case !found:
		file, err := b.fileAbove(ctx, it.path, func(file string) bool { return b.gone(file, it.group) })
		if err != nil {
			return err
		}
		if file != "" {
			return placeTaken(file, "is a file")
		}
	}
	b.puts[name] = struct{}{}
	mark(b.folders, name)
	return nil
}

// mark adds the folders above a path to those above other ones.
func mark(folders map[string]struct{}, name string) {
	for folder := range parents(name) {
		if _, known := folders[folder]; known {
			return
		}
		folders[folder] = struct{}{}
	}
}

// gone reports whether a path is deleted before, whatever becomes of other
// groups.
func (b *batchPlan) gone(name, group string) bool {
	sure := func(path string) bool {
		by, ok := b.deleted[path]
		return ok && (by == "" || by == group)
	}
	if sure(name) {
		return true
	}
	for folder := range parents(name) {
		if sure(folder) {
			return true
		}
	}
	return false
}

func overlaps(name string) error {
	return fail(http.StatusConflict, "DUPLICATE_PATH", "an item before changes '"+name+"' or what is below or above it")
}
