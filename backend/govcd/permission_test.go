package govcd

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

// grantee is who asks, in the order of the columns of permitted.
type grantee int

const (
	asNobody  grantee = iota // no credential
	asWrong                  // one that is none
	asOther                  // admin at another repository
	asReader                 // read at the repository
	asWriter                 // write
	asAdmin                  // admin
	asService                // admin of everything
	grantees
)

// answers are the statuses for all grantees.
type answers [grantees]int

// The usual rows. A row is for routes that succeed with that status.
func toAll(status int) answers {
	return answers{status, status, status, status, status, status, status}
}

func toKnown(status int) answers {
	return answers{401, 401, status, status, status, status, status}
}

func toReaders(status int) answers {
	return answers{401, 401, 403, status, status, status, status}
}

func toWriters(status int) answers {
	return answers{401, 401, 403, 403, status, status, status}
}

func toAdmins(status int) answers {
	return answers{401, 401, 403, 403, 403, status, status}
}

func toService(status int) answers {
	return answers{401, 401, 403, 403, 403, 403, status}
}

// permit is one row: how a route is asked so that it succeeds, and what who is
// answered.
type permit struct {
	query, body string
	want        answers
}

// permitted has a row for every route; what is in no table may not be served.
// It is written by hand, so that it does not repeat what the routes say.
var permitted = map[string]permit{
	"GET /health":               {"", "", toAll(200)},
	"GET /health/live":          {"", "", toAll(200)},
	"GET /health/ready":         {"", "", toAll(200)},
	"GET /version":              {"", "", toAll(200)},
	"POST /api/v1/auth/login":   {"", `{"username":"a","password":"b"}`, toAll(401)},
	"GET /api/v1/auth/whoami":   {"", "", toKnown(200)},
	"POST /api/v1/auth/refresh": {"", "", toKnown(200)},
	"GET /metrics":              {"", "", toService(200)},
	"GET /api/v1/metrics":       {"", "", toService(200)},

	"GET /api/v1/repos":                         {"", "", toKnown(200)},
	"GET /api/v2/repos":                         {"", "", toKnown(200)},
	"POST /api/v1/repos":                        {"", `{"id":"docs"}`, toAdmins(409)},
	"POST /api/v2/repos":                        {"", `{"id":"docs"}`, toAdmins(409)},
	"GET /api/v1/repos/{id}":                    {"", "", toReaders(200)},
	"GET /api/v2/repos/{id}":                    {"", "", toReaders(200)},
	"DELETE /api/v1/repos/{id}":                 {"", "", toAdmins(200)},
	"DELETE /api/v2/repos/{id}":                 {"", "", toAdmins(200)},
	"GET /api/v1/repos/{id}/branches":           {"", "", toReaders(200)},
	"GET /api/v2/repos/{id}/branches":           {"", "", toReaders(200)},
	"DELETE /api/v1/repos/{id}/branches/{name}": {"", "", toWriters(200)},
	"DELETE /api/v2/repos/{id}/branches/{name}": {"", "", toWriters(200)},
	"GET /api/v1/repos/{id}/log":                {"", "", toReaders(200)},
	"GET /api/v1/repos/{id}/status":             {"", "", toReaders(200)},

	"POST /api/v2/repos/{id}/files":         {"", `{"path":"new","content":"x"}`, toWriters(201)},
	"PUT /api/v2/repos/{id}/files":          {"", `{"path":"new","content":"x"}`, toWriters(201)},
	"GET /api/v2/repos/{id}/files":          {"path=d/a", "", toReaders(200)},
	"DELETE /api/v2/repos/{id}/files":       {"path=d/a", "", toWriters(200)},
	"GET /api/v2/repos/{id}/folder":         {"path=d", "", toReaders(200)},
	"POST /api/v2/repos/{id}/folders":       {"", `{"paths":["d"]}`, toReaders(200)},
	"GET /api/v2/repos/{id}/tree":           {"recursive=true", "", toReaders(200)},
	"POST /api/v2/repos/{id}/commits":       {"", `{"message":"m"}`, toWriters(201)},
	"GET /api/v2/repos/{id}/commits":        {"", "", toReaders(200)},
	"POST /api/v2/repos/{id}/batch":         {"", batchOf(put("new", "x")), toWriters(201)},
	"GET /api/v2/repos/{id}/status":         {"", "", toReaders(200)},
	"POST /api/v2/repos/{id}/branches":      {"", `{"name":"new"}`, toWriters(201)},
	"POST /api/v2/repos/{id}/merge":         {"", `{"from":"x"}`, toWriters(200)},
	"GET /api/v2/repos/{id}/tags":           {"", "", toReaders(200)},
	"POST /api/v2/repos/{id}/tags":          {"", `{"name":"new"}`, toWriters(201)},
	"DELETE /api/v2/repos/{id}/tags/{name}": {"", "", toWriters(200)},
	"GET /api/v2/repos/{id}/diff":           {"from=main&to=x", "", toReaders(200)},
	"GET /api/v2/repos/{id}/search":         {"q=one", "", toReaders(200)},
	"GET /api/v2/repos/{id}/events":         {"", "", toReaders(200)},

	"GET /{id}.git/info/refs":         {"service=git-upload-pack", "", toReaders(200)},
	"POST /{id}.git/git-upload-pack":  {"", "0000", toReaders(200)},
	"POST /{id}.git/git-receive-pack": {"", "0000", toReaders(403)}, // nobody can push
}

// furnished is a service with rights and two repositories, in each a commit, a
// staged file, a branch and a tag, which are called x.
func furnished(t *testing.T) (*Service, [grantees][2]string) {
	t.Helper()
	ring, err := access.NewKeyring(config.NewSecret(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	c := unlimited(t, access.Options{Keyring: ring})
	bearer := func(scope string) string { return bearerOf(t, c, scope) }
	s := newService(t, Options{Access: c})
	all := bearer("*:admin")
	for _, repo := range []string{"docs", "other"} {
		base := "/api/v2/repos/" + repo
		for _, step := range [][2]string{
			{"/api/v2/repos", `{"id":"` + repo + `"}`},
			{base + "/batch", batchOf(put("d/a", "one"))},
			{base + "/branches", `{"name":"x"}`},
			{base + "/tags", `{"name":"x"}`},
			{base + "/files", `{"path":"d/b","content":"two"}`},
		} {
			want(t, send(t, s.Handler(), "POST", step[0], step[1], "Authorization", all), 201, "")
		}
	}
	return s, [grantees][2]string{
		{"X-Nothing", "x"},
		{"X-Api-Key", "a-key-that-is-none"},
		{"Authorization", bearer("other:admin")},
		{"Authorization", bearer("docs:read")},
		{"Authorization", bearer("docs:write")},
		{"Authorization", bearer("docs:admin")},
		{"Authorization", all},
	}
}

// TestWhoMayDoWhat asks every route as everybody. A route without a row fails.
func TestWhoMayDoWhat(t *testing.T) {
	table := newService(t, Options{}).routes()
	for _, r := range table {
		name := r.method + " " + r.pattern
		row, ok := permitted[name]
		if !ok {
			t.Errorf("%s: nobody decided who may do that; add a row to permitted", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			// From who may least to who may most: what is refused changes nothing.
			s, credentials := furnished(t)
			for who, want := range row.want {
				if want < 400 && who > 0 && r.what != "" {
					s, credentials = furnished(t)
				}
				got, text := askRoute(s, r, "docs", row, credentials[who])
				if got != want {
					t.Errorf("grantee %d: %d, want %d: %.200s", who, got, want, text)
				}
			}
			if r.guard != atRepo {
				return
			}
			// Who may not read it does not learn whether there is such a repository.
			for who, credential := range credentials {
				got, text := askRoute(s, r, "none", row, credential)
				_, there := askRoute(s, r, "docs", row, credential)
				want := row.want[who]
				switch {
				case want == 403: // of nobody at all, too
				case grantee(who) == asService:
					want = 404
				case want < 400:
					want = 403
				}
				if got != want || want == 401 && text != there {
					t.Errorf("grantee %d at a repository that is not there: %d, want %d: %s, else %s", who, got, want, text, there)
				}
			}
		})
	}
	if len(table) != len(permitted) {
		for name := range permitted {
			method, pattern, _ := strings.Cut(name, " ")
			if found, _ := match(table, method, strings.NewReplacer("{id}", "docs", "{name}", "x").Replace(pattern)); found == nil {
				t.Errorf("there is no route %s", name)
			}
		}
	}
}

// askRoute asks a route of one repository, and gives up what has no end at once.
func askRoute(s *Service, r route, repo string, row permit, credential [2]string) (status int, text string) {
	path := strings.NewReplacer("{id}", repo, "{name}", "x").Replace(r.pattern)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if r.stream && !r.git {
		cancel()
	}
	w := newTaken()
	request, err := http.NewRequestWithContext(ctx, r.method, path+"?"+row.query, strings.NewReader(row.body))
	if err != nil {
		return 0, err.Error()
	}
	if r.git {
		request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	}
	request.RemoteAddr = "192.0.2.1:1"
	request.Header.Set(credential[0], credential[1])
	s.Handler().ServeHTTP(w, request)
	return w.status, w.text.String()
}

// taken is an answer and its text.
type taken struct {
	discard
	text strings.Builder
}

func newTaken() *taken { return &taken{discard: discard{header: http.Header{}, status: http.StatusOK}} }

func (k *taken) Write(p []byte) (int, error) { return k.text.Write(p) }

// TestAKeyMayDoWhatATokenMay, and the admin key everything: one row each.
func TestAKeyMayDoWhatATokenMay(t *testing.T) {
	_, c, log, _ := managed(t)
	s := newService(t, Options{Access: c, Audit: log})
	scopes, err := access.ParseScopes("docs:write team-*:admin")
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := c.Register().CreateKey(t.Context(), access.KeyRequest{Name: "ci", Scopes: scopes})
	if err == nil {
		err = c.Reload()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range [][2]string{{"X-Api-Key", secret.Reveal()}, {"Authorization", "Bearer " + secret.Reveal()}} {
		for i, step := range []struct {
			method, path, body string
			status             int
		}{
			{"POST", "/api/v2/repos", `{"id":"docs"}`, 403},
			{"POST", "/api/v2/repos", `{"id":"team-a"}`, 201},
			{"POST", "/api/v2/repos/team-a/batch", batchOf(put("a", "1")), 201},
			{"GET", "/api/v2/repos/docs", "", 404},
			{"DELETE", "/api/v2/repos/docs", "", 403},
			{"GET", "/api/v2/repos/tea", "", 403},
			{"GET", "/api/v2/repos/team-", "", 404},
			{"GET", "/metrics", "", 403},
			{"DELETE", "/api/v2/repos/team-a", "", 200},
			{"POST", "/api/v1/auth/refresh", "", 403},
		} {
			if w := send(t, s.Handler(), step.method, step.path, step.body, header[0], header[1]); w.Code != step.status {
				t.Errorf("%s, step %d: %s", header[0], i, fmt.Sprint(w.Code, " ", w.Body))
			}
		}
	}
}
