package govc

import "time"

// The methods by which a client shows who it is; see Access.
const (
	MethodNone   = "none"
	MethodToken  = "token"   // a JWT that was given
	MethodAPIKey = "api key" // as token or as API key
	MethodLogin  = "login"   // a JWT that the service gave for user and password
)

// Login is a user with a password. The token that the service gives for it is
// kept in memory only.
type Login struct {
	User     string
	Password Secret
}

// Access is who the client is to its service, and how it reaches it. Texts of
// the service are bounded, unsanitised.
type Access struct {
	Method    string            // one of the methods above
	Unused    []string          // what was given and is not sent, because something before it was given, too
	Confirmed bool              // /auth/whoami says the rest; without it nobody has checked the credentials
	Subject   string            // whom the service takes the client for, "" if it does not say
	Rights    map[string]string // repository or pattern -> read, write or admin; at most 256
	Expires   time.Time         // of the credential by the service's clock, zero: never, or not known
	Renews    bool              // the credential is renewed before it expires
	Problem   string            // why it could not be renewed when that was tried last, "" if it could
	CSRF      bool              // every write takes a CSRF token

	Insecure   bool   // the certificate of the service is not checked
	TLSVersion string // of the newest connection, "TLS 1.3"; "" is plain HTTP, or no connection yet
	Peer       string // name and issuer in the newest certificate, else the address that answered
	Proxy      string // host:port that connections go through, "" for none
}

// Access returns what is known now.
func (c *Client) Access() Access { return Access{Method: MethodNone} }
