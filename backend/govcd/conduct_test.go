package govcd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

func queryEscape(s string) string { return url.QueryEscape(s) }

func tagOf(content string) string { return `"` + blobHash([]byte(content)).String() + `"` }

func TestIfMatchOnFiles(t *testing.T) {
	h := withRepo(t, Options{})
	write := func(method, content string, headers ...string) *httptest.ResponseRecorder {
		return send(t, h, method, docs+"/files", `{"path":"a","content":"`+content+`"}`, headers...)
	}
	want(t, write("POST", "1", "If-Match", "*"), 412, `"code":"PRECONDITION_FAILED"`)
	want(t, write("POST", "1", "If-Match", tagOf("1")), 412, `"current":""`)
	want(t, write("POST", "1", "If-None-Match", "*"), 201, "added")
	want(t, write("POST", "2", "If-None-Match", "*"), 412, blobHash([]byte("1")).String())
	got := ask(t, h, "GET", docs+"/files?path=a", "")
	if tag := got.Header().Get("ETag"); tag != tagOf("1") {
		t.Errorf("staged content has the tag %q", tag)
	}
	commit(t, h, "m")
	if tag := ask(t, h, "GET", docs+"/files?path=a", "").Header().Get("ETag"); tag != tagOf("1") {
		t.Errorf("committed content has the tag %q", tag)
	}
	want(t, write("PUT", "2", "If-Match", tagOf("2")), 412, "")
	want(t, write("PUT", "2", "If-Match", tagOf("0")+" , "+tagOf("1")), 201, "written")
	want(t, write("POST", "3", "If-Match", tagOf("1")), 412, "")
	want(t, write("POST", "3", "If-Match", tagOf("2")), 201, "added")
	want(t, send(t, h, "DELETE", docs+"/files?path=a", "", "If-Match", tagOf("1")), 412, "")
	want(t, send(t, h, "DELETE", docs+"/files?path=a", "", "If-Match", tagOf("3")), 200, "removed")
	want(t, send(t, h, "DELETE", docs+"/files?path=a", "", "If-Match", "*"), 412, "")
	want(t, write("POST", "4", "If-None-Match", "*"), 201, "added")
	commit(t, h, "m")
	add(t, h, "d/x", "1")
	commit(t, h, "m")
	want(t, send(t, h, "DELETE", docs+"/files?path=d", "", "If-Match", tagOf("1")), 412, "")
	want(t, send(t, h, "DELETE", docs+"/files?path=d", "", "If-Match", "*"), 200, "removed")
	for _, bad := range []string{"x", `"x"`, `W/` + tagOf("1"), tagOf("1") + ",", strings.Repeat(tagOf("1")+",", maxTags) + tagOf("1"), strings.ToUpper(tagOf("1"))} {
		want(t, write("POST", "5", "If-Match", bad), 400, "INVALID_PRECONDITION")
	}
	want(t, write("POST", "5", "If-Match", strings.Repeat(tagOf("1")+",", maxTags-1)+tagOf("4")), 201, "")
	want(t, write("POST", "5", "If-None-Match", tagOf("1")), 400, "INVALID_PRECONDITION")
	want(t, write("POST", "5", "If-None-Match", "*", "If-Match", "*"), 400, "INVALID_PRECONDITION")
}

func TestIfMatchOnCommits(t *testing.T) {
	h := withRepo(t, Options{})
	body := `{"message":"m"}`
	add(t, h, "a", "1")
	want(t, send(t, h, "POST", docs+"/commits", body, "If-Match", "*"), 412, "PRECONDITION_FAILED")
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"staged":["a"]`)
	first := decode[commitAnswer](t, send(t, h, "POST", docs+"/commits", body, "If-None-Match", "*"))
	folder := ask(t, h, "GET", docs+"/tree?path=a", "")
	want(t, folder, 200, "")
	tag := `"` + first.Hash + `"`
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("b/c", "2")), "If-None-Match", "*"), 412, first.Hash)
	second := send(t, h, "POST", docs+"/batch", batchOf(put("b/c", "2")), "If-Match", tag)
	want(t, second, 201, first.Hash)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("b/c", "3")), "If-Match", tag), 412, decode[batchAnswer](t, second).Hash)
	add(t, h, "a", "2")
	want(t, send(t, h, "POST", docs+"/commits", body, "If-Match", tag), 412, "PRECONDITION_FAILED")
	at := ask(t, h, "GET", docs+"/folder?path=b", "").Header().Get("ETag")
	want(t, send(t, h, "POST", docs+"/commits", body, "If-Match", at), 201, decode[batchAnswer](t, second).Hash)
}

// TestACommitHoldsWhatItWasStagedOn: between staging on a condition and the
// commit another client committed the same file.
func TestACommitHoldsWhatItWasStagedOn(t *testing.T) {
	h := withRepo(t, Options{})
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"), put("b", "1"))), 201, "hash")
	stage := func(content string, headers ...string) {
		want(t, send(t, h, "POST", docs+"/files", `{"path":"a","content":"`+content+`"}`, append(headers, headerStage, "mine")...), 201, "added")
	}
	end := func() *httptest.ResponseRecorder {
		return send(t, h, "POST", docs+"/commits", `{"message":"m"}`, headerStage, "mine")
	}
	stage("mine", "If-Match", tagOf("1"))
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("b", "other"))), 201, "hash") // another file is no matter
	stage("mine too", "If-Match", tagOf("mine"))
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "theirs"))), 201, "hash")
	stage("mine as well", "If-Match", tagOf("mine too"))
	want(t, end(), 412, `"details":{"paths":["a"]}`)
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, "theirs")
	want(t, send(t, h, "GET", docs+"/files?path=a", "", headerStage, "mine"), 200, "mine as well")
	want(t, send(t, h, "DELETE", docs+"/files?path=a", "", headerStage, "mine"), 200, "removed")
	stage("agreed", "If-None-Match", "*") // as this client sees it
	want(t, end(), 201, "hash")
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, "agreed")
}

func TestIdempotencyKey(t *testing.T) {
	now := time.Unix(1_800_000_000, 5).UTC()
	h := withRepo(t, Options{Now: func() time.Time { return now }})
	key := func(k string) []string { return []string{headerKey, k} }
	same := func(a, b *httptest.ResponseRecorder) {
		t.Helper()
		if a.Code != 201 || b.Code != 201 || a.Body.String() != b.Body.String() {
			t.Errorf("%d %s\n%d %s", a.Code, a.Body, b.Code, b.Body)
		}
		if a.Header().Get(headerReplayed) != "" || b.Header().Get(headerReplayed) != "true" {
			t.Errorf("replayed: %q, then %q", a.Header().Get(headerReplayed), b.Header().Get(headerReplayed))
		}
	}
	add(t, h, "a", "1")
	body := `{"message":"m","author":"Zoë <z>","email":"z@b.c"}`
	first := send(t, h, "POST", docs+"/commits", body, key("k1")...)
	now = now.Add(time.Second)
	add(t, h, "a", "2")
	same(first, send(t, h, "POST", docs+"/commits", body, key("k1")...))
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"staged":["a"]`)
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"n"}`, key("k1")...), 422, "IDEMPOTENCY_MISMATCH")
	want(t, send(t, h, "POST", docs+"/commits", body, headerKey, "k1", headerStage, "s"), 422, "IDEMPOTENCY_MISMATCH")
	// What failed is not kept.
	want(t, send(t, h, "POST", docs+"/commits", body, headerKey, "k2", headerStage, "s"), 400, "nothing to commit")
	want(t, send(t, h, "POST", docs+"/commits", body, key("k2")...), 201, "hash")

	tip := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits?limit=1", "")).Commits[0]
	batch := batchOf(put("b", "1"), put("a/b", "1"), `{"op":"delete","path":"a"}`, put("c", "3"))
	one := send(t, h, "POST", docs+"/batch", batch, headerKey, "k3", "If-Match", `"`+tip.Hash+`"`)
	two := send(t, h, "POST", docs+"/batch", batch, headerKey, "k3", "If-Match", `"`+tip.Hash+`"`)
	same(one, two)
	want(t, two, 201, "INVALID_FILE_PATH")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("b", "1")), key("k3")...), 422, "IDEMPOTENCY_MISMATCH")
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":3`)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("x/y", "1")), key(strings.Repeat("k", maxKey))...), 201, "")
	for _, bad := range []string{"", " ", "a b", "ä", "\x7f", strings.Repeat("k", maxKey+1)} {
		want(t, send(t, h, "POST", docs+"/batch", batchOf(put("b", "1")), key(bad)...), 400, "INVALID_IDEMPOTENCY_KEY")
	}
	now = now.Add(keyLife - time.Second)
	same(first, send(t, h, "POST", docs+"/commits", body, key("k1")...))
	now = now.Add(1)
	want(t, send(t, h, "POST", docs+"/commits", body, key("k1")...), 400, "nothing to commit")
}

func TestKeysAreForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newService(t, Options{Now: func() time.Time { return now }})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	keyOf := func(i int) *requestKey {
		k := &requestKey{}
		copy(k.key[:], fmt.Sprint("key ", i))
		return k
	}
	known := func(i int) bool {
		e, err := r.keys.find(keyOf(i), now)
		if err != nil {
			t.Fatal(err)
		}
		return e != nil
	}
	for i := range MaxKeys {
		r.remember(keyOf(i), keyEntry{left: []leftItem{{text: "why"}}})
	}
	if !known(0) {
		t.Error("a key within the limit is forgotten")
	}
	r.remember(keyOf(MaxKeys), keyEntry{})
	if known(0) || !known(1) || !known(MaxKeys) || len(r.keys.entries) != MaxKeys {
		t.Errorf("of one key too many the oldest is not what went; %d are kept", len(r.keys.entries))
	}
	now = now.Add(keyLife)
	if !known(1) {
		t.Error("a key is forgotten before its time")
	}
	now = now.Add(1)
	if known(1) {
		t.Error("a key is known after its time")
	}
	r.remember(keyOf(5), keyEntry{})
	if len(r.keys.entries) != 1 || len(r.keys.order) != 1 || s.stored.Load() != keyCost || r.bytes != keyCost {
		t.Errorf("%d keys, %d in order, %d bytes", len(r.keys.entries), len(r.keys.order), s.stored.Load())
	}
	now = now.Add(keyLife + 1)
	r.remember(keyOf(5), keyEntry{}) // used anew
	if !known(5) || len(r.keys.order) != 1 || s.stored.Load() != keyCost {
		t.Errorf("%d keys in order, %d bytes", len(r.keys.order), s.stored.Load())
	}
}

func TestKeyIsATrailerOfItsCommit(t *testing.T) {
	for message, begin := range map[string]string{
		"m":                         "m\n\nKey: v",
		"m\n":                       "m\n\nKey: v",
		"Subject: like a trailer":   "Subject: like a trailer\n\nKey: v",
		"m\n\nOp-Id: 1":             "m\n\nOp-Id: 1\nKey: v",
		"m\n\nbody":                 "m\n\nbody\n\nKey: v",
		"m\n\nOp-Id: 1\nand a text": "m\n\nOp-Id: 1\nand a text\n\nKey: v",
	} {
		if got := withTrailer(message, "Key: v"); got != begin {
			t.Errorf("%q becomes %q", message, got)
		}
	}
	h := withRepo(t, Options{})
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1")), headerKey, "k"), 201, "hash")
	log := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits", ""))
	if !trailerLine.MatchString(strings.TrimPrefix(log.Commits[0].Message, "m\n\n")) {
		t.Errorf("the message is %q", log.Commits[0].Message)
	}
}

func TestContentMayBeAnything(t *testing.T) {
	h := withRepo(t, Options{})
	for _, method := range []string{"POST", "PUT"} {
		want(t, send(t, h, method, docs+"/files", `{"path":"e","content":""}`), 201, "")
		want(t, ask(t, h, "GET", docs+"/files?path=e", ""), 200, `"content":"","encoding":"utf-8","size":0`)
		want(t, send(t, h, method, docs+"/files", `{"path":"b","content":"/wA=","encoding":"base64"}`), 201, "")
		want(t, ask(t, h, "GET", docs+"/files?path=b", ""), 200, `"content":"/wA=","encoding":"base64","size":2`)
		want(t, send(t, h, method, docs+"/files", `{"path":"b","content":"/w"}`), 201, "")
		for _, bad := range []string{`"content":"/w","encoding":"base64"`, `"content":"x","encoding":"rot13"`, `"encoding":"base64"`, `"content":null`} {
			want(t, send(t, h, method, docs+"/files", `{"path":"b",`+bad+`}`), 400, "INVALID_REQUEST")
		}
	}
}

func TestReadsAtARef(t *testing.T) {
	h := withRepo(t, Options{})
	first := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "old"))))
	want(t, ask(t, h, "POST", docs+"/tags", `{"name":"v1"}`), 201, first.Hash)
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, first.Hash)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "new"), put("d/b", "new"))), 201, "hash")
	add(t, h, "d/a", "staged")
	for _, ref := range []string{first.Hash, "v1", "side"} {
		q := "&ref=" + ref
		want(t, ask(t, h, "GET", docs+"/files?path=d/a"+q, ""), 200, "old")
		want(t, ask(t, h, "GET", docs+"/files?path=d/b"+q, ""), 404, "FILE_NOT_FOUND")
		want(t, ask(t, h, "GET", docs+"/folder?path=d"+q, ""), 200, `"commit":"`+first.Hash+`","files":[{"path":"d/a","content":"old"`)
		want(t, ask(t, h, "GET", docs+"/tree?path=d"+q, ""), 200, `"total":1`)
		want(t, ask(t, h, "GET", docs+"/tree?recursive=true"+q, ""), 200, `"total":1`)
		want(t, ask(t, h, "GET", docs+"/commits?limit=9"+q, ""), 200, `"total":1`)
		want(t, ask(t, h, "POST", docs+"/folders?ref="+ref, `{"paths":["d"]}`), 200, "old")
	}
	want(t, ask(t, h, "GET", docs+"/files?path=d/a&ref=main", ""), 200, "new")
	want(t, ask(t, h, "GET", docs+"/files?path=d/a", ""), 200, "staged")
	for _, ref := range []string{"nope", first.Hash[:10], strings.ToUpper(first.Hash), strings.Repeat("0", 40), "HEAD", "..", "refs/heads/main", "%00", blobHash([]byte("old")).String()} {
		for _, route := range []string{"/files?path=d/a", "/folder?path=d", "/tree?path=d", "/tree?recursive=true", "/commits?limit=1"} {
			if w := ask(t, h, http.MethodGet, docs+route+"&ref="+ref, ""); w.Code != 404 || !strings.Contains(w.Body.String(), "REF_NOT_FOUND") {
				t.Errorf("%s at %s answers %d %s", route, ref, w.Code, w.Body)
			}
		}
	}
}

// TestAConditionOnWhatIsBeingCommitted holds for the commit after it.
func TestAConditionOnWhatIsBeingCommitted(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	add(t, h, "a", "1")
	p, _, err := r.take(shared, CommitRequest{Message: "m"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, send(t, h, "POST", docs+"/files", `{"path":"a","content":"2"}`, "If-Match", tagOf("1")), 201, "added")
	if p.changes, err = r.takenChanges(t.Context(), shared, place{git: r.git}); err != nil {
		t.Fatal(err)
	}
	hash, err := r.makeCommit(t.Context(), shared.branch, gitrepo.Hash{}, p)
	if err != nil {
		t.Fatal(err)
	}
	r.settle(shared, turn{prepared: p, made: hash}, nil)
	want(t, ask(t, h, "GET", docs+"/files?path=a&ref=main", ""), 200, `"1"`)
	commit(t, h, "m")
	want(t, ask(t, h, "GET", docs+"/files?path=a&ref=main", ""), 200, `"2"`)
}

// TestKeysSurviveARestart as trailers of their commits.
func TestKeysSurviveARestart(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	batch := batchOf(put("a", "1"), put("a/b", "1"), `{"op":"delete","path":"x"}`, put("../x", "1"), put("c", "1"),
		`{"op":"delete","path":"y"}`, put("y/z", "1"))
	send(t, h, "POST", docs+"/batch", batchOf(put("y", "1")))
	one := send(t, h, "POST", docs+"/batch", batch, headerKey, "k1")
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, "side")
	add(t, h, "a", "2")
	two := send(t, h, "POST", docs+"/commits", `{"message":"m\n\nOp-Id: 7"}`, headerKey, "k2")
	three := send(t, h, "POST", docs+"/batch?branch=side", batchOf(`{"op":"delete","path":"y/z"}`, `{"op":"delete","path":"z"}`), headerKey, "k3")
	again, err := newRepo(t.Context(), "docs", r.created, r.git, s)
	if err != nil {
		t.Fatal(err)
	}
	s.repos["docs"] = again
	for i, w := range []*httptest.ResponseRecorder{
		send(t, h, "POST", docs+"/batch", batch, headerKey, "k1"),
		send(t, h, "POST", docs+"/batch?branch=side", batchOf(`{"op":"delete","path":"y/z"}`, `{"op":"delete","path":"z"}`), headerKey, "k3"),
	} {
		before := decode[batchAnswer](t, []*httptest.ResponseRecorder{one, three}[i])
		got := decode[batchAnswer](t, w)
		if w.Code != 201 || w.Header().Get(headerReplayed) != "true" || got.Hash != before.Hash || got.Parent != before.Parent {
			t.Errorf("%d %s, before %+v", w.Code, w.Body, before)
		}
		for i, it := range got.Items {
			if was := before.Items[i]; it.Hash != was.Hash || (it.Code == "") != (was.Code == "") {
				t.Errorf("item %+v, before %+v", it, was)
			}
		}
	}
	got := decode[commitAnswer](t, send(t, h, "POST", docs+"/commits", `{"message":"m\n\nOp-Id: 7"}`, headerKey, "k2"))
	if before := decode[commitAnswer](t, two); got.Hash != before.Hash || got.Message != before.Message || got.Author != before.Author || got.Parent != before.Parent {
		t.Errorf("%+v, before %+v", got, before)
	}
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"n"}`, headerKey, "k2"), 422, "IDEMPOTENCY_MISMATCH")
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":3`)
	for _, message := range []string{"", "m", headerKey + ": ", "m\n\n" + headerKey + ": a b", "m\n\n" + headerKey + ": " + strings.Repeat("z", 64) + " " + strings.Repeat("z", 64)} {
		if _, ok := parseTrailer(message); ok {
			t.Errorf("%q has a key", message)
		}
	}
}

// TestAnotherProgramMovesTheBranch behind the service's back: nothing is built
// beside it, and the next try is built upon it.
func TestAnotherProgramMovesTheBranch(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	add(t, h, "a", "1")
	path, err := writablePath("b")
	if err != nil {
		t.Fatal(err)
	}
	push := func(content string) string {
		pushed, err := r.git.Commit(t.Context(), gitrepo.CommitInput{
			Changes: []gitrepo.Change{{Path: path, Data: []byte(content)}}, Message: "m", Author: r.author, At: time.Unix(1, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		return pushed.String()
	}
	stream := listenTo(t, h, "", "")
	pushed := push("pushed")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m"}`), 409, "BRANCH_MOVED")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m"}`), 201, `"parent":"`+pushed+`"`)
	want(t, ask(t, h, "GET", docs+"/files?path=b", ""), 200, "pushed")
	if e := stream.next(t, "commit"); e.Hash != pushed || len(e.Paths) != 1 {
		t.Errorf("of what was pushed listeners are told %+v", e)
	}
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, "side")
	want(t, send(t, h, "POST", docs+"/batch?branch=side", batchOf(put("c", "1"))), 201, "hash")
	push("again")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side"}`), 409, "BRANCH_MOVED")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side"}`), 200, `"fast_forward":false`)
}
