package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

const unmatched = "unmatched"

// chain is what every request passes: measure, recover, refuse what was sent to
// somebody else, decide who may, refuse what is too big, route, record.
//
// The host comes before the credential: a page of somebody else that tries
// credentials would lock out whoever sits before the browser.
func (s *Service) chain() http.Handler {
	table := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, to := match(table, r.Method, r.URL.Path)
		pattern := unmatched
		if found != nil {
			pattern = found.pattern
		}
		recorded := &recorder{ResponseWriter: w, status: http.StatusOK}
		done := s.metrics.begin(r.Method, pattern)
		defer func() {
			s.recover(recorded, r, recover())
			done(recorded.status)
		}()
		s.recordSums(false)
		if len(r.TransferEncoding) > 0 {
			// A length beside it counted for nothing, net/http does not tell of
			// one, and a program before us may have gone by it: what follows on
			// this connection may be no request.
			recorded.Header().Set("Connection", "close")
		}
		if err := s.checkHost(r); err != nil {
			setSecurityHeaders(recorded.Header())
			s.fail(recorded, r, s.counted(r, err))
			return
		}
		if found == nil {
			if with, ok := withoutSlash(r, table); ok {
				s.redirect(recorded, r, with)
				return
			}
		}
		setSecurityHeaders(recorded.Header())
		if err := s.serve(recorded, r, found, to); err != nil {
			if found != nil && found.git {
				s.failGit(recorded, r, err)
				return
			}
			s.fail(recorded, r, err)
		}
	})
}

// serve refuses what no handler should see, then runs the handler.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, found *route, to target) error {
	who, err := s.admit(r, found, to) // first, so that every request counts
	if err != nil {
		return err
	}
	if err := checkSize(w, r, found); err != nil {
		return err
	}
	if err := s.checkOrigin(r); err != nil {
		return err
	}
	api := strings.HasPrefix(r.URL.Path, "/api/")
	if found == nil {
		return fail(http.StatusNotFound, "ENDPOINT_NOT_FOUND", "endpoint not found: "+r.Method+" "+r.URL.Path)
	}
	ctx := access.With(r.Context(), who)
	if found.stream {
		return found.serve(w, r.WithContext(ctx), to)
	}
	if api {
		select {
		case s.inFlight <- struct{}{}:
			defer func() { <-s.inFlight }()
		default:
			w.Header().Set("Retry-After", "1")
			return fail(http.StatusServiceUnavailable, "OVERLOADED", fmt.Sprintf("%d requests are being served already", MaxInFlight))
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leave, err := s.place(ctx, r)
	if err != nil {
		return err
	}
	defer leave()
	r = r.WithContext(ctx)
	if found.what != "" && s.audit != nil {
		return s.audited(w, r, found, to)
	}
	return found.serve(w, r, to)
}

// checkSize holds govc's limits on headers, URL, body and content type.
func checkSize(w http.ResponseWriter, r *http.Request, found *route) error {
	headers := 0
	for name, values := range r.Header {
		for _, v := range values {
			headers += len(name) + len(v)
		}
	}
	switch {
	case headers > MaxHeaders:
		return fail(http.StatusRequestHeaderFieldsTooLarge, "HEADERS_TOO_LARGE", "Request headers too large")
	case len(r.URL.Path) > MaxURLPath:
		return fail(http.StatusRequestEntityTooLarge, "PATH_TOO_LONG", "Request path too long")
	case len(r.URL.RawQuery) > MaxQuery:
		return fail(http.StatusRequestEntityTooLarge, "QUERY_TOO_LONG", "Query string too long")
	case r.ContentLength > MaxBody:
		w.Header().Set("Connection", "close")
		return &failure{
			Status: http.StatusRequestEntityTooLarge, Code: "REQUEST_TOO_LARGE", Text: "Request body too large",
			Details: map[string]any{"actual_size": r.ContentLength, "max_size": MaxBody},
		}
	}
	given := r.Header.Get("Content-Type")
	if found != nil && found.git {
		return nil // its handler looks itself
	}
	if given == "" || (r.Method != http.MethodPost && r.Method != http.MethodPut) {
		return nil
	}
	kind, _, _ := strings.Cut(given, ";")
	switch strings.TrimSpace(kind) {
	case "application/json", "text/plain", "application/octet-stream":
		return nil
	case frame.Type:
		if found != nil && found.framed {
			return nil
		}
	}
	return fail(http.StatusUnsupportedMediaType, "UNSUPPORTED_CONTENT_TYPE", "Content type '"+given+"' not allowed")
}

// withoutSlash returns the path of the route that a path with a needless
// trailing slash means.
func withoutSlash(r *http.Request, table []route) (path string, ok bool) {
	trimmed, had := strings.CutSuffix(r.URL.Path, "/")
	if !had {
		return "", false
	}
	found, _ := match(table, r.Method, trimmed)
	return trimmed, found != nil
}

// redirect sends a request to another path of the service.
func (s *Service) redirect(w *recorder, r *http.Request, path string) {
	if err := s.access.Admit(r); err != nil {
		s.fail(w, r, err)
		return
	}
	to := *r.URL
	to.Path, to.RawPath = path, ""
	status := http.StatusTemporaryRedirect
	if r.Method == http.MethodGet {
		status = http.StatusMovedPermanently
	}
	http.Redirect(w, r, to.RequestURI(), status)
}

// securityHeaders are those of every answer. The values are shared by all and
// never changed.
var securityHeaders = []struct {
	name  string // canonical
	value []string
}{
	{"Content-Security-Policy", []string{"default-src 'self'"}},
	{"Referrer-Policy", []string{"strict-origin-when-cross-origin"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
	{"X-Xss-Protection", []string{"1; mode=block"}},
}

func setSecurityHeaders(h http.Header) {
	for _, s := range securityHeaders {
		h[s.name] = s.value
	}
}

// fail answers an error. Once an answer has begun it can only be cut off.
func (s *Service) fail(w *recorder, r *http.Request, err error) {
	if w.began {
		s.log.Warn("govc answer cut off", "method", r.Method, "error", err)
		panic(http.ErrAbortHandler)
	}
	f := asFailure(err)
	if f.Status == http.StatusInternalServerError || f.cause != nil {
		s.log.Error("govc request failed", "method", r.Method, "error", err)
	}
	for name, values := range f.header {
		w.Header()[name] = values
	}
	if err := answer(w, f.Status, f); err != nil {
		s.log.Error("govc answer failed", "error", err)
	}
}

// recover keeps one broken request from ending the process.
func (s *Service) recover(w *recorder, r *http.Request, cause any) {
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause) // net/http closes the connection, which is what is wanted
	}
	s.log.Error("govc request panicked", "method", r.Method, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if !w.began {
		s.fail(w, r, fail(http.StatusInternalServerError, "INTERNAL_ERROR", "internal server error"))
	}
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	began  bool
}

func (w *recorder) WriteHeader(status int) {
	if !w.began {
		w.began, w.status = true, status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	w.began = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sinceSeconds is a duration for a metric.
func sinceSeconds(start time.Time) float64 { return time.Since(start).Seconds() }
