package govcd

import (
	"net/http"
	"strings"
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
// segment, and {name} at the end one or more.
type route struct {
	method, pattern string
	serve           handler
	// stream: the answer has no end of its own, and so neither the limit of
	// time nor a place among the requests that are served at once.
	stream   bool
	segments []string
}

const v2Repo = "/api/v2/repos/{id}"

func (s *Service) routes() []route {
	in := s.within
	table := []route{
		{method: http.MethodGet, pattern: "/health", serve: s.health},
		{method: http.MethodGet, pattern: "/health/live", serve: s.live},
		{method: http.MethodGet, pattern: "/health/ready", serve: s.ready},
		{method: http.MethodGet, pattern: "/version", serve: s.describe},
		{method: http.MethodGet, pattern: "/metrics", serve: s.serveMetrics},
		{method: http.MethodGet, pattern: "/api/v1/metrics", serve: s.serveMetrics},
		{method: http.MethodGet, pattern: "/api/v1/repos/{id}/log", serve: s.getLog},
		{method: http.MethodGet, pattern: "/api/v1/repos/{id}/status", serve: in(s.getStatus)},
		{method: http.MethodPost, pattern: v2Repo + "/files", serve: s.addFile},
		{method: http.MethodPut, pattern: v2Repo + "/files", serve: s.writeFile},
		{method: http.MethodGet, pattern: v2Repo + "/files", serve: in(s.getFile)},
		{method: http.MethodDelete, pattern: v2Repo + "/files", serve: in(s.deleteFile)},
		{method: http.MethodGet, pattern: v2Repo + "/folder", serve: in(s.getFolder)},
		{method: http.MethodPost, pattern: v2Repo + "/folders", serve: s.getFolders},
		{method: http.MethodGet, pattern: v2Repo + "/tree", serve: in(s.getTree)},
		{method: http.MethodPost, pattern: v2Repo + "/commits", serve: s.postCommit},
		{method: http.MethodGet, pattern: v2Repo + "/commits", serve: s.getLog},
		{method: http.MethodPost, pattern: v2Repo + "/batch", serve: s.postBatch},
		{method: http.MethodGet, pattern: v2Repo + "/status", serve: in(s.getStatus)},
		{method: http.MethodPost, pattern: v2Repo + "/branches", serve: in(s.postBranch)},
		{method: http.MethodPost, pattern: v2Repo + "/merge", serve: in(s.postMerge)},
		{method: http.MethodGet, pattern: v2Repo + "/tags", serve: in(s.getTags)},
		{method: http.MethodPost, pattern: v2Repo + "/tags", serve: in(s.postTag)},
		{method: http.MethodDelete, pattern: v2Repo + "/tags/{name}", serve: s.deleteTag},
		{method: http.MethodGet, pattern: v2Repo + "/diff", serve: in(s.getDiff)},
		{method: http.MethodGet, pattern: v2Repo + "/search", serve: in(s.getSearch)},
		{method: http.MethodGet, pattern: v2Repo + "/events", serve: s.getEvents, stream: true},
	}
	for _, version := range []string{"v1", "v2"} {
		table = append(table,
			route{method: http.MethodPost, pattern: "/api/" + version + "/repos", serve: s.createRepo},
			route{method: http.MethodGet, pattern: "/api/" + version + "/repos", serve: s.listRepos},
			route{method: http.MethodGet, pattern: "/api/" + version + "/repos/{id}", serve: in(s.getRepo)},
			route{method: http.MethodDelete, pattern: "/api/" + version + "/repos/{id}", serve: s.deleteRepo},
			route{method: http.MethodGet, pattern: "/api/" + version + "/repos/{id}/branches", serve: in(s.getBranches)},
			route{method: http.MethodDelete, pattern: "/api/" + version + "/repos/{id}/branches/{name}", serve: s.deleteBranch})
	}
	for i := range table {
		table[i].segments = strings.Split(table[i].pattern, "/")
	}
	return table
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
		if r.segments[i] == "{id}" && segment != "" {
			t.id = segment
		} else if r.segments[i] != segment {
			return t, false
		}
	}
	return t, true
}
