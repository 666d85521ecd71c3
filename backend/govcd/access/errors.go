package access

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

var (
	// ErrUnauthenticated: it is not known who asks (401).
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden: it is known who asks, who may not do this (403).
	ErrForbidden = errors.New("forbidden")
	// ErrLimited: too many requests, or failing credentials, of one address (429).
	ErrLimited = errors.New("too many requests")
	// ErrNoPassword: the service has no passwords.
	ErrNoPassword = errors.New("there is no login with a password: send a token, made with caiatop server token, or an API key, made with caiatop server apikey create")
	// ErrInvalid: a name, scope, secret or file is not one.
	ErrInvalid = errors.New("invalid")
	// ErrWeak: a secret is too short, or too easy to guess for where the service
	// listens.
	ErrWeak = errors.New("weak secret")
	// ErrNotFound: there is no such key or grant.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is a live key of that name.
	ErrExists = errors.New("exists already")
	// ErrFull: the access file holds as much as it may.
	ErrFull = errors.New("full")
	// ErrUnrecorded: a change was made, and could not be recorded.
	ErrUnrecorded = errors.New("it was done, but is not in the audit")
	// ErrLost: what a service asked for before is not there any more.
	ErrLost = errors.New("the credentials of this service are lost")
	// ErrBusy: another process changes the access file.
	ErrBusy = errors.New("the access file is being changed")
)

// Reasons for a refusal, for the audit. A caller is told them, too: whoever has
// a credential that is revoked or expired may know that.
const (
	NoCredential = "no_credential"
	Malformed    = "malformed"
	Mistyped     = "mistyped"    // an API key whose checksum does not match
	UnknownKey   = "unknown_key" // an API key, or an admin key, that is none
	Revoked      = "revoked"
	Expired      = "expired"
	NotYet       = "not_yet_valid"
	Algorithm    = "algorithm"
	UnknownKid   = "unknown_kid"
	Signature    = "signature"
	Claims       = "claims" // issuer, audience, subject, a missing exp
	Permission   = "permission"
	Rate         = "rate"
	LockedOut    = "locked_out"
)

// Denied is a refused request.
type Denied struct {
	Kind   error         // ErrUnauthenticated, ErrForbidden or ErrLimited
	Reason string        // one of those above
	Text   string        // for the caller; it quotes nothing that he sent
	After  time.Duration // with ErrLimited: when to try again
}

// Error returns the text.
func (d *Denied) Error() string { return d.Text }

// Unwrap returns the kind.
func (d *Denied) Unwrap() error { return d.Kind }

func unauthenticated(reason, text string) error {
	return &Denied{Kind: ErrUnauthenticated, Reason: reason, Text: text}
}

// Answer is how a refusal is answered over HTTP. ok is false for an error that
// is none.
func Answer(err error) (status int, code, text string, header http.Header, ok bool) {
	var d *Denied
	if !errors.As(err, &d) {
		return 0, "", "", nil, false
	}
	header = http.Header{}
	switch d.Kind {
	case ErrLimited:
		seconds := int64((d.After + time.Second - 1) / time.Second)
		header.Set("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
		return http.StatusTooManyRequests, "RATE_LIMITED", d.Text, header, true
	case ErrForbidden:
		return http.StatusForbidden, "FORBIDDEN", d.Text, header, true
	}
	header.Set("Www-Authenticate", `Bearer realm="caiatop"`)
	return http.StatusUnauthorized, "UNAUTHORIZED", d.Text, header, true
}

// GitChallenge is the Www-Authenticate header of a 401 to git, which then sends
// its credential as the password of basic authentication.
const GitChallenge = `Basic realm="caiatop"`
