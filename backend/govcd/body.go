package govcd

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

// keptBody is how large a buffer is kept for the next body, in bytes.
const keptBody = 256 << 10

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readBody reads a whole body, which is the caller's until release is called.
func readBody(r *http.Request) (body []byte, release func(), err error) {
	into := bodies.Get().(*bytes.Buffer) //nolint:forcetypeassert // the pool makes nothing else
	into.Reset()
	release = func() {
		if into.Cap() <= keptBody {
			bodies.Put(into)
		}
	}
	if r.ContentLength > 0 && r.ContentLength <= MaxBody {
		into.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := into.ReadFrom(r.Body); err != nil {
		release()
		return nil, nil, fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	}
	return into.Bytes(), release, nil
}

// packed reports whether the body of a request must be unpacked.
func packed(r *http.Request) bool { return r.Header.Get("Content-Encoding") != "" }

// readUnpacked is readBody of a body that may be packed with gzip.
func readUnpacked(r *http.Request) (body []byte, release func(), err error) {
	if !packed(r) {
		return readBody(r)
	}
	if how := r.Header.Get("Content-Encoding"); !strings.EqualFold(how, "gzip") {
		return nil, nil, fail(http.StatusUnsupportedMediaType, "UNSUPPORTED_CONTENT_ENCODING", "Content encoding '"+how+"' not allowed")
	}
	from, err := gzip.NewReader(r.Body)
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(from, MaxUnpacked+1))
	}
	switch {
	case err != nil:
		return nil, nil, fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	case len(body) > MaxUnpacked:
		return nil, nil, &failure{
			Status: http.StatusRequestEntityTooLarge, Code: "REQUEST_TOO_LARGE", Text: "Request body too large",
			Details: map[string]any{"max_size": MaxUnpacked},
		}
	}
	return body, func() {}, nil
}
