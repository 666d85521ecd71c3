package govcd

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/aymanbagabas/go-udiff"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// MaxDiffFiles bounds the files of one answer.
	MaxDiffFiles = 1000
	// MaxDiffFile bounds the files whose lines are compared, in bytes.
	MaxDiffFile = 1 << 20
	// MaxDiffBytes bounds what is read of all files for one answer, in bytes.
	MaxDiffBytes = 32 << 20
	// MaxPatch bounds the patches of one answer, in bytes.
	MaxPatch = 4 << 20
)

type diffAnswer struct {
	From  string     `json:"from"`
	To    string     `json:"to"`
	Files []diffFile `json:"files"`
	Total int        `json:"total"`
	// Truncated: there are more files, or lines that were not compared because
	// of a limit of the whole answer.
	Truncated bool `json:"truncated,omitempty"`
}

type diffFile struct {
	Path   string `json:"path"`
	Status string `json:"status"` // "added", "deleted", "modified"
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Additions and Deletions count lines; absent where they were not compared.
	Additions *int   `json:"additions,omitempty"`
	Deletions *int   `json:"deletions,omitempty"`
	Binary    bool   `json:"binary,omitempty"` // no text, or over MaxDiffFile
	Patch     string `json:"patch,omitempty"`
}

func (s *Service) getDiff(w http.ResponseWriter, r *http.Request, repo *repo) error {
	query := r.URL.Query()
	p, err := optionalPath(query)
	if err != nil {
		return err
	}
	var sides [2]gitrepo.Hash
	for i, name := range []string{"from", "to"} {
		ref := query.Get(name)
		if ref == "" {
			return fail(http.StatusBadRequest, "INVALID_REQUEST", "from and to are required")
		}
		if ref == (gitrepo.Hash{}).String() {
			continue // nothing is there
		}
		if sides[i], err = repo.resolve(r.Context(), ref); err != nil {
			return err
		}
	}
	d := &differ{repo: repo, patch: query.Get("patch") == "true"}
	d.out = diffAnswer{From: sides[0].String(), To: sides[1].String(), Files: []diffFile{}}
	if err := d.run(r.Context(), sides[0], sides[1], p); err != nil {
		return err
	}
	return answer(w, http.StatusOK, d.out)
}

// differ makes one answer.
type differ struct {
	repo    *repo
	patch   bool
	read    int // bytes of files
	patched int // bytes of patches
	out     diffAnswer
}

func (d *differ) run(ctx context.Context, from, to gitrepo.Hash, p document.Path) error {
	err := d.repo.git.Diff(ctx, from, to, p, func(e gitrepo.Edit) error {
		if len(d.out.Files) == MaxDiffFiles {
			d.out.Truncated = true
			return errStop
		}
		f := diffFile{Path: e.Path, Status: "modified", Before: named(e.Before), After: named(e.After)}
		switch {
		case e.Before.IsZero():
			f.Status = "added"
		case e.After.IsZero():
			f.Status = "deleted"
		}
		if err := d.compare(ctx, e, &f); err != nil {
			return err
		}
		d.out.Files = append(d.out.Files, f)
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	d.out.Total = len(d.out.Files)
	return err
}

// compare counts lines, and makes the patch if it is asked for.
func (d *differ) compare(ctx context.Context, e gitrepo.Edit, f *diffFile) error {
	if d.read >= MaxDiffBytes {
		d.out.Truncated = true
		return nil
	}
	var sides [2]string
	for i, h := range []gitrepo.Hash{e.Before, e.After} {
		if h.IsZero() {
			continue
		}
		data, err := d.repo.git.ReadBlobShared(ctx, h)
		if err != nil {
			return err
		}
		d.read += min(len(data), MaxDiffFile)
		if f.Binary = f.Binary || len(data) > MaxDiffFile || isBinary(data); f.Binary {
			return nil
		}
		sides[i] = string(data)
	}
	edits := udiff.Lines(sides[0], sides[1])
	added, deleted := 0, 0
	for _, edit := range edits {
		added += lines(edit.New)
		deleted += lines(sides[0][edit.Start:edit.End])
	}
	f.Additions, f.Deletions = &added, &deleted
	if !d.patch {
		return nil
	}
	if d.patched >= MaxPatch {
		d.out.Truncated = true
		return nil
	}
	patch, err := udiff.ToUnified(label("a", e.Path, e.Before), label("b", e.Path, e.After), sides[0], edits, udiff.DefaultContextLines)
	if err != nil {
		return err
	}
	if d.patched += len(patch); d.patched > MaxPatch {
		d.out.Truncated = true
		return nil
	}
	f.Patch = patch
	return nil
}

func lines(text string) int {
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	return n
}

// label names a side of a patch, quoted where the name would break the line.
func label(side, path string, h gitrepo.Hash) string {
	if h.IsZero() {
		return "/dev/null"
	}
	name := side + "/" + path
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}
