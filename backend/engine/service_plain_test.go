package engine_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/govcd"
)

// plain serves no more than any govc does: it announces no capability, lists
// one level, answers a delete without deleting, and knows none of our routes.
func plain(next http.Handler) http.Handler {
	refuse := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // a client that is gone reads nothing
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		query := r.URL.Query()
		switch {
		case last == "version":
			refuse(w, http.StatusOK, `{"build_time":"development","git_commit":"unknown","go_version":"go1.26","version":"1.0.0-dev"}`)
			return
		case last == "folder", last == "folders":
			refuse(w, http.StatusNotFound, `{"error":"endpoint not found","code":"ENDPOINT_NOT_FOUND"}`)
			return
		case r.Method == http.MethodDelete && last == "files":
			refuse(w, http.StatusOK, `{"status":"","message":"removed"}`)
			return
		case last == "tree", last == "commits" && query.Has("path"):
			query.Del("recursive")
			query.Del("path")
			query.Del("offset")
			r.URL.RawQuery = query.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

// TestTheServiceTestsAssumeNoMoreThanAPlainService: they must hold at services
// that can do less than ours.
func TestTheServiceTestsAssumeNoMoreThanAPlainService(t *testing.T) {
	service := govcd.New(govcd.Options{})
	t.Cleanup(func() {
		if err := service.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(plain(service.Handler()))
	defer server.Close()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) { story(t, target{url: server.URL, repository: ownRepository("")}) })
	}
}
