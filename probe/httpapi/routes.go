package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// route is one thing that can be asked for.
type route struct {
	method string
	path   string // segments; one in braces takes any value
	do     func(*Server, *call) (any, error)
	body   bool // it has a body of JSON
	// action is an operator's: how long it takes is the caller's business, who
	// ends it by closing the connection.
	action bool
	// open to whoever asks, without a token, and however busy the engine is.
	open bool
}

const prefix = "/api/v1/"

// routes is the whole API, see docs/operations.md.
var routes = []route{
	{method: "GET", path: prefix + "documents", do: (*Server).list},
	{method: "POST", path: prefix + "documents", do: (*Server).put, body: true},
	{method: "DELETE", path: prefix + "documents", do: (*Server).deleteMany, body: true},
	{method: "GET", path: prefix + "documents/{id}", do: (*Server).get},
	{method: "PUT", path: prefix + "documents/{id}", do: (*Server).putOne, body: true},
	{method: "DELETE", path: prefix + "documents/{id}", do: (*Server).deleteOne},
	{method: "GET", path: prefix + "documents/{id}/history", do: (*Server).history},
	{method: "GET", path: prefix + "documents/{id}/versions/{commit}", do: (*Server).getAt},
	{method: "GET", path: prefix + "documents/{id}/undo", do: (*Server).undo},
	{method: "POST", path: prefix + "documents/{id}/restore", do: (*Server).restore, body: true},
	{method: "GET", path: prefix + "conflicts", do: (*Server).conflicts},
	{method: "GET", path: prefix + "conflicts/{id}", do: (*Server).conflict},
	{method: "POST", path: prefix + "conflicts/{id}/resolve", do: (*Server).resolve, body: true},
	{method: "POST", path: prefix + "conflicts/{id}/reopen", do: (*Server).reopen},
	{method: "GET", path: prefix + "search", do: (*Server).search},
	{method: "GET", path: prefix + "events", do: (*Server).events},
	{method: "POST", path: prefix + "events", do: (*Server).note, body: true},
	{method: "GET", path: prefix + "storage/status", do: (*Server).status},
	{method: "GET", path: prefix + "storage/service", do: (*Server).service},
	{method: "GET", path: prefix + "storage/stats", do: (*Server).stats},
	{method: "GET", path: prefix + "storage/health", do: (*Server).health},
	{method: "GET", path: prefix + "storage/metrics", do: (*Server).metrics},
	{method: "DELETE", path: prefix + "storage/metrics", do: (*Server).resetMetrics},
	{method: "POST", path: prefix + "storage/recover", do: (*Server).recoverNow, action: true},
	{method: "POST", path: prefix + "storage/fallback", do: acting(Engine.Fallback), action: true},
	{method: "POST", path: prefix + "storage/sync", do: acting(Engine.Sync), action: true},
	{method: "GET", path: prefix + "storage/phase", do: (*Server).phase},
	{method: "POST", path: prefix + "storage/phase", do: (*Server).setPhase, action: true},
	{method: "GET", path: prefix + "storage/drill", do: (*Server).drill},
	{method: "POST", path: prefix + "storage/drill", do: (*Server).startDrill, body: true, action: true},
	{method: "DELETE", path: prefix + "storage/drill", do: (*Server).stopDrill, action: true},
	{method: "POST", path: prefix + "storage/backup", do: (*Server).backup, action: true},
	{method: "POST", path: prefix + "storage/backup/verify", do: (*Server).verifyBackup, action: true},
	{method: "POST", path: prefix + "storage/verify", do: (*Server).verify},
	{method: "GET", path: prefix + "storage/verify", do: (*Server).verification},
	{method: "DELETE", path: prefix + "storage/verify", do: (*Server).stopVerification},
	{method: "GET", path: prefix + "storage/parked", do: (*Server).parked},
	{method: "POST", path: prefix + "storage/parked", do: (*Server).retryParked, body: true, action: true},
	{method: "DELETE", path: prefix + "storage/parked/{id}", do: (*Server).dropParked},
	{method: "GET", path: "/metrics", do: (*Server).prometheus},
	{method: "GET", path: "/livez", do: (*Server).live, open: true},
	{method: "GET", path: "/readyz", do: (*Server).ready, open: true},
}

func acting(do func(Engine, context.Context) error) func(*Server, *call) (any, error) {
	return func(s *Server, c *call) (any, error) { return struct{}{}, do(s.engine, c.ctx) }
}

// find returns the route of a request. HEAD is GET without a body. allowed
// names the methods of a path that has no route for this one.
func find(r *http.Request) (found *route, allowed []string, err error) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, s := range segments {
		if segments[i], err = url.PathUnescape(s); err != nil {
			return nil, nil, fmt.Errorf("%w: the address: %w", ErrInvalid, err)
		}
		if !utf8.ValidString(segments[i]) {
			return nil, nil, fmt.Errorf("%w: the address: %q is not UTF-8", ErrInvalid, segments[i])
		}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		pattern := strings.Split(routes[i].path, "/")
		if !matches(pattern, segments) {
			continue
		}
		if routes[i].method == method {
			for n, p := range pattern {
				if name, isValue := valueName(p); isValue {
					r.SetPathValue(name, segments[n])
				}
			}
			return &routes[i], nil, nil
		}
		allowed = append(allowed, routes[i].method)
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	if allowed != nil {
		allowed = append(allowed, http.MethodOptions)
	}
	return nil, allowed, nil
}

func matches(pattern, segments []string) bool {
	return slices.EqualFunc(pattern, segments, func(p, s string) bool {
		_, isValue := valueName(p)
		return isValue && s != "" || !isValue && p == s
	})
}

func valueName(p string) (name string, isValue bool) {
	name, open := strings.CutPrefix(p, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, open && closed
}
