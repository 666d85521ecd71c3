package govcd

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is what a repository must have: content by path.
type model map[string]string

func (m model) folder(path string) bool {
	for p := range m {
		if strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

// apply makes one item that was accepted.
func (m model) apply(it BatchItem) error {
	if it.Op == "delete" {
		if _, file := m[it.Path]; !file && !m.folder(it.Path) {
			return fmt.Errorf("%s is deleted and was not there", it.Path)
		}
		maps.DeleteFunc(m, func(p, _ string) bool { return p == it.Path || strings.HasPrefix(p, it.Path+"/") })
		return nil
	}
	if m.folder(it.Path) {
		return fmt.Errorf("%s is put where a folder is", it.Path)
	}
	for folder := range parents(it.Path) {
		if _, file := m[folder]; file {
			return fmt.Errorf("%s is put below the file %s", it.Path, folder)
		}
	}
	m[it.Path] = *it.Content
	return nil
}

// TestBatchesAgainstAModel: what a batch accepts could be done item by item,
// is what the repository has afterwards, and keeps conditions and groups.
func TestBatchesAgainstAModel(t *testing.T) {
	h := newService(t, Options{}).Handler()
	rapid.Check(t, func(rt *rapid.T) {
		want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
		defer func() { want(t, ask(t, h, "DELETE", docs, ""), 200, "deleted") }()
		has := model{}
		paths := rapid.SampledFrom([]string{"a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b", "b/a/a"})
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			items := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) BatchItem {
				it := BatchItem{
					Op: rapid.SampledFrom([]string{"put", "put", "delete"}).Draw(rt, "op"), Path: paths.Draw(rt, "path"),
					Group: rapid.SampledFrom([]string{"", "", "g", "h"}).Draw(rt, "group"),
				}
				content := rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "content")
				it.Content = &content
				if match := rapid.SampledFrom([]string{"-", "-", "-", "", "*", blobHash([]byte("1")).String()}).Draw(rt, "match"); match != "-" {
					it.Match = &match
				}
				return it
			}), 1, 8).Draw(rt, "items")
			has = checkBatch(t, rt, h, has, items)
		}
	})
}

// checkBatch sends a batch and returns what the repository must have then.
func checkBatch(t *testing.T, rt *rapid.T, h http.Handler, has model, items []BatchItem) model {
	body, err := json.Marshal(BatchRequest{Message: "m", Items: items})
	if err != nil {
		rt.Fatal(err)
	}
	w := send(t, h, "POST", docs+"/batch", string(body))
	made := decode[batchAnswer](t, w)
	next, accepted := maps.Clone(has), 0
	groups := map[string]bool{}
	for i, told := range made.Items {
		it := items[i]
		if all, known := groups[it.Group]; it.Group != "" && known && all != (told.Code == "") {
			rt.Fatalf("group %s is torn: %s", it.Group, w.Body)
		}
		groups[it.Group] = told.Code == ""
		if told.Code != "" {
			continue
		}
		accepted++
		content, file := has[it.Path]
		if it.Match != nil && !(*it.Match == "" && !file && !has.folder(it.Path) || *it.Match == "*" && (file || has.folder(it.Path)) ||
			file && *it.Match == blobHash([]byte(content)).String()) {
			rt.Fatalf("item %d is made against its condition: %s", i, w.Body)
		}
		if err := next.apply(it); err != nil {
			rt.Fatalf("item %d: %v: %s\n%s", i, err, body, w.Body)
		}
	}
	if (accepted > 0) != (w.Code == 201) || (accepted == 0) != (w.Code == 409) {
		rt.Fatalf("status %d with %d items made", w.Code, accepted)
	}
	got := model{}
	for _, e := range decode[struct{ Entries []treeEntry }](t, ask(t, h, "GET", docs+"/tree?recursive=true", "")).Entries {
		got[e.Path] = e.Hash
	}
	for p, content := range next {
		if got[p] != blobHash([]byte(content)).String() {
			rt.Fatalf("%s is %s, not %q: %s\n%s", p, got[p], content, body, w.Body)
		}
	}
	if len(got) != len(next) {
		rt.Fatalf("there is %v, not %v: %s\n%s", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(next)), body, w.Body)
	}
	return next
}
