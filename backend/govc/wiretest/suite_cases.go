package wiretest

import (
	"net/http"
	"slices"
)

const (
	folder  = "documents/article/2025/08/8f14e45f/"
	content = `{"path": "` + folder + `content.txt", "content": "hello\nworld\n"}`
	text    = folder + "content.txt"

	v1, v2 = "/api/v1/repos", "/api/v2/repos"
	d1, d2 = v1 + "/docs", v2 + "/docs"
)

func get(v1, v2 string) (Request, Request) { return ask(http.MethodGet, v1, v2, "") }

func ask(method, v1, v2, body string) (Request, Request) {
	one, two := Request{method, v1, body}, Request{method, v2, body}
	if v1 == "" {
		one = Request{}
	}
	if v2 == "" {
		two = Request{}
	}
	return one, two
}

func post(v1, v2, body string) (Request, Request) { return ask(http.MethodPost, v1, v2, body) }

// c makes a case of what post and get return.
func c(name string, want Shape) func(v1, v2 Request) Case {
	return func(v1, v2 Request) Case { return Case{Name: name, V1: v1, V2: v2, Want: want} }
}

func ok(fields ...string) Shape { return Shape{Status: []int{http.StatusOK}, Fields: fields} }

func made(fields ...string) Shape {
	return Shape{Status: []int{http.StatusCreated, http.StatusOK}, Fields: fields}
}

func refusal(status int, code string) Shape { return Shape{Status: []int{status}, Code: code} }

// Suite is what any govc answers, beginning with an empty one: the requests
// are recorded ones, in their order, so that a replay of the record can be
// asked them.
func Suite() []Case {
	return slices.Concat(tellCases(), repoCases(), emptyCases(), writeCases(), refusalCases(), authorCases(), deleteCases())
}

// tellCases: what the service itself says.
func tellCases() []Case {
	const tell = "/version"
	return []Case{
		c("version", ok("version"))(get(tell, tell)),
		c("alive", Shape{Status: []int{200}, Is: map[string]any{"status": "alive"}})(get("/health/live", "/health/live")),
		c("health", ok("status", "version", "uptime", "checks"))(get("/health", "/health")),
		c("probe of NEW", refusal(400, "INVALID_LIMIT"))(get("", v1+"/no-such-repo/log?limit=0")),
		c("probe of LEGACY", refusal(404, "REPO_NOT_FOUND"))(get(v1+"/no-such-repo/log?limit=0", "")),
		c("no such route", refusal(404, "ENDPOINT_NOT_FOUND"))(get("/nope", "/nope")),
		c("no HEAD", Shape{Status: []int{404}})(ask(http.MethodHead, "", "/health", "")),
	}
}

// repoCases: what repositories are.
func repoCases() []Case {
	return []Case{
		c("create", made("id", "path", "current_branch", "created_at"))(post(v1, v2, `{"id": "docs"}`)),
		c("create again", refusal(409, "REPO_EXISTS"))(post("", v2, `{"id": "docs"}`)),
		c("create again, in memory", refusal(409, "REPO_EXISTS"))(post(v1, "", `{"id": "docs", "memory_only": true}`)),
		c("create without id", refusal(400, "INVALID_REQUEST"))(post("", v2, `{}`)),
		c("create from no JSON", refusal(400, "INVALID_REQUEST"))(post("", v2, `{bad`)),
		c("create with a space", refusal(400, "INVALID_REPO_ID"))(post("", v2, `{"id": "has space"}`)),
		c("create what is reserved", refusal(400, "INVALID_REPO_ID"))(post("", v2, `{"id": "metrics"}`)),
		c("repositories", ok("count", "repositories"))(get(v1, v2)),
		c("repository", Shape{Status: []int{200}, Is: map[string]any{"id": "docs"}})(get(d1, d2)),
		c("no such repository", refusal(404, "REPO_NOT_FOUND"))(get(v1+"/missing", v2+"/missing")),
	}
}

// emptyCases: what an empty repository answers.
func emptyCases() []Case {
	return []Case{
		c("empty log", ok("commits", "total|count"))(get(d1+"/log", d2+"/commits")),
		c("empty status", Shape{Status: []int{200}, Is: map[string]any{"clean": true}})(get(d1+"/status", d2+"/status")),
		c("empty tree", Shape{Status: []int{200}, Fields: []string{"entries"}, Is: map[string]any{"total": 0.0}})(get(d1+"/tree/", d2+"/tree")),
		c("missing file", refusal(404, "FILE_NOT_FOUND"))(get("", d2+"/files?path=a")),
		c("nothing to commit", refusal(400, "COMMIT_FAILED"))(post("", d2+"/commits", `{"message": "empty"}`)),
		c("an empty commit", Shape{Status: []int{201}, Fields: []string{"hash"}})(post(d1+"/commit", "", `{"message": "empty"}`)),
	}
}

// writeCases: what is added, committed and read back.
func writeCases() []Case {
	hello := Shape{Status: []int{http.StatusOK}, Is: map[string]any{"path": text, "content": "hello\nworld\n", "encoding": "utf-8", "size": 12.0}}
	commit := Shape{Status: []int{http.StatusCreated}, Fields: []string{"hash", "timestamp"}, Is: map[string]any{"author": "Ann", "email": "ann@example.org"}}
	return []Case{
		c("add", made("status"))(post("", d2+"/files", `{"path": "`+folder+`metadata.json", "content": "{\"id\":\"8f14e45f\"}"}`)),
		c("add, v1", made("status"))(post(d1+"/add", "", `{"path": "`+folder+`metadata.json", "content": "{\"id\":1}"}`)),
		c("add another", made("status"))(post(d1+"/add", d2+"/files", content)),
		c("status of staged files", Shape{Status: []int{200}, Fields: []string{"staged"}, Is: map[string]any{"clean": false}})(get(d1+"/status", d2+"/status")),
		c("read what is staged", hello)(get(d1+"/read/"+text, d2+"/files?path="+text)),
		c("commit", commit)(post("", d2+"/commits", `{"message": "add 8f14e45f", "author": "Ann", "email": "ann@example.org"}`)),
		c("commit, v1", commit)(post(d1+"/commit", "", `{"message": "add doc", "author": "Ann", "email": "ann@example.org"}`)),
		c("read what is committed", hello)(get(d1+"/read/"+text, d2+"/files?path="+text)),
		c("missing file, v1", refusal(404, "FILE_NOT_FOUND"))(get(d1+"/read/nope", "")),
		c("read of no path", refusal(400, "INVALID_PATH"))(get(d1+"/read/", "")),
		c("read in no repository", refusal(404, "REPO_NOT_FOUND"))(get(v1+"/missing/read/x", "")),
		c("tree of everything", Shape{Status: []int{200}, Fields: []string{"entries", "files"}, Is: map[string]any{"total": 2.0}})(get(d1+"/tree/?recursive=true", "")),
		c("tree of nothing", Shape{Status: []int{200}, Is: map[string]any{"total": 0.0}})(get(d1+"/tree/nope", "")),
		c("log", ok("commits", "total|count"))(get(d1+"/log", d2+"/commits")),
		c("limit 0", refusal(400, "INVALID_LIMIT"))(get(d1+"/log?limit=0", "")),
		c("clean status", Shape{Status: []int{200}, Is: map[string]any{"clean": true}})(get(d1+"/status", d2+"/status")),
		c("tree", ok("entries", "total"))(get("", d2+"/tree")),
	}
}

// refusalCases: what no service takes.
func refusalCases() []Case {
	return []Case{
		c("empty content", refusal(400, "INVALID_REQUEST"))(post("", d2+"/files", `{"path": "a.txt", "content": ""}`)),
		c("empty content, v1", refusal(400, "INVALID_REQUEST"))(post(d1+"/add", "", `{"path": "e", "content": ""}`)),
		c("no content", refusal(400, "INVALID_REQUEST"))(post("", d2+"/files", `{"path": "a.txt"}`)),
		c("no path", refusal(400, "INVALID_REQUEST"))(post("", d2+"/files", `{"content": "x"}`)),
		c("path that leaves", refusal(400, "INVALID_FILE_PATH"))(post("", d2+"/files", `{"path": "a/../../x", "content": "x"}`)),
		c("absolute path", refusal(400, "INVALID_FILE_PATH"))(post("", d2+"/files", `{"path": "/etc/abs.txt", "content": "x"}`)),
		c("hidden path", refusal(400, "INVALID_FILE_PATH"))(post("", d2+"/files", `{"path": ".hidden", "content": "x"}`)),
		c("add from no JSON", refusal(400, "INVALID_REQUEST"))(post(d1+"/add", "", `{bad`)),
		c("add in no repository", refusal(404, "REPO_NOT_FOUND"))(post(v1+"/missing/add", "", `{"path": "x", "content": "x"}`)),
		c("read without a path", refusal(400, "MISSING_PATH"))(get("", d2+"/files")),
		c("read of a folder", refusal(404, "FILE_NOT_FOUND"))(get("", d2+"/files?path=documents%2Farticle")),
	}
}

// authorCases: what authors and messages are.
func authorCases() []Case {
	return []Case{
		c("create another", made("id"))(post("", v2, `{"id": "ow"}`)),
		c("add k", made("status"))(post("", v2+"/ow/files", `{"path": "k", "content": "v1"}`)),
		c("commit k", Shape{Status: []int{201}, Is: map[string]any{"author": "A", "email": "a@b.c"}})(post("", v2+"/ow/commits", `{"message": "v1", "author": "A", "email": "a@b.c"}`)),
		c("change k", made("status"))(post("", v2+"/ow/files", `{"path": "k", "content": "v2"}`)),
		c("commit as whoever was last", Shape{Status: []int{201}, Fields: []string{"parent"}, Is: map[string]any{"author": "A"}})(post("", v2+"/ow/commits", `{"message": "v2"}`)),
		c("add the same again", made("status"))(post("", v2+"/ow/files", `{"path": "k", "content": "v3"}`)),
		c("empty message", refusal(400, "INVALID_REQUEST"))(post("", v2+"/ow/commits", `{"message": ""}`)),
		c("email that is none", refusal(400, "INVALID_EMAIL"))(post("", v2+"/ow/commits", `{"message": "x", "email": "nope"}`)),
		c("message beyond ASCII", refusal(400, "INVALID_COMMIT_MESSAGE"))(post("", v2+"/ow/commits", `{"message": "ünï"}`)),
		c("commit in no repository", refusal(404, "REPO_NOT_FOUND"))(post("", v2+"/missing/commits", `{"message": "x"}`)),
	}
}

// deleteCases: what LEGACY deletes.
func deleteCases() []Case {
	return []Case{
		c("add to delete", made("status"))(post(d1+"/add", "", `{"path": "k", "content": "v1"}`)),
		c("commit to delete", Shape{Status: []int{201}})(post(d1+"/commit", "", `{"message": "k1"}`)),
		c("delete", made("status"))(ask(http.MethodDelete, d1+"/remove/k", "", "")),
		c("commit the delete", Shape{Status: []int{201}})(post(d1+"/commit", "", `{"message": "rm k"}`)),
		c("read what is deleted", refusal(404, "FILE_NOT_FOUND"))(get(d1+"/read/k", "")),
		c("delete what is not there", made("status"))(ask(http.MethodDelete, d1+"/remove/never", "", "")),
	}
}
