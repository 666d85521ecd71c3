package gitrepo

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
)

// stored reads an object from where it is kept, past every cache.
func (r *Repo) stored(h Hash) (object, error) {
	s, ok := r.objects.(*packStore)
	if !ok {
		return r.objects.object(h)
	}
	o, err := s.packed(h)
	if errors.Is(err, ErrNotFound) {
		o, err = s.loose(h)
	}
	if errors.Is(err, ErrNotFound) {
		o, err = s.borrowed(h)
	}
	if errors.Is(err, ErrNotFound) {
		if err := s.rescan(); err != nil {
			return object{}, err
		}
		o, err = s.packed(h)
	}
	return o, err
}

// readDisk lists and checks all files and objects.
func (v *verifier) readDisk(s *packStore) error {
	err := s.lookAgain()
	if err != nil {
		return err
	}
	if v.partial, err = s.partial(); err != nil {
		return err
	}
	if v.shallow, err = s.shallow(); errors.Is(err, ErrCorrupt) {
		v.find(Finding{Problem: ProblemFile, File: filepath.Join(filepath.Dir(s.dir), "shallow"), What: err.Error()})
	} else if err != nil {
		return err
	}
	v.report.Shallow = len(v.shallow)
	packs := *s.packs.Load()
	v.report.Packs = len(packs)
	count := 0
	for _, p := range packs {
		count += p.index.count
	}
	v.objects = make([]known, 0, count)
	for _, p := range packs {
		if err := v.list(p.index); err != nil {
			v.find(Finding{Problem: ProblemFile, File: p.index.path, What: err.Error()})
		}
	}
	loose, err := s.allLoose()
	if err != nil {
		return err
	}
	for _, h := range loose {
		v.objects = append(v.objects, known{hash: h})
	}
	v.sortObjects()
	if err := v.checkFiles(s); err != nil {
		return err
	}
	v.findBad(s)
	for _, p := range packs {
		if err := v.checkPack(s, p); err != nil {
			return err
		}
	}
	for _, h := range loose {
		o, err := s.loose(h)
		if errors.Is(err, ErrNotFound) {
			o, err = s.packed(h) // packed meanwhile
		}
		v.check(v.at(h), o, err, s.loosePath(h))
		if err := v.step(); err != nil {
			return err
		}
	}
	return nil
}

// list adds the objects of an index to the table.
func (v *verifier) list(x *index) error {
	const portion = 4096 // names
	for from := 0; from < x.count; from += portion {
		n := min(portion, x.count-from)
		names, err := x.read(x.nameAt(from), n*hashSize)
		if err != nil {
			return err
		}
		for i := range n {
			v.objects = append(v.objects, known{hash: Hash(names[i*hashSize : (i+1)*hashSize])})
		}
	}
	return nil
}

// checkPack reads every object of a pack where it lies.
func (v *verifier) checkPack(s *packStore, p *pack) error {
	entries, err := p.index.entries()
	if err != nil {
		return v.unlessClosed(p, err)
	}
	if !slices.IsSortedFunc(entries, func(a, b indexEntry) int { return bytes.Compare(a.hash[:], b.hash[:]) }) {
		v.find(Finding{Problem: ProblemFile, File: p.index.path, What: "its names are not in order"})
	}
	for i := range entries {
		if first := entries[i].hash[0]; uint32(i) >= p.index.fanout[first] || (first > 0 && uint32(i) < p.index.fanout[first-1]) { //nolint:gosec // below 2^32
			v.find(Finding{Problem: ProblemFile, File: p.index.path, What: "its counts do not fit its names"})
			break
		}
	}
	slices.SortFunc(entries, func(a, b indexEntry) int { return cmp.Compare(a.offset, b.offset) })
	for _, e := range entries {
		o, err := p.object(e.hash, e.offset)
		if errors.Is(err, os.ErrClosed) {
			o, err = s.packed(e.hash) // consolidated meanwhile
		}
		if errors.Is(err, ErrCorrupt) {
			s.broken.note(e.hash, p, err)
		}
		if i := v.at(e.hash); i >= 0 {
			v.check(i, o, err, p.path)
		}
		if err := v.step(); err != nil {
			return err
		}
	}
	return nil
}

// findBad finds the packs that cannot be opened although their files match
// their checksums: the others were found already.
func (v *verifier) findBad(s *packStore) {
	for _, b := range *s.bad.Load() {
		base := filepath.Join(s.packDir(), b.name)
		said := func(f Finding) bool { return f.File == base+".pack" || f.File == base+".idx" }
		if !slices.ContainsFunc(v.report.Findings, said) {
			v.find(Finding{Problem: ProblemFile, File: b.file, What: b.err.Error()})
		}
	}
}

// unlessClosed finds an error of a pack, if that was not closed meanwhile.
func (v *verifier) unlessClosed(p *pack, err error) error {
	if !errors.Is(err, os.ErrClosed) {
		v.find(Finding{Problem: ProblemFile, File: p.index.path, What: err.Error()})
	}
	return v.ctx.Err()
}

// checkFiles compares the checksum that git puts at the end of its files.
func (v *verifier) checkFiles(s *packStore) error {
	folders := map[string][]string{
		s.packDir():                  {".pack", ".idx", ".rev", ".bitmap", ".mtimes", "multi-pack-index"},
		filepath.Join(s.dir, "info"): {"commit-graph"},
		filepath.Join(s.dir, "info", "commit-graphs"):    {".graph"},
		filepath.Join(s.packDir(), "multi-pack-index.d"): {".midx"},
	}
	for folder, suffixes := range folders {
		entries, err := s.volume.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		whole := complete(entries)
		for _, e := range entries {
			wanted := func(suffix string) bool { return strings.HasSuffix(e.Name(), suffix) }
			if e.IsDir() || !slices.ContainsFunc(suffixes, wanted) {
				continue
			}
			// What a crash left of a pack is passed over by git, as by us.
			name := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name()))
			if _, ok := whole[name]; strings.HasPrefix(name, "pack-") && !ok {
				continue
			}
			if err := v.checkFile(s, filepath.Join(folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) checkFile(s *packStore, path string) error {
	file, err := s.volume.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed by the maintenance
	}
	if err != nil {
		return err
	}
	what, err := v.sum(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if what != "" {
		v.find(Finding{Problem: ProblemFile, File: path, What: what})
	}
	return nil
}

// sum reads a file to its end and says what is wrong with it.
func (v *verifier) sum(file durable.Handle) (string, error) {
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	size := info.Size() - int64(hashSize)
	if size < 0 {
		return fmt.Sprintf("it has %d bytes", info.Size()), nil
	}
	sum := sha1.New() //nolint:gosec // the format of git demands it
	buffer := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		if err := v.ctx.Err(); err != nil {
			return "", err
		}
		n, err := file.ReadAt(buffer[:min(int64(len(buffer)), size-at)], at)
		if err != nil {
			return fmt.Sprintf("it cannot be read at %d: %v", at, err), nil
		}
		sum.Write(buffer[:n])
		at += int64(n)
	}
	var end Hash
	if _, err := file.ReadAt(end[:], size); err != nil {
		return fmt.Sprintf("it cannot be read at %d: %v", size, err), nil
	}
	if !bytes.Equal(sum.Sum(nil), end[:]) {
		return "its checksum is wrong", nil
	}
	return "", nil
}
