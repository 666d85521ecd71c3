package httpapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// statuses are those that each code of an error may come with.
var statuses = map[string][]int{
	"ambiguous": {503}, "disk_full": {507}, "read_only": {503}, "identity": {503}, "unauthorized": {403}, "too_large": {413},
	"not_found": {404}, "conflict": {409, 412}, "invalid": {400}, "unavailable": {503}, "token": {401}, "forbidden": {403},
	"method": {405}, "media_type": {415},
}

// CheckReply says what is wrong with a reply, whatever was asked: it is JSON
// or says that it is not, an error has the one form, its code fits its status,
// and nothing is an internal error.
func CheckReply(method string, status int, header http.Header, body []byte) error {
	kind := header.Get("Content-Type")
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		if len(body) > 0 {
			return fmt.Errorf("%d with the body %q", status, body)
		}
		return nil
	case method == http.MethodHead:
		return nil
	case !utf8.Valid(body):
		return fmt.Errorf("%d: the reply is not UTF-8: %q", status, body)
	case strings.HasPrefix(kind, "text/plain") && (status == http.StatusOK || status == http.StatusServiceUnavailable):
		return nil
	case !strings.HasPrefix(kind, "application/json"):
		return fmt.Errorf("%d: a reply of the kind %q", status, kind)
	case !json.Valid(body):
		return fmt.Errorf("%d: the reply is no JSON: %q", status, body)
	case status < 300:
		return nil
	}
	var told struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&told); err != nil || told.Error == "" {
		return fmt.Errorf("%d: no error in the one form: %q, %w", status, body, err)
	}
	for _, fits := range statuses[told.Code] {
		if fits == status {
			return nil
		}
	}
	return fmt.Errorf("%d with the code %q: %s", status, told.Code, told.Error)
}

// Endpoint is one route with a place for a fuzzed value in its path ("%s" or none).
type Endpoint struct{ Method, Path string }

// Endpoints are all routes, and some that do not exist.
var Endpoints = []Endpoint{
	{"GET", "/api/v1/documents"},
	{"POST", "/api/v1/documents"},
	{"DELETE", "/api/v1/documents"},
	{"GET", "/api/v1/documents/%s"},
	{"PUT", "/api/v1/documents/%s"},
	{"DELETE", "/api/v1/documents/%s"},
	{"GET", "/api/v1/documents/%s/history"},
	{"GET", "/api/v1/documents/a/versions/%s"},
	{"GET", "/api/v1/documents/%s/undo"},
	{"POST", "/api/v1/documents/%s/restore"},
	{"GET", "/api/v1/conflicts"},
	{"GET", "/api/v1/conflicts/%s"},
	{"POST", "/api/v1/conflicts/%s/resolve"},
	{"POST", "/api/v1/conflicts/%s/reopen"},
	{"GET", "/api/v1/search"},
	{"GET", "/api/v1/events"},
	{"POST", "/api/v1/events"},
	{"GET", "/api/v1/storage/status"},
	{"GET", "/api/v1/storage/service"},
	{"GET", "/api/v1/storage/stats"},
	{"GET", "/api/v1/storage/health"},
	{"GET", "/api/v1/storage/metrics"},
	{"DELETE", "/api/v1/storage/metrics"},
	{"POST", "/api/v1/storage/recover"},
	{"POST", "/api/v1/storage/fallback"},
	{"POST", "/api/v1/storage/sync"},
	{"GET", "/api/v1/storage/phase"},
	{"POST", "/api/v1/storage/phase"},
	{"GET", "/api/v1/storage/drill"},
	{"POST", "/api/v1/storage/drill"},
	{"DELETE", "/api/v1/storage/drill"},
	{"POST", "/api/v1/storage/backup"},
	{"POST", "/api/v1/storage/backup/verify"},
	{"POST", "/api/v1/storage/verify"},
	{"GET", "/api/v1/storage/verify"},
	{"DELETE", "/api/v1/storage/verify"},
	{"GET", "/api/v1/storage/parked"},
	{"POST", "/api/v1/storage/parked"},
	{"DELETE", "/api/v1/storage/parked/%s"},
	{"GET", "/metrics"},
	{"GET", "/livez"},
	{"GET", "/readyz"},
	{"HEAD", "/api/v1/documents/%s"},
	{"OPTIONS", "/api/v1/documents/%s"},
	{"PATCH", "/api/v1/documents/%s"},
	{"GET", "/%s"},
}
