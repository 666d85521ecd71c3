package govcd

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// send is ask with headers, given as name, value, name, value.
func send(t testing.TB, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) (out T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v: %.300s", err, w.Body)
	}
	return out
}

// batchOf is the body of a batch of items in JSON.
func batchOf(items ...string) string {
	return `{"message":"m","author":"A","email":"a@b.c","items":[` + strings.Join(items, ",") + `]}`
}

func put(path, content string) string {
	return fmt.Sprintf(`{"op":"put","path":%q,"content":%q}`, path, content)
}

func TestBatch(t *testing.T) {
	h := withRepo(t, Options{})
	first := send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "one"), put("d/b", ""), put("e", "three")))
	want(t, first, 201, `"hash"`)
	made := decode[batchAnswer](t, first)
	if made.Parent != "" || len(made.Items) != 3 {
		t.Fatalf("%+v", made)
	}
	for i, content := range []string{"one", "", "three"} {
		if got := made.Items[i].Hash; got != blobHash([]byte(content)).String() {
			t.Errorf("item %d is stored as %s", i, got)
		}
	}
	second := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch",
		batchOf(`{"op":"delete","path":"d"}`, put("d", "a file now"), `{"op":"put","path":"bin","content":"AAEC/w==","encoding":"base64"}`)))
	if second.Parent != made.Hash || second.Items[0].Hash != "" || second.Items[2].Hash != blobHash([]byte{0, 1, 2, 255}).String() {
		t.Errorf("%+v", second)
	}
	want(t, ask(t, h, "GET", docs+"/files?path=d", ""), 200, "a file now")
	want(t, ask(t, h, "GET", docs+"/files?path=bin", ""), 200, `"content":"AAEC/w==","encoding":"base64"`)
	log := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits", ""))
	if log.Total != 2 || log.Commits[0].Hash != second.Hash || log.Commits[0].Author != "A" || log.Commits[0].Message != "m" {
		t.Errorf("%+v", log)
	}
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"clean":true`)
}

// TestBatchItems: what cannot be made is left out and says why; its group with
// it, and nothing else.
func TestBatchItems(t *testing.T) {
	h := withRepo(t, Options{})
	one, two := blobHash([]byte("1")).String(), blobHash([]byte("2")).String()
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"), put("dir/x", "1"), put("dir/y", "1"), put("f", "1"))), 201, "hash")
	type entry struct{ item, code string }
	of := func(fields string) string { return "{" + fields + "}" }
	for name, c := range map[string][]entry{
		"bad items": {
			{of(`"op":"put","path":"../x","content":"c"`), "INVALID_FILE_PATH"},
			{of(`"op":"put","path":".git/x","content":"c"`), "INVALID_FILE_PATH"},
			{of(`"op":"put","path":"","content":"c"`), "INVALID_FILE_PATH"},
			{of(`"op":"put","path":"n"`), "INVALID_REQUEST"},
			{of(`"op":"move","path":"n","content":"c"`), "INVALID_REQUEST"},
			{of(`"op":"put","path":"n","content":"c","encoding":"utf-7"`), "INVALID_REQUEST"},
			{of(`"op":"put","path":"n","content":"!","encoding":"base64"`), "INVALID_REQUEST"},
			{of(`"op":"put","path":"n","content":"c","if_match":"short"`), "INVALID_PRECONDITION"},
			{of(`"op":"delete","path":"nowhere"`), "FILE_NOT_FOUND"},
			{put("good", "c"), ""},
		},
		"conditions": {
			{of(`"op":"put","path":"a","content":"2","if_match":"` + one + `"`), ""},
			{of(`"op":"put","path":"f","content":"2","if_match":"` + two + `"`), "PRECONDITION_FAILED"},
			{of(`"op":"put","path":"f","content":"2","if_match":""`), "PRECONDITION_FAILED"},
			{of(`"op":"put","path":"n","content":"2","if_match":""`), ""},
			{of(`"op":"put","path":"m","content":"2","if_match":"*"`), "PRECONDITION_FAILED"},
			{of(`"op":"delete","path":"dir","if_match":"` + one + `"`), "PRECONDITION_FAILED"},
			{of(`"op":"delete","path":"dir/x","if_match":"` + one + `"`), ""},
		},
		"places": {
			{put("a/b", "c"), "INVALID_FILE_PATH"},
			{put("dir", "c"), "INVALID_FILE_PATH"},
			{put("n/a", "c"), ""},
			{put("n", "c"), "INVALID_FILE_PATH"},
			{put("n/a/b", "c"), "INVALID_FILE_PATH"},
			{put("n/a", "c"), "DUPLICATE_PATH"},
			{of(`"op":"delete","path":"n"`), "DUPLICATE_PATH"},
			{of(`"op":"delete","path":"a"`), ""},
			{of(`"op":"delete","path":"a"`), "DUPLICATE_PATH"},
			{put("a/b", "c"), ""},
			{of(`"op":"delete","path":"dir"`), ""},
			{of(`"op":"delete","path":"dir/x"`), "FILE_NOT_FOUND"},
			{put("dir", "c"), ""},
		},
		"groups": {
			{of(`"op":"put","path":"g1","content":"c","group":"g"`), "GROUP_FAILED"},
			{of(`"op":"put","path":"h1","content":"c","group":"h"`), ""},
			{of(`"op":"put","path":"g2","content":"c","group":"g","if_match":"*"`), "PRECONDITION_FAILED"},
			{of(`"op":"put","path":"g3","content":"c","group":"g"`), "GROUP_FAILED"},
			{of(`"op":"put","path":"b1","content":"c","group":"bad"`), "GROUP_FAILED"},
			{of(`"op":"nothing","path":"b2","group":"bad"`), "INVALID_REQUEST"},
			{put("alone", "c"), ""},
		},
		// What a group deletes, only the group may build upon: it may fail later.
		"groups and places": {
			{of(`"op":"delete","path":"a","group":"g"`), "GROUP_FAILED"},
			{put("a/b", "c"), "INVALID_FILE_PATH"},
			{of(`"op":"put","path":"a/c","content":"c","group":"h"`), "INVALID_FILE_PATH"},
			{of(`"op":"put","path":"a/d","content":"c","group":"g"`), "GROUP_FAILED"},
			{of(`"op":"delete","path":"nowhere","group":"g"`), "FILE_NOT_FOUND"},
			{of(`"op":"delete","path":"f","group":"i"`), ""},
			{of(`"op":"put","path":"f/d","content":"c","group":"i"`), ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tip := decode[logAnswer](t, ask(t, h, "GET", docs+"/commits?limit=1", "")).Commits[0].Hash
			want(t, ask(t, h, "POST", docs+"/branches", `{"name":"`+strings.ReplaceAll(name, " ", "-")+`"}`), 201, tip)
			var items []string
			for _, e := range c {
				items = append(items, e.item)
			}
			w := send(t, h, "POST", docs+"/batch?branch="+strings.ReplaceAll(name, " ", "-"), batchOf(items...))
			want(t, w, 201, `"parent":"`+tip+`"`)
			for i, told := range decode[batchAnswer](t, w).Items {
				if told.Code != c[i].code || (told.Code == "") != (told.Error == "") {
					t.Errorf("%s: %q %s", c[i].item, told.Code, told.Error)
				}
			}
		})
	}
	none := send(t, h, "POST", docs+"/batch", batchOf(put("a/b", "c"), `{"op":"delete","path":"nowhere"}`))
	want(t, none, 409, `"code":"BATCH_FAILED","items":[{"path":"a/b"`)
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":1`)
}

func TestBatchLimits(t *testing.T) {
	h := withRepo(t, Options{})
	many := func(n int) string {
		items := make([]string, n)
		for i := range items {
			items[i] = put(fmt.Sprintf("d/%d", i), "x")
		}
		return batchOf(items...)
	}
	want(t, send(t, h, "POST", docs+"/batch", many(MaxBatch+1)), 400, "INVALID_REQUEST")
	want(t, send(t, h, "POST", docs+"/batch", many(MaxBatch)), 201, "hash")
	want(t, send(t, h, "POST", docs+"/batch", batchOf()), 400, "1 to 4096 items")
	want(t, send(t, h, "POST", docs+"/batch", `{"message":"m"}`), 400, "BatchRequest.Items")
	want(t, send(t, h, "POST", docs+"/batch", `{"items":[{}]}`), 400, "BatchRequest.Message")
	want(t, send(t, h, "POST", docs+"/batch", `{"message":"\u0000","items":[{}]}`), 400, "INVALID_COMMIT_MESSAGE")
	want(t, send(t, h, "POST", "/api/v2/repos/nowhere/batch", batchOf(put("a", "b"))), 404, "REPO_NOT_FOUND")
	want(t, send(t, h, "POST", docs+"/batch?branch=nowhere", batchOf(put("a", "b"))), 404, "BRANCH_NOT_FOUND")
	tree := decode[struct{ Total int }](t, ask(t, h, "GET", docs+"/tree?recursive=true", ""))
	if tree.Total != MaxBatch {
		t.Errorf("%d files", tree.Total)
	}
}

func pack(t testing.TB, body string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPackedBatch(t *testing.T) {
	h := withRepo(t, Options{})
	gz := func(body string) *httptest.ResponseRecorder {
		return send(t, h, "POST", docs+"/batch", body, "Content-Encoding", "gzip", "Content-Type", "application/json")
	}
	want(t, gz(pack(t, batchOf(put("a", "packed")))), 201, "hash")
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, "packed")
	want(t, gz(batchOf(put("a", "b"))), 400, "INVALID_REQUEST")
	want(t, gz(pack(t, batchOf(put("a", "b")))[:30]), 400, "INVALID_REQUEST")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "b")), "Content-Encoding", "br"), 415, "UNSUPPORTED_CONTENT_ENCODING")
	want(t, send(t, h, "POST", docs+"/files", pack(t, `{"path":"a","content":"b"}`), "Content-Encoding", "gzip"), 400, "INVALID_REQUEST")
	// Packed parts that follow each other are one body.
	full := strings.Repeat(pack(t, strings.Repeat("x", MaxUnpacked/64)), 64)
	want(t, gz(full), 400, "invalid character")
	want(t, gz(full+pack(t, "x")), 413, "REQUEST_TOO_LARGE")
}

// TestPackedBodiesTakeAPlace: a small body can become a large one.
func TestPackedBodiesTakeAPlace(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
	r.Header.Set("Content-Encoding", "gzip")
	s := newService(t, Options{})
	leave, err := s.place(t.Context(), r)
	if err != nil || len(s.bodies) != 1 {
		t.Errorf("%d places are taken, %v", len(s.bodies), err)
	}
	leave()
}

// TestBatchIsChargedForWhatItKeeps: no more, no less.
func TestBatchIsChargedForWhatItKeeps(t *testing.T) {
	s := newService(t, Options{MaxBytes: 16 * 2 * commitCost})
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a/b", "1"), `{"op":"delete","path":"x"}`)), 201, "hash")
	kept := s.stored.Load()
	if least := costOfFile("a/b", []byte("1")) + commitCost; kept < least || kept > least+100 {
		t.Errorf("%d bytes are counted, want %d and a little", kept, least)
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 409, "BATCH_FAILED")
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("b", strings.Repeat("x", 16*2*commitCost)))), 507, "STORAGE_FULL")
	if now := s.stored.Load(); now != kept {
		t.Errorf("batches without a commit changed the count from %d to %d", kept, now)
	}
	want(t, ask(t, h, "DELETE", docs, ""), 200, "deleted")
	if now := s.stored.Load(); now != 0 {
		t.Errorf("an empty service counts %d bytes", now)
	}
}

// FuzzBatch sends any items: the answer is of the wire, and what it says of
// them is true.
func FuzzBatch(f *testing.F) {
	f.Add("put", "a", "b", "", "", "", "put", "a/b")
	f.Add("delete", "d", "", "", "", "g", "put", "d")
	f.Add("put", "d/e", "AA==", "base64", "*", "g", "delete", "d")
	f.Add("put", "../x", "\xff", "utf-8", strings.Repeat("0", 40), "", "move", "")
	f.Fuzz(func(t *testing.T, op, path, content, encoding, match, group, op2, path2 string) {
		h := withRepo(t, Options{})
		want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d/e", "1"), put("d/f", "2"))), 201, "hash")
		items := []BatchItem{
			{Op: op, Path: path, Content: &content, Encoding: encoding, Match: &match, Group: group},
			{Op: op2, Path: path2, Content: &content, Group: group},
			{Op: "delete", Path: "d/f"},
		}
		body, err := json.Marshal(BatchRequest{Message: "m", Items: items})
		if err != nil {
			t.Fatal(err)
		}
		w := send(t, h, "POST", docs+"/batch", string(body))
		if w.Code != 201 && w.Code != 409 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		made := decode[batchAnswer](t, w)
		for i, told := range made.Items {
			if told.Code != "" || items[i].Op != "put" {
				continue
			}
			p, err := writablePath(told.Path)
			if err != nil {
				t.Fatalf("took %q: %v", told.Path, err)
			}
			sent := []byte(string([]rune(content))) // as JSON carries what is no text
			if items[i].Encoding == "base64" {
				if sent, err = base64.StdEncoding.DecodeString(content); err != nil {
					t.Fatalf("took %q as base64", content)
				}
			}
			got := ask(t, h, "GET", docs+"/files?path="+queryEscape(p.String()), "")
			if tag := got.Header().Get("ETag"); got.Code != 200 || tag != `"`+told.Hash+`"` || told.Hash != blobHash(sent).String() {
				t.Fatalf("%q: %d %s, stored as %s", told.Path, got.Code, tag, told.Hash)
			}
		}
	})
}

// TestACommitThatFailsIsNotCounted: neither a batch, nor what was staged.
func TestACommitThatFailsIsNotCounted(t *testing.T) {
	s := newService(t, Options{})
	h := s.Handler()
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.git.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 500, "INTERNAL_ERROR")
	if n := s.stored.Load(); n != 0 {
		t.Errorf("a batch that failed left %d bytes counted", n)
	}
	add(t, h, "a", "1")
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`), 500, "INTERNAL_ERROR")
	if n := s.stored.Load(); n != costOfFile("a", []byte("1")) {
		t.Errorf("a commit that failed left %d bytes counted", n)
	}
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `"staged":["a"]`)
}
