package govcd

import (
	"fmt"
	"strings"
	"testing"

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
	for _, bad := range []string{"f", "f/x/y", "a b", "..", "x.lock", "-", "@{", "x~1", "HEAD"} {
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
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"HEAD"}`), 400, "INVALID_TAG_NAME")
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"r/2","ref":"v1","message":"why","author":"T","email":"t@b.c"}`), 201, first)
	want(t, ask(t, h, "GET", docs+"/tags", ""), 200, `{"tags":[{"name":"r/2","commit":"`+first+`","message":"why"},{"name":"v1","commit":"`+first+`"}],"count":2}`)
	want(t, ask(t, h, "DELETE", docs+"/tags/r/2", ""), 200, "deleted")
	want(t, ask(t, h, "DELETE", docs+"/tags/r/2", ""), 404, "TAG_NOT_FOUND")
	want(t, ask(t, h, "DELETE", docs+"/tags/a%20b", ""), 404, "TAG_NOT_FOUND")
	want(t, ask(t, h, "DELETE", docs+"/tags/", ""), 404, "ENDPOINT_NOT_FOUND")
}

func TestTagsAreBounded(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 201, "hash")
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"one"}`), 201, "one")
	if r.tags != 1 {
		t.Errorf("%d tags are counted", r.tags)
	}
	r.tags = MaxTags - 1
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"last"}`), 201, "last")
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"more"}`), 507, "TOO_MANY_TAGS")
	want(t, ask(t, h, "DELETE", docs+"/tags/one", ""), 200, "deleted")
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"more"}`), 201, "more")
}

func TestDiff(t *testing.T) {
	h := withRepo(t, Options{})
	big := "x\n" + strings.Repeat("x", MaxDiffFile-2)
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
		items[i] = put(fmt.Sprintf("d/%04d", i), strings.Repeat("x", 4300))
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
	if !patched.Truncated || size > MaxPatch || size < MaxPatch-(5<<10) {
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

// gitEdit is a change of a file that is not there.
func gitEdit() gitrepo.Edit { return gitrepo.Edit{Path: "a", After: blobHash(nil)} }
