package githttp

import (
	"errors"
	"fmt"
	"net/http"
)

// Refusal is a request that is not served, and why. The text is for the caller.
type Refusal struct {
	Status int // of HTTP, if nothing was answered yet
	Code   string
	Text   string
	// After is how many seconds to wait before another try, 0 if that is no use.
	After int
}

// Error returns code and text.
func (e *Refusal) Error() string { return e.Code + ": " + e.Text }

// ErrCut: the answer had begun, and there was no way left to say in it that it
// is not whole. The connection has to be closed.
var ErrCut = errors.New("githttp: the answer is cut off")

// errDenied ends a transfer whose reader may not
// read any more.
var errDenied = &Refusal{Status: http.StatusForbidden, Code: "FORBIDDEN", Text: "this credential may not read the repository any more"}

// malformed is a request that no git sends.
func malformed(format string, args ...any) error {
	return &Refusal{Status: http.StatusBadRequest, Code: "MALFORMED", Text: "the request is not understood: " + fmt.Sprintf(format, args...)}
}

const unsupportedCode = "UNSUPPORTED"

// unsupported is a request for what was not announced.
func unsupported(format string, args ...any) error {
	return &Refusal{Status: http.StatusBadRequest, Code: unsupportedCode, Text: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &Refusal{Status: http.StatusRequestEntityTooLarge, Code: "TOO_LARGE", Text: fmt.Sprintf(format, args...)}
}

// notOurs is a want that no branch or tag leads to, whether it exists or not.
func notOurs(h Hash) error {
	return &Refusal{Status: http.StatusNotFound, Code: "NOT_OURS", Text: "upload-pack: not our ref " + h.String()}
}

// asRefusal finds the refusal in an error.
func asRefusal(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }
