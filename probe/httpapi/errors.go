package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Sentinel errors. Each has a code that travels, so that errors.Is gives the
// same answer at the engine and at a client.
var (
	ErrNotFound    = errors.New("not found")
	ErrInvalid     = errors.New("invalid")
	ErrConflict    = errors.New("conflict")
	ErrTooLarge    = errors.New("too large")
	ErrReadOnly    = errors.New("read only")
	ErrUnavailable = errors.New("unavailable")
	ErrDiskFull    = errors.New("disk full")
	ErrInternal    = errors.New("internal error")
	// ErrIdentity: a store is not the one that it should be.
	ErrIdentity = errors.New("identity")
	// ErrAmbiguous: it may or may not have been done. Look before trying again.
	ErrAmbiguous = errors.New("outcome unknown")
	// ErrCorrupt: what a store holds cannot be read as what it should be.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnauthorized: the service behind the engine refuses its credentials.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrNotRunning: nobody listens at the socket. It is also an
	// ErrUnavailable, and never travels.
	ErrNotRunning = fmt.Errorf("%w: no engine runs", ErrUnavailable)
	// ErrGone: the engine went away before its answer, so what was asked may or
	// may not have been done. It is also an ErrUnavailable, and never travels.
	ErrGone = fmt.Errorf("%w: the engine went away", ErrUnavailable)

	// What only callers over HTTP can do wrong.
	errToken  = errors.New("a token is needed")
	errRefuse = errors.New("not allowed")
	errMethod = errors.New("method not allowed")
	errMedia  = errors.New("unsupported media type")
)

// kind ties a sentinel to its code, its HTTP status and the advice that is
// given where the engine has none.
type kind struct {
	err    error
	code   string
	status int
	fix    string
}

// kinds are looked through in this order: an error that wraps two sentinels
// has the first of them.
var kinds = []kind{
	{ErrAmbiguous, "ambiguous", http.StatusServiceUnavailable, "look what is there, then try again"},
	{ErrDiskFull, "disk_full", http.StatusInsufficientStorage, "free space on the disk of the state folder"},
	{ErrReadOnly, "read_only", http.StatusServiceUnavailable, "look at the reason with: caiatop status"},
	{ErrIdentity, "identity", http.StatusServiceUnavailable, "look which repository the service holds with: caiatop status"},
	{ErrCorrupt, "corrupt", http.StatusInternalServerError, "read an earlier version, its history names them; if git itself is damaged, ask again when it is put right; look at the reason with: caiatop status"},
	{ErrUnauthorized, "unauthorized", http.StatusForbidden, "set GOVC_AUTH_TOKEN or GOVC_API_KEY to what the service accepts"},
	{ErrTooLarge, "too_large", http.StatusRequestEntityTooLarge, "split the content"},
	{ErrNotFound, "not_found", http.StatusNotFound, "look for it with: caiatop ls --contains TEXT"},
	{ErrConflict, "conflict", http.StatusConflict, "read the current version and try again"},
	{ErrInvalid, "invalid", http.StatusBadRequest, "correct the request"},
	{ErrUnavailable, "unavailable", http.StatusServiceUnavailable, "try again; look at the reason with: caiatop status"},
	{errToken, "token", http.StatusUnauthorized, "send the header Authorization: Bearer TOKEN"},
	{errRefuse, "forbidden", http.StatusForbidden, "ask whoever runs this engine"},
	{errMethod, "method", http.StatusMethodNotAllowed, "use a method that the header Allow names"},
	{errMedia, "media_type", http.StatusUnsupportedMediaType, "send JSON with the header Content-Type: application/json"},
	{ErrInternal, "internal", http.StatusInternalServerError, "this is a fault of caiatop; report it with this message and what led to it"},
}

// Error is an error with its code and advice, as it travels.
type Error struct {
	Message string `json:"error"` // what and why; unsanitised where it quotes others
	Code    string `json:"code"`
	Fix     string `json:"fix,omitempty"` // what to do
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the sentinel of the code.
func (e *Error) Unwrap() error { return kindOf(e.Code).err }

// NewError describes err: its message, the code of the sentinel that it wraps
// ("internal" if none), and what to do about it ("" takes the usual advice). An
// *Error in the chain keeps its code, and its advice unless fix gives another.
// nil stays nil.
func NewError(err error, fix string) error {
	if err == nil {
		return nil
	}
	return describe(err, fix)
}

func describe(err error, fix string) *Error {
	var k kind
	if inner, ok := errors.AsType[*Error](err); ok {
		k = kindOf(inner.Code)
		if fix == "" {
			fix = inner.Fix
		}
	} else {
		k = kindFor(err)
	}
	if fix == "" {
		fix = k.fix
	}
	return &Error{Message: err.Error(), Code: k.code, Fix: fix}
}

func kindFor(err error) kind {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return kindOf("unavailable")
	}
	return kindOf("internal")
}

func kindOf(code string) kind {
	for _, k := range kinds {
		if k.code == code {
			return k
		}
	}
	return kinds[len(kinds)-1]
}

// advised gives an error of this package's own its advice.
func advised(err error, fix string) error { return describe(err, fix) }
