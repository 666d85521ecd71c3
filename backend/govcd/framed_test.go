package govcd

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// sendFrame sends a batch in the form of package frame and wants the answer in it.
func sendFrame(t testing.TB, h http.Handler, in *frame.Batch, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, "POST", docs+"/batch", string(in.Append(nil)), append([]string{"Content-Type", frame.Type, "Accept", frame.Accept}, headers...)...)
}

func madeOf(t testing.TB, w *httptest.ResponseRecorder, status int) frame.Made {
	t.Helper()
	made, err := frame.ReadMade(w.Body.Bytes())
	if err != nil || w.Code != status || w.Header().Get("Content-Type") != frame.Type || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
		t.Fatalf("%d %v: %v: %q", w.Code, w.Header(), err, w.Body)
	}
	return made
}

func framePut(path, content string) frame.Item {
	return frame.Item{Op: frame.Put, Match: frame.Anything, Path: path, Data: []byte(content)}
}

func frameOf(items ...frame.Item) *frame.Batch {
	return &frame.Batch{Message: "m", Author: "A", Email: "a@b.c", At: time.Unix(1_900_000_000, 0).UTC(), Items: items}
}

// inJSON says in JSON what a batch says.
func inJSON(t testing.TB, in *frame.Batch) string {
	t.Helper()
	out := BatchRequest{Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: in.At}
	for _, it := range in.Items {
		to := BatchItem{Op: "delete", Path: it.Path, NewFolder: it.NewFolder, Group: it.Group}
		if it.Op == frame.Put {
			content := string(it.Data)
			to.Op, to.Content = "put", &content
		}
		match := map[frame.Match]string{frame.Nothing: "", frame.Exists: "*", frame.Blob: hex.EncodeToString(it.Base[:])}
		if text, ok := match[it.Match]; ok {
			to.Match = &text
		}
		out.Items = append(out.Items, to)
	}
	body, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestBothFormsDoTheSame: the same batches in JSON and as frames make the same
// commits of two repositories, and leave out the same items for the same reasons.
func TestBothFormsDoTheSame(t *testing.T) {
	h := newService(t, Options{}).Handler()
	contents := []string{"", "one", "two", "a\x00b"}
	rapid.Check(t, func(rt *rapid.T) {
		for _, id := range []string{"docs", "other"} {
			want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`), 201, id)
		}
		defer func() {
			for _, id := range []string{"docs", "other"} {
				want(t, ask(t, h, "DELETE", "/api/v2/repos/"+id, ""), 200, "deleted")
			}
		}()
		items := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) frame.Item {
			it := frame.Item{
				Op: rapid.SampledFrom([]frame.Op{frame.Put, frame.Put, frame.Delete}).Draw(rt, "op"), NewFolder: rapid.Bool().Draw(rt, "new folder"),
				Match: rapid.SampledFrom([]frame.Match{frame.Anything, frame.Anything, frame.Nothing, frame.Exists, frame.Blob}).Draw(rt, "match"),
				Path:  rapid.SampledFrom([]string{"a", "b/a", "b/b", "a/a", "c/d/e", "../x", "", ".git/x"}).Draw(rt, "path"),
				Group: rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(rt, "group"),
			}
			if it.Match == frame.Blob {
				it.Base = blobHash([]byte(rapid.SampledFrom(contents).Draw(rt, "base")))
			}
			if it.Op == frame.Put {
				it.Data = []byte(rapid.SampledFrom(contents).Draw(rt, "content"))
			}
			return it
		}), 1, 6)
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			in := frameOf(items.Draw(rt, "items")...)
			plain := ask(t, h, "POST", "/api/v2/repos/other/batch", inJSON(t, in))
			told, got := decode[batchAnswer](t, plain), madeOf(t, sendFrame(t, h, in), plain.Code)
			if named(got.Commit) != told.Hash || named(got.Parent) != told.Parent || got.Code != told.Code || got.Error != told.Error || len(got.Items) != len(told.Items) {
				rt.Fatalf("%+v\n%+v", got, told)
			}
			for i, it := range got.Items {
				if w := told.Items[i]; named(it.Hash) != w.Hash || it.Code != w.Code || it.Error != w.Error {
					rt.Fatalf("item %d: %+v, %+v", i, it, w)
				}
			}
		}
		in := sendFolder(t, h, "b", "Accept", frame.Accept)
		if in.Code == 200 {
			got, err := frame.ReadFolder(in.Body.Bytes())
			told := decode[folderAnswer](t, sendFolder(t, h, "b"))
			if err != nil || named(got.Commit) != told.Commit || in.Header().Get("ETag") != `"`+told.Commit+`"` || len(got.Files) != len(told.Files) {
				rt.Fatalf("%+v, %v; %+v", got, err, told)
			}
			for i, f := range got.Files {
				data, err := decodeContent(told.Files[i].Content, told.Files[i].Encoding)
				if "b/"+f.Name != told.Files[i].Path || !bytes.Equal(f.Data, data) || gitrepo.Hash(f.Hash) != blobHash(data) || err != nil {
					rt.Fatalf("file %d: %+v, %+v", i, f, told.Files[i])
				}
			}
		}
	})
}

func sendFolder(t testing.TB, h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return send(t, h, "GET", docs+"/folder?path="+path, "", headers...)
}

// TestFramedRequests: conditions, keys, packed bodies and limits hold for frames
// as they do for JSON, and errors are JSON.
func TestFramedRequests(t *testing.T) {
	h := withRepo(t, Options{})
	first := madeOf(t, sendFrame(t, h, frameOf(framePut("d/a", "one"), framePut("e", "")), "Idempotency-Key", "k"), 201)
	if first.Items[0].Hash != blobHash([]byte("one")) || first.Items[1].Hash != blobHash(nil) || first.Parent != (frame.Hash{}) {
		t.Fatalf("%+v", first)
	}
	again := sendFrame(t, h, frameOf(framePut("d/a", "one"), framePut("e", "")), "Idempotency-Key", "k")
	if made := madeOf(t, again, 201); made.Commit != first.Commit || again.Header().Get(headerReplayed) != "true" || made.Items[0] != first.Items[0] {
		t.Errorf("replayed: %v, %+v", again.Header(), made)
	}
	want(t, sendFrame(t, h, frameOf(framePut("d/a", "two")), "Idempotency-Key", "k"), 422, "IDEMPOTENCY_MISMATCH")
	want(t, send(t, h, "POST", docs+"/batch", inJSON(t, frameOf(framePut("d/a", "one"), framePut("e", ""))), "Idempotency-Key", "k"), 422, "IDEMPOTENCY_MISMATCH")
	tip := `"` + hex.EncodeToString(first.Commit[:]) + `"`
	want(t, sendFrame(t, h, frameOf(framePut("x", "1")), "If-Match", `"`+strings.Repeat("0", 39)+`1"`), 412, `"code":"PRECONDITION_FAILED"`)
	want(t, sendFrame(t, h, frameOf(framePut("x", "1")), "If-None-Match", "*"), 412, "PRECONDITION_FAILED")
	second := madeOf(t, sendFrame(t, h, frameOf(framePut("x", "1")), "If-Match", tip), 201)
	if second.Parent != first.Commit {
		t.Errorf("%+v", second)
	}
	packed := send(t, h, "POST", docs+"/batch", pack(t, string(frameOf(framePut("p", strings.Repeat("p", 5000))).Append(nil))),
		"Content-Type", frame.Type, "Accept", frame.Accept, "Content-Encoding", "gzip")
	if made := madeOf(t, packed, 201); made.Items[0].Hash != blobHash([]byte(strings.Repeat("p", 5000))) {
		t.Errorf("%+v", made)
	}
	none := madeOf(t, sendFrame(t, h, frameOf(frame.Item{Op: frame.Delete, Match: frame.Anything, Path: "nowhere"})), 409)
	if none.Code != "BATCH_FAILED" || none.Items[0].Code != "FILE_NOT_FOUND" || none.Commit != (frame.Hash{}) {
		t.Errorf("%+v", none)
	}
	// Either form asks, and either form is answered.
	want(t, send(t, h, "POST", docs+"/batch", string(frameOf(framePut("j", "1")).Append(nil)), "Content-Type", frame.Type), 201, `"hash":"`)
	madeOf(t, send(t, h, "POST", docs+"/batch", batchOf(put("j", "2")), "Content-Type", "application/json", "Accept", frame.Type), 201)
	for name, c := range map[string]struct {
		in   *frame.Batch
		code string
	}{
		"no message":     {&frame.Batch{Items: []frame.Item{framePut("a", "")}}, "INVALID_REQUEST"},
		"no items":       {frameOf(), "INVALID_REQUEST"},
		"too many items": {frameOf(make([]frame.Item, MaxBatch+1)...), "INVALID_REQUEST"},
		"a long message": {&frame.Batch{Message: strings.Repeat("x", MaxMessage+1), Items: []frame.Item{framePut("a", "")}}, "INVALID_COMMIT_MESSAGE"},
		"a bad email":    {&frame.Batch{Message: "m", Email: "x", Items: []frame.Item{framePut("a", "")}}, "INVALID_EMAIL"},
	} {
		w := sendFrame(t, h, c.in)
		if want(t, w, 400, `"code":"`+c.code+`"`); !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1")), "Content-Type", frame.Type), 400, "INVALID_REQUEST")
	want(t, sendFrame(t, h, frameOf(framePut("a", strings.Repeat("x", MaxBody)))), 413, "REQUEST_TOO_LARGE")
	want(t, send(t, h, "POST", docs+"/commits", `{"message":"m"}`, "Content-Type", frame.Type), 415, "UNSUPPORTED_CONTENT_TYPE")
	want(t, send(t, h, "POST", docs+"/files", `{"path":"a","content":""}`, "Content-Type", frame.Type), 415, "UNSUPPORTED_CONTENT_TYPE")
}

// TestFramedReads: folders are read at any commit, and what is not there is told in
// JSON.
func TestFramedReads(t *testing.T) {
	h := withRepo(t, Options{})
	want(t, sendFrame(t, h, frameOf(framePut("d/b\xff", "its path is no text"))), 400, "INVALID_REQUEST")
	first := madeOf(t, sendFrame(t, h, frameOf(framePut("d/a", "one"), framePut("d/sub/c", "deeper"))), 201)
	madeOf(t, sendFrame(t, h, frameOf(framePut("d/a", "two"), framePut("f/x", "\x00\xff"))), 201)
	read := func(path string) frame.Folder {
		w := sendFolder(t, h, path, "Accept", frame.Accept)
		f, err := frame.ReadFolder(w.Body.Bytes())
		if err != nil || w.Code != 200 || w.Header().Get("Content-Type") != frame.Type {
			t.Fatalf("%d %v: %v", w.Code, w.Header(), err)
		}
		return f
	}
	if f := read("d&ref=" + hex.EncodeToString(first.Commit[:])); len(f.Files) != 1 || string(f.Files[0].Data) != "one" || f.Commit != first.Commit {
		t.Errorf("%+v", f)
	}
	if f := read("d"); len(f.Files) != 1 || f.Files[0].Name != "a" || string(f.Files[0].Data) != "two" {
		t.Errorf("%+v", f)
	}
	want(t, sendFolder(t, h, "nowhere", "Accept", frame.Accept), 404, `"code":"FILE_NOT_FOUND"`)
	want(t, sendFolder(t, h, "d&ref=nothing", "Accept", frame.Accept), 404, `"code":"REF_NOT_FOUND"`)
	want(t, sendFolder(t, h, "d", "Accept", frame.Type+";q=0"), 200, `"content":"two"`)
	w := send(t, h, "POST", docs+"/folders", `{"paths":["d","nowhere","f"]}`, "Content-Type", "application/json", "Accept", frame.Accept)
	got, err := frame.ReadFolders(w.Body.Bytes())
	if err != nil || len(got.Folders) != 2 || got.Folders[1].Path != "f" || string(got.Folders[1].Files[0].Data) != "\x00\xff" || got.Folders[1].Files[0].Hash != blobHash([]byte("\x00\xff")) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFramedBodiesAreNotShared: what one request put is not changed by the bodies
// of those after it.
func TestFramedBodiesAreNotShared(t *testing.T) {
	for name, s := range map[string]*Service{"memory": newService(t, Options{}), "disk": onDisk(t, t.TempDir())} {
		h := s.Handler()
		want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
		content := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 300+i) }
		for i := range 20 {
			madeOf(t, sendFrame(t, h, frameOf(framePut(fmt.Sprint("d/", i), content(i)))), 201)
		}
		for i := range 20 {
			w := ask(t, h, "GET", docs+fmt.Sprint("/files?path=d/", i), "")
			if got := decode[fileAnswer](t, w); got.Content != content(i) {
				t.Errorf("%s: file %d is %.40q", name, i, got.Content)
			}
		}
	}
}

// TestFramedRequestsAreGuarded: rights and the audit are those of JSON.
func TestFramedRequestsAreGuarded(t *testing.T) {
	h, c, log, bearer := managed(t)
	want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`, "Authorization", bearer("docs:admin")), 201, "docs")
	in := frameOf(framePut("a/b", "1"))
	body := string(in.Append(nil))
	ask := func(method, target, body string, headers ...string) *httptest.ResponseRecorder {
		return send(t, h, method, target, body, append([]string{"Content-Type", frame.Type, "Accept", frame.Accept}, headers...)...)
	}
	want(t, ask("POST", docs+"/batch", body), 401, `"code":"UNAUTHORIZED"`)
	want(t, ask("POST", docs+"/batch", body, "Authorization", bearer("docs:read")), 403, `"code":"FORBIDDEN"`)
	made := madeOf(t, ask("POST", docs+"/batch", body, "Authorization", bearer("docs:write")), 201)
	unsigned := &frame.Batch{Message: "whose", Items: []frame.Item{framePut("a/b", "2")}}
	madeOf(t, ask("POST", docs+"/batch", string(unsigned.Append(nil)), "Authorization", bearer("docs:write")), 201)
	newest := decode[logAnswer](t, send(t, h, "GET", docs+"/commits?limit=1", "", "Authorization", bearer("docs:read")))
	if len(newest.Commits) != 1 || newest.Commits[0].Message != "whose" || newest.Commits[0].Author != "ann" {
		t.Errorf("a commit that names nobody is not its caller's: %+v", newest)
	}
	want(t, ask("GET", docs+"/folder?path=a", "", "Authorization", bearer("other:read")), 403, `"code":"FORBIDDEN"`)
	if w := ask("GET", docs+"/folder?path=a", "", "Authorization", bearer("docs:read")); w.Code != 200 || !frame.Is(w.Header().Get("Content-Type")) {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var refs []string
	_, err := audit.Scan(c.Register().Volume, c.Register().Dir+"/"+access.AuditDir, "", func(e audit.Entry) error {
		if e.What == "batch" {
			refs = append(refs, e.Result+" "+e.Ref)
		}
		return nil
	})
	if last := "ok " + hex.EncodeToString(made.Commit[:]); err != nil || len(refs) != 4 || refs[2] != last {
		t.Errorf("%v: the audit has %q, want %q", err, refs, last)
	}
}

// FuzzFramed sends any bytes as a framed batch: it is answered, in the form that
// its status has, and nothing is our fault.
func FuzzFramed(f *testing.F) {
	f.Add(frameOf(framePut("a", "1"), framePut("b/c", "2")).Append(nil), false)
	f.Add(frameOf(frame.Item{Op: frame.Delete, Match: frame.Exists, Path: "a", Group: "g"}, frame.Item{Op: frame.Put, Match: frame.Blob, Path: "a", Group: "g"}).Append(nil), true)
	f.Add([]byte("CF\x01b"), false)
	h := withRepo(f, Options{})
	f.Fuzz(func(t *testing.T, body []byte, packed bool) {
		headers := []string{"Content-Type", frame.Type, "Accept", frame.Accept}
		sent := string(body)
		if packed {
			sent = pack(t, sent)
			headers = append(headers, "Content-Encoding", "gzip")
		}
		w := send(t, h, "POST", docs+"/batch", sent, headers...)
		in, malformed := frame.ReadBatch(body)
		switch w.Code {
		case 201, 409:
			made := madeOf(t, w, w.Code)
			if malformed != nil || len(made.Items) != len(in.Items) {
				t.Fatalf("%v, %+v", malformed, made)
			}
			for i, it := range made.Items {
				if stored := it.Hash != (frame.Hash{}); stored != (it.Code == "" && in.Items[i].Op == frame.Put) || stored && it.Hash != blobHash(in.Items[i].Data) {
					t.Fatalf("item %d: %+v", i, it)
				}
			}
		case 400, 413, 507:
			want(t, w, w.Code, `"code":"`)
		default:
			t.Fatalf("it answers %d %s", w.Code, w.Body)
		}
	})
}
