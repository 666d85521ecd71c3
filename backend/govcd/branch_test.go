package govcd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

func TestBranches(t *testing.T) {
	h := withRepo(t, Options{})
	want(t, ask(t, h, "GET", docs+"/branches", ""), 200, `{"branches":[],"count":0,"current":"main"}`)
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"early"}`), 404, "REF_NOT_FOUND")
	first := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "main")))).Hash
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"f/x","from":"main"}`), 201, `"message":"branch 'f/x' created"`)
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"f/x"}`), 409, "BRANCH_EXISTS")
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"main"}`), 409, "BRANCH_EXISTS")
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"g","from":"nope"}`), 404, "REF_NOT_FOUND")
	for _, bad := range []string{"f", "f/x/y", "a b", "..", "x.lock", "-", "@{", "x~1"} {
		if w := ask(t, h, "POST", docs+"/branches", `{"name":"`+bad+`"}`); bad != "-" {
			want(t, w, 400, "INVALID_BRANCH_NAME")
		}
	}
	on := "?branch=f/x"
	want(t, ask(t, h, "POST", docs+"/files"+on, `{"path":"a","content":"side"}`), 201, "added")
	want(t, ask(t, h, "GET", docs+"/files?path=a&branch=f/x", ""), 200, "side")
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, `"main"`)
	want(t, ask(t, h, "GET", docs+"/status"+on, ""), 200, `"branch":"f/x","staged":["a"]`)
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"clean":true`)
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m"}`), 400, "nothing to commit")
	want(t, ask(t, h, "POST", docs+"/commits"+on, `{"message":"m"}`), 201, first)
	want(t, ask(t, h, "GET", docs+"/files?path=a&ref=f/x", ""), 200, "side")
	want(t, ask(t, h, "GET", docs+"/commits?branch=f/x", ""), 200, `"total":2`)
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":1`)
	for _, route := range []string{"POST /files", "PUT /files"} {
		method, path, _ := strings.Cut(route, " ")
		want(t, ask(t, h, method, docs+path+"?branch=nope", `{"path":"a","content":"x"}`), 404, "BRANCH_NOT_FOUND")
	}
	for _, route := range []string{"GET /files?path=a&", "DELETE /files?path=a&", "GET /status?", "GET /tree?", "GET /tree?recursive=true&", "GET /tree?recursive=true&view=committed&"} {
		method, path, _ := strings.Cut(route, " ")
		want(t, ask(t, h, method, docs+path+"branch=nope", ""), 404, "BRANCH_NOT_FOUND")
	}
	want(t, ask(t, h, "GET", "/api/v1/repos/docs/branches", ""), 200, `"count":2,"current":"main"`)
	want(t, ask(t, h, "POST", docs+"/files"+on, `{"path":"b","content":"staged"}`), 201, "added")
	want(t, ask(t, h, "DELETE", docs+"/branches/main", ""), 400, "PROTECTED_BRANCH")
	want(t, ask(t, h, "DELETE", docs+"/branches/f%2Fx", ""), 200, "deleted")
	want(t, ask(t, h, "DELETE", docs+"/branches/f/x", ""), 404, "BRANCH_NOT_FOUND")
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"f/x"}`), 201, first)
	want(t, ask(t, h, "GET", docs+"/status"+on, ""), 200, `"clean":true`)
	for i := range MaxBranches - 2 {
		if w := ask(t, h, "POST", docs+"/branches", fmt.Sprintf(`{"name":"n%d"}`, i)); w.Code != 201 {
			t.Fatalf("branch %d: %s", i, w.Body)
		}
	}
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"last"}`), 507, "TOO_MANY_BRANCHES")
}

func TestMerge(t *testing.T) {
	h := withRepo(t, Options{})
	batch := func(branch string, items ...string) string {
		t.Helper()
		w := send(t, h, "POST", docs+"/batch?branch="+branch, batchOf(items...))
		want(t, w, 201, "hash")
		return decode[batchAnswer](t, w).Hash
	}
	merge := func(body string) mergeAnswer {
		t.Helper()
		w := ask(t, h, "POST", docs+"/merge", body)
		want(t, w, 200, `"hash"`)
		return decode[mergeAnswer](t, w)
	}
	base := batch("main", put("a", "1"), put("b", "1"))
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, base)
	ahead := batch("side", put("b", "2"))
	if m := merge(`{"from":"side"}`); m.Hash != ahead || !m.FastForward {
		t.Errorf("a fast-forward is %+v", m)
	}
	if m := merge(`{"from":"side","to":"main"}`); m.Hash != ahead || m.FastForward || m.Message != "already up to date" {
		t.Errorf("nothing to merge is %+v", m)
	}
	ours := batch("main", put("a", "3"))
	theirs := batch("side", put("c", "3"))
	m := merge(`{"from":"side","into":"main","message":"both","author":"M","email":"m@b.c"}`)
	log := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits?limit=1", ""))
	if c := log.Commits[0]; c.Hash != m.Hash || m.FastForward || c.Message != "both" || c.Author != "M" || c.Parent != ours {
		t.Errorf("a merge is %+v, the log says %+v", m, c)
	}
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true", ""), 200, `"total":3`)
	want(t, ask(t, h, "GET", docs+"/commits?since="+theirs, ""), 200, `"total":2`)

	left, right := batch("main", put("a", "left"), put("x", "left")), batch("side", put("a", "right"), put("x", "right"), put("y", "right"))
	w := ask(t, h, "POST", docs+"/merge", `{"from":"side"}`)
	want(t, w, 409, `"code":"MERGE_CONFLICT","details":{"paths":["a","x"]}`)
	want(t, ask(t, h, "GET", docs+"/commits?limit=1", ""), 200, left)
	want(t, ask(t, h, "GET", docs+"/files?path=y", ""), 404, "FILE_NOT_FOUND")
	want(t, send(t, h, "POST", docs+"/merge", `{"from":"side"}`, "If-Match", `"`+base+`"`), 412, left)
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"`+right+`","into":"nope"}`), 404, "BRANCH_NOT_FOUND")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"nope"}`), 404, "REF_NOT_FOUND")
	want(t, ask(t, h, "POST", docs+"/merge", `{"into":"main"}`), 400, "required")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side","message":"\u0001"}`), 400, "INVALID_COMMIT_MESSAGE")
	// What is staged stays, and is committed upon the merge.
	add(t, h, "staged", "s")
	batch("side", put("a", "left"), put("x", "left"))
	merge(`{"from":"side"}`)
	commit(t, h, "m")
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true", ""), 200, `"total":6`)
}

func TestTags(t *testing.T) {
	h := withRepo(t, Options{})
	want(t, ask(t, h, "GET", docs+"/tags", ""), 200, `{"tags":[],"count":0}`)
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"v1"}`), 404, "REF_NOT_FOUND")
	first := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1")))).Hash
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"v1"}`), 201, first)
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"v1"}`), 409, "TAG_EXISTS")
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"v 2"}`), 400, "INVALID_TAG_NAME")
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"r/2","ref":"v1","message":"why","author":"T","email":"t@b.c"}`), 201, first)
	want(t, ask(t, h, "GET", docs+"/tags", ""), 200, `{"tags":[{"name":"r/2","commit":"`+first+`","message":"why"},{"name":"v1","commit":"`+first+`"}],"count":2}`)
	want(t, ask(t, h, "DELETE", docs+"/tags/r/2", ""), 200, "deleted")
	want(t, ask(t, h, "DELETE", docs+"/tags/r/2", ""), 404, "TAG_NOT_FOUND")
	want(t, ask(t, h, "DELETE", docs+"/tags/a%20b", ""), 404, "TAG_NOT_FOUND")
	want(t, ask(t, h, "DELETE", docs+"/tags/", ""), 404, "ENDPOINT_NOT_FOUND")
}

func TestDiff(t *testing.T) {
	h := withRepo(t, Options{})
	big := strings.Repeat("x\n", MaxDiffFile/2)
	one := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "1\n2\n3\n"), put("d/gone", "x"), put("same", "s"), put("edge", big[2:]), put("over", big)))).Hash
	two := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "1\ntwo\n3\nfour"), `{"op":"delete","path":"d/gone"}`, put("d/new", "n\n"),
		`{"op":"put","path":"bin","content":"AAE=","encoding":"base64"}`, put("edge", big), put("over", big+"x")))).Hash
	got := decode[diffAnswer](t, ask(t, h, "GET", docs+"/diff?from="+one+"&to=main&patch=true", ""))
	if got.From != one || got.To != two || got.Total != 6 || got.Truncated {
		t.Fatalf("%+v", got)
	}
	lines := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	for i, expected := range []string{
		"bin added - - true", "d/a modified 2 1 false", "d/gone deleted 0 1 false", "d/new added 1 0 false", "edge modified 1 0 false", "over modified - - true",
	} {
		f := got.Files[i]
		if s := fmt.Sprintln(f.Path, f.Status, lines(f.Additions), lines(f.Deletions), f.Binary); s != expected+"\n" {
			t.Errorf("got %swant %s", s, expected)
		}
	}
	const patch = "--- a/d/a\n+++ b/d/a\n@@ -1,3 +1,4 @@\n 1\n-2\n+two\n 3\n+four\n\\ No newline at end of file\n"
	if got.Files[1].Patch != patch || got.Files[1].Before != blobHash([]byte("1\n2\n3\n")).String() {
		t.Errorf("patch %q", got.Files[1].Patch)
	}
	if p := got.Files[2].Patch; !strings.Contains(p, "+++ /dev/null\n@@ -1 +0,0 @@") {
		t.Errorf("patch %q", p)
	}
	want(t, ask(t, h, "GET", docs+"/diff?from="+one+"&to=main&path=d", ""), 200, `"total":3`)
	want(t, ask(t, h, "GET", docs+"/diff?from="+strings.Repeat("0", 40)+"&to="+one, ""), 200, `"total":5`)
	want(t, ask(t, h, "GET", docs+"/diff?from="+one, ""), 400, "INVALID_REQUEST")
	want(t, ask(t, h, "GET", docs+"/diff?from=nope&to=main", ""), 404, "REF_NOT_FOUND")
	want(t, ask(t, h, "GET", docs+"/diff?from=main&to=main&path=../x", ""), 400, "INVALID_FILE_PATH")
}

func TestDiffIsBounded(t *testing.T) {
	h := withRepo(t, Options{})
	items := make([]string, MaxDiffFiles)
	for i := range items {
		items[i] = put(fmt.Sprintf("d/%04d", i), strings.Repeat("x", 8<<10))
	}
	zero := docs + "/diff?from=" + strings.Repeat("0", 40) + "&to=main"
	want(t, send(t, h, "POST", docs+"/batch", batchOf(items...)), 201, "hash")
	got := decode[diffAnswer](t, ask(t, h, "GET", zero, ""))
	if got.Total != MaxDiffFiles || got.Truncated || got.Files[MaxDiffFiles-1].Additions == nil {
		t.Errorf("%d files, truncated %v", got.Total, got.Truncated)
	}
	patched := decode[diffAnswer](t, ask(t, h, "GET", zero+"&patch=true", ""))
	size := 0
	for _, f := range patched.Files {
		size += len(f.Patch)
	}
	if !patched.Truncated || size > MaxPatch || size < MaxPatch-(9<<10) {
		t.Errorf("%d bytes of patches, truncated %v", size, patched.Truncated)
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("e", "1"))), 201, "hash")
	if got := decode[diffAnswer](t, ask(t, h, "GET", zero, "")); got.Total != MaxDiffFiles || !got.Truncated {
		t.Errorf("%d files, truncated %v", got.Total, got.Truncated)
	}
	d := &differ{read: MaxDiffBytes}
	if err := d.compare(t.Context(), gitEdit(), &diffFile{}); err != nil || !d.out.Truncated {
		t.Errorf("no byte too much: %v", err)
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
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "one"), put("b", "one"), put("c", strings.Repeat("x", MaxSearchFile-3)+"one"))), 201, "hash")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d", strings.Repeat("x", MaxSearchFile-2)+"one"))), 201, "hash")
	tip, err := r.head("main")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q         search
		total     int
		truncated bool
	}{
		{search{limit: 9, bytes: maxSearched, time: searchTime}, 3, false},
		{search{limit: 9, bytes: MaxSearchFile + 6, time: searchTime}, 3, false},
		{search{limit: 9, bytes: MaxSearchFile + 5, time: searchTime}, 2, true},
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

// gitEdit is a change of a file that is not there.
func gitEdit() gitrepo.Edit { return gitrepo.Edit{Path: "a", After: blobHash(nil)} }
