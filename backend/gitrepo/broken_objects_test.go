package gitrepo

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// brokenObject is an object that is added to a repository, and what reading it
// must say.
type brokenObject struct {
	want  error
	named string // "" is the object itself
	add   func(t *testing.T, dir string, h Hash)
}

// hugeObject is what objects have that say to be small, in bytes.
const hugeObject = 8 << 20

// brokenObjects are objects of every broken kind.
func brokenObjects() map[string]brokenObject {
	all := brokenLoose()
	maps.Copy(all, brokenPacked())
	maps.Copy(all, brokenDeltas())
	return all
}

func brokenLoose() map[string]brokenObject {
	return map[string]brokenObject{
		"loose: other content": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) { addLoose(t, dir, h, []byte("blob 4\x00text")) }},
		"loose: no stream": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addLoose(t, dir, h, nil)
			write(t, filepath.Join(dir, "objects", h.String()[:2], h.String()[2:]), "garbage")
		}},
		"loose: empty file": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addLoose(t, dir, h, nil)
			write(t, filepath.Join(dir, "objects", h.String()[:2], h.String()[2:]), "")
		}},
		"loose: torn": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addLoose(t, dir, h, []byte("blob 4000\x00"+strings.Repeat("0123456789", 400)))
			truncate(t, filepath.Join(dir, "objects", h.String()[:2], h.String()[2:]), 30)
		}},
		"loose: no type":       {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) { addLoose(t, dir, h, []byte("blub 4\x00text")) }},
		"loose: negative size": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) { addLoose(t, dir, h, []byte("blob -4\x00text")) }},
		"loose: shorter":       {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) { addLoose(t, dir, h, []byte("blob 5\x00text")) }},
		"loose: bomb": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addLoose(t, dir, h, append([]byte("blob 4\x00"), zeros(hugeObject)...))
		}},
		"loose: header bomb":     {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) { addLoose(t, dir, h, bytes.Repeat([]byte("b"), hugeObject)) }},
		"loose: says it is huge": {ErrTooLarge, "", func(t *testing.T, dir string, h Hash) { addLoose(t, dir, h, []byte("blob 99999999999999\x00text")) }},
		"loose: says it is the most": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addLoose(t, dir, h, fmt.Appendf(nil, "blob %d\x00text", MaxObject))
		}},
	}
}

func brokenPacked() map[string]brokenObject {
	return map[string]brokenObject{
		"pack: bomb": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addPack(t, dir, crafted{hash: h, kind: plumbing.BlobObject, size: 4, data: zeros(hugeObject)})
		}},
		"pack: says it is huge": {ErrTooLarge, "", func(t *testing.T, dir string, h Hash) {
			addPack(t, dir, crafted{hash: h, kind: plumbing.BlobObject, size: 1 << 40, data: []byte("text")})
		}},
		"pack: says it is large": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addPack(t, dir, crafted{hash: h, kind: plumbing.BlobObject, size: MaxObject, data: []byte("text")})
		}},
		"pack: unknown type": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addPack(t, dir, crafted{hash: h, kind: 5, size: 4, data: []byte("text")})
		}},
	}
}

func brokenDeltas() map[string]brokenObject {
	base := blobOf("the base of a delta")
	copyAll := []byte{0x90, byte(base.size)} // copy from 0, one byte of length
	return map[string]brokenObject{
		"delta: no base": {ErrCorrupt, fakeHash(9).String(), func(t *testing.T, dir string, h Hash) {
			missing := fakeHash(9)
			delta := craftDelta(4, 4, copyAll...)
			addPack(t, dir, crafted{hash: h, kind: plumbing.REFDeltaObject, size: len(delta), before: missing[:], data: delta})
		}},
		"delta: base of itself": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			delta := craftDelta(4, 4, copyAll...)
			addPack(t, dir, crafted{hash: h, kind: plumbing.REFDeltaObject, size: len(delta), before: h[:], data: delta})
		}},
		"delta: base before the pack": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			delta := craftDelta(4, 4, copyAll...)
			addPack(t, dir, crafted{hash: h, kind: plumbing.OFSDeltaObject, size: len(delta), before: []byte{0x7f}, data: delta})
		}},
		"delta: says it makes much":     {ErrTooLarge, "", onBase(base, craftDelta(uint64(base.size), 1<<40, copyAll...))},
		"delta: says it makes the most": {ErrCorrupt, "", onBase(base, craftDelta(uint64(base.size), MaxObject, copyAll...))},
		"delta: is the most": {ErrCorrupt, "", func(t *testing.T, dir string, h Hash) {
			addPack(t, dir, crafted{hash: h, kind: plumbing.OFSDeltaObject, size: MaxObject, before: []byte{12}, data: []byte("text")})
		}},
		"delta: makes more":      {ErrCorrupt, "", onBase(base, craftDelta(uint64(base.size), 4, bytes.Repeat(copyAll, 1000)...))},
		"delta: makes less":      {ErrCorrupt, "", onBase(base, craftDelta(uint64(base.size), 4000, copyAll...))},
		"delta: of another base": {ErrCorrupt, "", onBase(base, craftDelta(7, uint64(base.size), copyAll...))},
		"delta: beyond the base": {ErrCorrupt, "", onBase(base, craftDelta(uint64(base.size), 255, 0x90, 255))},
		"delta: reserved":        {ErrCorrupt, "", onBase(base, craftDelta(uint64(base.size), 1, 0))},
		"delta: empty":           {ErrCorrupt, "", onBase(base, nil)},
		"delta: cut short":       {ErrCorrupt, "", onBase(base, craftDelta(uint64(base.size), 9, 9, 'x'))},
	}
}

// onBase is a pack of a base and a delta upon it.
func onBase(base crafted, delta []byte) func(t *testing.T, dir string, h Hash) {
	return func(t *testing.T, dir string, h Hash) {
		addPack(t, dir, base, crafted{hash: h, kind: plumbing.REFDeltaObject, size: len(delta), before: base.hash[:], data: delta})
	}
}
