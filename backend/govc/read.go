package govc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/store"
)

// Get returns the newest version of a document. From a service of ours it is
// what one commit holds; from any other, what the working files hold, file by
// file. A tombstone is store.ErrNotFound; a repository that is gone is
// store.ErrIdentity; files that make no document are store.ErrCorrupt.
func (c *Client) Get(ctx context.Context, key store.Key) (document.Document, error) {
	found, err := c.look(ctx, key)
	if err != nil {
		return document.Document{}, err
	}
	if found.broken != nil {
		return document.Document{}, found.broken
	}
	if found.doc == nil {
		if known := c.info.Load(); known != nil {
			if err := c.stillThere(ctx, *known); err != nil {
				return document.Document{}, err
			}
		}
		return document.Document{}, fmt.Errorf("govc: get %q: %w", key.ID, store.ErrNotFound)
	}
	return *found.doc, nil
}

// state is what a folder of the service holds.
type state struct {
	doc       *document.Document // nil if there is none, or it is broken
	broken    error              // a store.ErrCorrupt: there are files, but no document
	tombstone bool
	names     []string          // of the files that were seen
	files     map[string][]byte // by name
	named     []frame.File      // files with their hashes, if the service told
	partial   bool              // there may be more
}

// blobs are the names that git gives to the files.
func (s state) blobs() map[string]frame.Hash {
	out := make(map[string]frame.Hash, len(s.files))
	for _, f := range s.named {
		out[f.Name] = f.Hash
	}
	for name, data := range s.files {
		if _, told := out[name]; !told {
			out[name] = blobHash(data)
		}
	}
	return out
}

// absent reports that there is nothing at all to delete.
func (s state) absent() bool { return s.doc == nil && s.broken == nil && len(s.names) == 0 }

// same reports whether the state is exactly this version. It fails where a
// document has no hash, which Validate would have told.
func (s state) same(d *document.Document) (bool, error) {
	if s.doc == nil {
		return false, nil
	}
	want, err := d.Hash()
	if err != nil {
		return false, err
	}
	held, err := s.doc.Hash()
	return err == nil && held == want, nil
}

// look reads what the service holds under a key.
func (c *Client) look(ctx context.Context, key store.Key) (state, error) {
	info, err := c.described(ctx)
	if err != nil {
		return state{}, err
	}
	if info.Has(capFolder) {
		files, named, err := c.readFolder(ctx, key.Folder)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return state{}, nil
		case err == nil:
			found := assemble(key, files)
			found.named = named
			return found, nil
		case errors.Is(err, store.ErrCorrupt): // to be written whole
			return state{broken: err, partial: true}, nil
		case !errors.Is(err, store.ErrTooLarge):
			return state{}, err
		}
	}
	files, err := readFiles(ctx, c.speak(info), key.Folder)
	if err != nil || len(files) == 0 {
		return state{partial: true}, err
	}
	found := assemble(key, files)
	found.partial = true
	return found, nil
}

// assemble makes a state of the files of a folder.
func assemble(key store.Key, files map[string][]byte) state {
	s := state{files: files}
	for name := range files {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	corrupt := func(err error) state {
		s.broken = fmt.Errorf("govc: get %q: %w: %w", key.ID, store.ErrCorrupt, err)
		return s
	}
	meta, ok := files[document.MetadataFile]
	if !ok {
		return s
	}
	// What else lies there than metadata.json records is left over from an
	// earlier version.
	d, err := document.FromRecorded(files, typeOf(key.Folder))
	if (err != nil || d.HasUnknown()) && isTombstone(meta) {
		s.tombstone = true
		return s
	}
	if err != nil {
		return corrupt(err)
	}
	if d.ID != key.ID {
		return corrupt(fmt.Errorf("the folder holds %q", d.ID))
	}
	s.doc = &d
	return s
}

// typeOf returns the type that a document's folder names, or none.
func typeOf(folder store.Path) document.Type {
	parts := strings.Split(folder.String(), "/")
	if len(parts) < 3 || parts[0] != document.Root {
		return document.Type{}
	}
	t, err := document.ParseType(parts[1])
	if err != nil {
		return document.Type{}
	}
	return t
}

// remoteFile is a file as the service answers it.
type remoteFile struct {
	Path     string `json:"path"`
	Content  string `json:"content"`
	Encoding string `json:"encoding"`
}

func (f remoteFile) decode() ([]byte, error) {
	switch f.Encoding {
	case "base64":
		data, err := base64.StdEncoding.DecodeString(f.Content)
		if err != nil {
			return nil, fmt.Errorf("govc: %w: a file of the service: %w", store.ErrCorrupt, err)
		}
		return data, nil
	case "", "utf-8":
		return []byte(f.Content), nil
	}
	return nil, fmt.Errorf("govc: %w: a file of the service has the encoding %q", store.ErrCorrupt, bounded(f.Encoding, maxStart))
}

// readFolder reads the files of a folder as the newest commit has them; named are
// the same files with their hashes, if the service tells these.
func (c *Client) readFolder(ctx context.Context, folder store.Path) (files map[string][]byte, named []frame.File, err error) {
	q := request{
		op: "read folder", method: http.MethodGet, path: c.repoPath("/api/v2", "/folder"), query: url.Values{"path": {folder.String()}}, repeat: true,
	}
	if c.frames() {
		q.accept = frame.Accept
	}
	r, err := c.call(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if r.framed() {
		told, err := frame.ReadFolder(r.body)
		if err != nil {
			return nil, nil, c.notGovc(r, "its answer is no frame of version 1")
		}
		return byName(told.Files), told.Files, nil
	}
	var told struct {
		Files []remoteFile `json:"files"`
	}
	if err := decode(r.body, &told); err != nil {
		return nil, nil, c.notGovc(r, "its answer is not JSON")
	}
	files, err = decodeFiles(folder.String(), told.Files)
	return files, nil, err
}

func byName(files []frame.File) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for i := range files {
		out[files[i].Name] = files[i].Data
	}
	return out
}

// decodeFiles returns the files of a folder by name.
func decodeFiles(folder string, told []remoteFile) (files map[string][]byte, err error) {
	files = make(map[string][]byte, len(told))
	for _, f := range told {
		name, ok := strings.CutPrefix(f.Path, folder+"/")
		if !ok {
			continue
		}
		if files[name], err = f.decode(); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// chunk is how many folders are read by one request.
const chunk = 64

// lookAll is look for every task: found[i] is what the service holds under
// the key of tasks[i].
func (c *Client) lookAll(ctx context.Context, info Info, tasks []*task) (found []state, err error) {
	found = make([]state, len(tasks))
	if !info.Has(capFolders) || len(tasks) == 1 {
		return found, each(ctx, info, len(tasks), func(ctx context.Context, i int) error {
			var err error
			found[i], err = c.look(ctx, tasks[i].op.Key)
			return err
		})
	}
	chunks := (len(tasks) + chunk - 1) / chunk
	return found, each(ctx, info, chunks, func(ctx context.Context, i int) error {
		from, to := i*chunk, min((i+1)*chunk, len(tasks))
		return c.lookChunk(ctx, tasks[from:to], found[from:to])
	})
}

// lookChunk reads the folders of some tasks in one request, and those that its
// answer has no room for in one each.
func (c *Client) lookChunk(ctx context.Context, tasks []*task, found []state) error {
	paths := make([]string, len(tasks))
	for i, t := range tasks {
		paths[i] = t.op.Key.Folder.String()
	}
	body, err := encodeJSON(map[string][]string{"paths": paths})
	if err != nil {
		return err
	}
	q := request{op: "read folders", method: http.MethodPost, path: c.repoPath("/api/v2", "/folders"), body: body, repeat: true, timeout: c.timeouts.Write}
	if c.frames() {
		q.accept = frame.Accept
	}
	r, err := c.call(ctx, q)
	if errors.Is(err, store.ErrCorrupt) { // one of them
		for i, t := range tasks {
			if found[i], err = c.look(ctx, t.op.Key); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	folders, left, err := c.readFolders(r)
	if err != nil {
		return err
	}
	for i, t := range tasks {
		if slices.Contains(left, paths[i]) {
			if found[i], err = c.look(ctx, t.op.Key); err != nil {
				return err
			}
			continue
		}
		if f := folders[paths[i]]; len(f.files) > 0 {
			found[i] = assemble(t.op.Key, f.files)
			found[i].named = f.named
		}
	}
	return nil
}

// readFolders reads the answer about many folders, by their paths, and the paths
// that it has no room for.
func (c *Client) readFolders(r reply) (folders map[string]state, left []string, err error) {
	folders = map[string]state{}
	if r.framed() {
		told, err := frame.ReadFolders(r.body)
		if err != nil {
			return nil, nil, c.notGovc(r, "its answer is no frame of version 1")
		}
		for _, f := range told.Folders {
			folders[f.Path] = state{files: byName(f.Files), named: f.Files}
		}
		return folders, told.Left, nil
	}
	var told struct {
		Folders []struct {
			Path  string       `json:"path"`
			Files []remoteFile `json:"files"`
		} `json:"folders"`
		Left []string `json:"left"`
	}
	if err := decode(r.body, &told); err != nil {
		return nil, nil, c.notGovc(r, "its answer is not JSON")
	}
	for _, f := range told.Folders {
		files, err := decodeFiles(f.Path, f.Files)
		if err != nil {
			return nil, nil, err
		}
		folders[f.Path] = state{files: files}
	}
	return folders, told.Left, nil
}

// readFiles reads the files of a folder one by one: metadata.json, then what
// it records. Where it records nothing, the names that documents have are
// tried. No metadata.json is an empty result.
func readFiles(ctx context.Context, d dialect, folder store.Path) (map[string][]byte, error) {
	files := map[string][]byte{}
	read := func(name string) (bool, error) {
		data, err := d.read(ctx, folder.String()+"/"+name)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err == nil {
			files[name] = data
		}
		return err == nil, err
	}
	if found, err := read(document.MetadataFile); err != nil || !found {
		return nil, err
	}
	meta := files[document.MetadataFile]
	names, complete, err := document.RecordedFiles(meta)
	if err != nil || isTombstone(meta) {
		return files, nil // assemble says what that means
	}
	if !complete {
		hasText, err := read(document.TextFile)
		if err != nil {
			return nil, err
		}
		names = []string{document.RawFile}
		if !hasText {
			names = append(names, document.LegacyTextFile)
		}
	}
	for _, name := range names {
		if _, err := read(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}
