package govcd

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/govcd/access"
)

// target is what the path of a request names.
type target struct {
	id   string // of the repository, "" if the route names none
	name string // of a branch or a tag in it
}

// handler serves one route. What it returns is answered unless it answered
// already.
type handler func(w http.ResponseWriter, r *http.Request, t target) error

// route is one row of the table of routes. In pattern, {id} matches one
// segment, {id}.git one that ends so, and {name} at the end one or more.
type route struct {
	method, pattern string
	serve           handler
	guard           guard
	need            access.Need // with atRepo, atService and ifManaged
	// what names what the route changes, for the audit; "" changes nothing that
	// outlives its answer.
	what string
	// stream: the answer has no end of its own, and so neither the limit of
	// time nor a place among the requests that are served at once.
	stream bool
	// git: git is the caller, with its own credentials, content types and way to
	// show what went wrong.
	git bool
	// framed: it takes bodies in the form of package frame.
	framed   bool
	segments []string
}

const v2Repo = "/api/v2/repos/{id}"

// routes is the table of all routes. Each says who may call it.
func (s *Service) routes() []route {
	table := slices.Concat(s.serviceRoutes(), s.repoRoutes(), s.gitRoutes())
	for _, version := range []string{"v1", "v2"} {
		repos := "/api/" + version + "/repos"
		table = append(table,
			route{method: http.MethodPost, pattern: repos, serve: s.createRepo, guard: somebody, what: "repo.create"},
			route{method: http.MethodGet, pattern: repos, serve: s.listRepos, guard: somebody},
			read(repos+"/{id}", s.within(s.getRepo)),
			route{method: http.MethodDelete, pattern: repos + "/{id}", serve: s.deleteRepo, guard: atRepo, need: access.Admin, what: "repo.delete"},
			read(repos+"/{id}/branches", s.within(s.getBranches)),
			write(http.MethodDelete, repos+"/{id}/branches/{name}", s.deleteBranch, "branch.delete"))
	}
	for i := range table {
		table[i].segments = strings.Split(table[i].pattern, "/")
	}
	return table
}

// serviceRoutes are those of no repository.
func (s *Service) serviceRoutes() []route {
	const auth = "/api/v1/auth"
	return []route{
		{method: http.MethodGet, pattern: "/health", serve: s.health, guard: anybody},
		{method: http.MethodGet, pattern: "/health/live", serve: s.live, guard: anybody},
		{method: http.MethodGet, pattern: "/health/ready", serve: s.ready, guard: anybody},
		{method: http.MethodGet, pattern: "/version", serve: s.describe, guard: anybody},
		{method: http.MethodGet, pattern: "/metrics", serve: s.serveMetrics, guard: ifManaged, need: access.Read},
		{method: http.MethodGet, pattern: "/api/v1/metrics", serve: s.serveMetrics, guard: atService, need: access.Read},
		{method: http.MethodGet, pattern: auth + "/whoami", serve: s.whoami, guard: somebody},
		{method: http.MethodPost, pattern: auth + "/refresh", serve: s.refresh, guard: somebody, what: "auth.refresh"},
		{method: http.MethodPost, pattern: auth + "/login", serve: s.login, guard: anybody},
	}
}

// repoRoutes are those of one repository that have one version.
func (s *Service) repoRoutes() []route {
	in := s.within
	events := read(v2Repo+"/events", s.getEvents)
	events.stream = true
	folders := read(v2Repo+"/folders", s.getFolders)
	folders.method = http.MethodPost // its paths are too long for a query
	batch := write(http.MethodPost, v2Repo+"/batch", s.postBatch, "batch")
	batch.framed = true
	return []route{
		read("/api/v1/repos/{id}/log", s.getLog),
		read("/api/v1/repos/{id}/status", in(s.getStatus)),
		write(http.MethodPost, v2Repo+"/files", s.addFile, "file.add"),
		write(http.MethodPut, v2Repo+"/files", s.writeFile, "file.write"),
		read(v2Repo+"/files", in(s.getFile)),
		write(http.MethodDelete, v2Repo+"/files", in(s.deleteFile), "file.delete"),
		read(v2Repo+"/folder", in(s.getFolder)),
		folders,
		read(v2Repo+"/tree", in(s.getTree)),
		write(http.MethodPost, v2Repo+"/commits", s.postCommit, "commit"),
		read(v2Repo+"/commits", s.getLog),
		batch,
		read(v2Repo+"/status", in(s.getStatus)),
		write(http.MethodPost, v2Repo+"/branches", in(s.postBranch), "branch.create"),
		write(http.MethodPost, v2Repo+"/merge", in(s.postMerge), "merge"),
		read(v2Repo+"/tags", in(s.getTags)),
		write(http.MethodPost, v2Repo+"/tags", in(s.postTag), "tag.create"),
		write(http.MethodDelete, v2Repo+"/tags/{name}", s.deleteTag, "tag.delete"),
		read(v2Repo+"/diff", in(s.getDiff)),
		read(v2Repo+"/search", in(s.getSearch)),
		events,
	}
}

// read is a route that reads the repository of its path.
func read(pattern string, serve handler) route {
	return route{method: http.MethodGet, pattern: pattern, serve: serve, guard: atRepo, need: access.Read}
}

// write is a route that changes the repository of its path.
func write(method, pattern string, serve handler, what string) route {
	return route{method: method, pattern: pattern, serve: serve, guard: atRepo, need: access.Write, what: what}
}

// match finds the route of a request by its decoded path.
func match(table []route, method, path string) (*route, target) {
	segments := strings.Split(path, "/")
	for i := range table {
		if r := &table[i]; r.method == method {
			if t, ok := r.match(segments); ok {
				return r, t
			}
		}
	}
	return nil, target{}
}

func (r *route) match(segments []string) (t target, ok bool) {
	last := len(r.segments) - 1
	if r.segments[last] == "{name}" && len(segments) > last {
		t.name = strings.Join(segments[last:], "/")
		if t.name == "" || strings.HasSuffix(t.name, "/") {
			return t, false
		}
		segments = segments[:last]
	} else if len(r.segments) != len(segments) {
		return t, false
	}
	for i, segment := range segments {
		if rest, ok := strings.CutPrefix(r.segments[i], "{id}"); ok {
			if t.id, ok = strings.CutSuffix(segment, rest); !ok || t.id == "" {
				return t, false
			}
		} else if r.segments[i] != segment {
			return t, false
		}
	}
	return t, true
}
