package govcd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// TestListsAreBounded: a page of a listing, and the paths of a conflict.
func TestListsAreBounded(t *testing.T) {
	h := withRepo(t, Options{})
	for made := 0; made <= MaxPage; {
		var items []string
		for range min(MaxBatch, MaxPage+1-made) {
			items = append(items, put(fmt.Sprintf("d/%d/%05d", made%100, made), ""))
			made++
		}
		want(t, send(t, h, "POST", docs+"/batch", batchOf(items...)), 201, "hash")
	}
	for _, limit := range []int{MaxPage, MaxPage + 1} {
		want(t, ask(t, h, "GET", fmt.Sprintf("%s/tree?recursive=true&limit=%d", docs, limit), ""), 200, fmt.Sprintf(`"total":%d,"next":"d/99/`, MaxPage))
	}
	paths := make([]string, maxListed+1)
	for n, want := range map[int]int{maxListed: maxListed, maxListed + 1: maxListed} {
		if got := listed(paths[:n])["paths"].([]string); len(got) != want {
			t.Errorf("of %d paths %d are listed", n, len(got))
		}
	}
}

func TestSearch(t *testing.T) {
	h := withRepo(t, Options{})
	want(t, ask(t, h, "GET", docs+"/search?q=x", ""), 200, `{"commit":"","results":[],"total":0,"truncated":false}`)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d/Alpha/x", "One two\nthree"), put("d/b", "ONE äÖ"), put("e", "one"),
		`{"op":"put","path":"bin","content":"b25lAA==","encoding":"base64"}`)), 201, "hash")
	add(t, h, "staged", "one")
	for query, paths := range map[string]string{
		"q=one": "d/Alpha/x d/b e", "q=two+one": "d/Alpha/x", "q=alpha+three": "d/Alpha/x", "q=%C3%84%C3%B6": "d/b", "q=bin": "bin", "q=four": "",
		"q=one&path=d": "d/Alpha/x d/b", "q=one&path=nowhere": "", "q=one&limit=3": "d/Alpha/x d/b e", "q=one&limit=2": "d/Alpha/x d/b +",
	} {
		got := decode[searchAnswer](t, ask(t, h, "GET", docs+"/search?"+query, ""))
		var found []string
		for _, f := range got.Results {
			found = append(found, f.Path)
		}
		if got.Truncated {
			found = append(found, "+")
		}
		if strings.Join(found, " ") != paths || got.Total != len(got.Results) {
			t.Errorf("%s finds %v, want %s", query, found, paths)
		}
	}
	words := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("w%d", i))
		}
		return strings.Join(out, "+")
	}
	want(t, ask(t, h, "GET", docs+"/search?q="+words(MaxWords), ""), 200, "results")
	want(t, ask(t, h, "GET", docs+"/search?q="+words(MaxWords+1), ""), 400, "INVALID_REQUEST")
	want(t, ask(t, h, "GET", docs+"/search?q=+", ""), 400, "MISSING_QUERY")
	want(t, ask(t, h, "GET", docs+"/search?q=a&limit=0", ""), 400, "INVALID_LIMIT")
	want(t, ask(t, h, "GET", docs+"/search?q=a&ref=nope", ""), 404, "REF_NOT_FOUND")
}

func TestSearchIsBounded(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	large := strings.Repeat("x", MaxSearchFile-3) + "one"
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("s/a", "one"), put("s/b", "one"), put("s/c", "one"), put("l/d", large), put("l/e", large+" "))), 201, "hash")
	tip, err := r.head("main")
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) document.Path {
		p, err := document.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		q         search
		total     int
		truncated bool
	}{
		{search{limit: 9, bytes: maxSearched, time: time.Minute, path: at("l")}, 1, false},
		{search{limit: 9, bytes: 9, time: time.Minute, path: at("s")}, 3, false},
		{search{limit: 9, bytes: 8, time: time.Minute, path: at("s")}, 2, true},
		{search{limit: 9, bytes: maxSearched, time: -time.Second}, 0, true},
	} {
		c.q.words = []string{"one"}
		got, err := r.search(t.Context(), tip, c.q)
		if err != nil || got.Total != c.total || got.Truncated != c.truncated {
			t.Errorf("%d found, truncated %v, %v; want %d, %v", got.Total, got.Truncated, err, c.total, c.truncated)
		}
	}
}

// TestPages: pages of any size, put together, are the listing.
func TestPages(t *testing.T) {
	h := withRepo(t, Options{})
	paths := []string{"a", "a-b/x", "a.b", "b/c/d", "b/c.d", "b/c0", "b/ä", "c/z/1", "c/z/2", "d"}
	var items []string
	for _, p := range paths {
		items = append(items, put(p, p))
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(items...)), 201, "hash")
	for _, p := range []string{"a.a", "b/c/a", "c/z/1", "e", "0"} {
		add(t, h, p, "staged")
	}
	want(t, ask(t, h, "DELETE", docs+"/files?path=b/c.d", ""), 200, "removed")
	type listing struct {
		Commit, Next string
		Total        int
		Entries      []treeEntry
	}
	for _, view := range []string{"", "&view=committed"} {
		all := decode[listing](t, ask(t, h, "GET", docs+"/tree?recursive=true"+view, ""))
		if all.Commit != "" || all.Next != "" {
			t.Errorf("a whole listing has pages: %+v", all)
		}
		for size := 1; size <= len(all.Entries)+1; size++ {
			var got []treeEntry
			after := ""
			for range len(all.Entries) + 1 {
				p := decode[listing](t, ask(t, h, "GET", fmt.Sprintf("%s/tree?recursive=true&limit=%d&after=%s%s", docs, size, queryEscape(after), view), ""))
				if len(p.Entries) != p.Total || p.Total > size || p.Commit == "" {
					t.Fatalf("page %+v", p)
				}
				got = append(got, p.Entries...)
				if after = p.Next; after == "" {
					break
				}
			}
			if len(got) != len(all.Entries) {
				t.Errorf("size %d%s: %d entries, want %d", size, view, len(got), len(all.Entries))
				continue
			}
			for i := range got {
				if got[i].Path != all.Entries[i].Path || (i > 0 && got[i].Path <= got[i-1].Path) {
					t.Errorf("size %d%s: entry %d is %s, want %s", size, view, i, got[i].Path, all.Entries[i].Path)
				}
			}
		}
	}
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true&limit=0", ""), 400, "INVALID_LIMIT")
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true&path=b&limit=2&after=b/c0", ""), 200, `"total":1}`)
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true&path=b&limit=2", ""), 200, `"next":"b/c/d"}`)
}

func TestLogSince(t *testing.T) {
	h := withRepo(t, Options{})
	var hashes []string
	for i := range 6 {
		body := fmt.Sprintf(`{"message":"m","timestamp":"2030-01-01T00:00:0%dZ","items":[%s]}`, []int{0, 1, 5, 3, 4, 2}[i], put(fmt.Sprintf("f%d", i%2), fmt.Sprint(i)))
		hashes = append(hashes, decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", body)).Hash)
	}
	for query, total := range map[string]int{
		"since=" + hashes[2]: 3, "since=" + hashes[5]: 0, "since=" + hashes[0]: 5, "since=" + hashes[2] + "&limit=2": 2, "since=" + hashes[2] + "&offset=2": 1,
		"since=" + hashes[2] + "&path=f1": 2, "since=" + hashes[2] + "&path=f0": 1,
		"since=2030-01-01T00:00:03Z": 3, "since=2030-01-01T00:00:06Z": 0, "since=2029-12-31T23:00:00-01:00": 6, "since=2030-01-01T00:00:03Z&path=f0": 2,
	} {
		want(t, ask(t, h, "GET", docs+"/commits?"+query, ""), 200, fmt.Sprintf(`"total":%d`, total))
	}
	for since, code := range map[string]string{strings.Repeat("0", 40): "REF_NOT_FOUND", "yesterday": "INVALID_SINCE", "main": "INVALID_SINCE"} {
		if w := ask(t, h, "GET", docs+"/commits?since="+since, ""); !strings.Contains(w.Body.String(), code) {
			t.Errorf("since %s: %s", since, w.Body)
		}
	}
}

// TestLogSinceAcrossAMerge: what was merged lies before and behind the commit
// that is known, whatever the times say.
func TestLogSinceAcrossAMerge(t *testing.T) {
	h := withRepo(t, Options{})
	batch := func(branch string, day int) string {
		t.Helper()
		body := fmt.Sprintf(`{"message":"m","timestamp":"2030-01-%02dT00:00:00Z","items":[%s]}`, day, put(branch, fmt.Sprint(day)))
		w := send(t, h, "POST", docs+"/batch?branch="+branch, body)
		want(t, w, 201, "hash")
		return decode[batchAnswer](t, w).Hash
	}
	batch("main", 1)
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, "side")
	batch("main", 2)
	ours := batch("main", 3)
	theirs := batch("side", 5)
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side","timestamp":"2030-01-09T00:00:00Z"}`), 200, "hash")
	for query, total := range map[string]int{theirs: 3, ours: 2, ours + "&path=side": 1, theirs + "&path=main": 2, theirs + "&path=side": 0} {
		if w := ask(t, h, "GET", docs+"/commits?since="+query, ""); !strings.Contains(w.Body.String(), fmt.Sprintf(`"total":%d`, total)) {
			t.Errorf("since %s: %s, want %d", query, w.Body, total)
		}
	}
}
