package access

import "time"

// Kind is how somebody is known.
type Kind uint8

// The kinds. The zero Kind is nobody, who may do nothing.
const (
	Nobody   Kind = iota
	Anybody       // in the mode open
	AdminKey      // the one key in GOVC_API_KEY
	APIKey
	JWT
)

var kindNames = [...]string{Nobody: "none", Anybody: "open", AdminKey: "admin_key", APIKey: "api_key", JWT: "jwt"}

// String names the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Nobody]
}

// Identity is who a request comes from. The zero Identity is nobody.
type Identity struct {
	Subject string // "admin" for the admin key, "local" in the mode open
	Kind    Kind
	ID      string    // of the API key or of the token, "" if it has none
	Expires time.Time // zero: never

	scopes        []Scope // that a token carries; those of a key are looked up
	issued, first time.Time
}

// Via names the credential for the audit: "api_key 1f2e3d4c5b6a".
func (i Identity) Via() string {
	if i.ID == "" {
		return i.Kind.String()
	}
	return i.Kind.String() + " " + i.ID
}

// Whoami is what /auth/whoami answers, in the form of govc's.
type Whoami struct {
	ID          string            `json:"id"`
	Username    string            `json:"username"`
	Permissions []string          `json:"permissions"`      // scopes at all repositories and at some: "*:read"
	Repos       map[string]string `json:"repo_permissions"` // pattern -> read, write or admin
	Method      string            `json:"auth_method"`      // Kind
	Credential  string            `json:"credential_id,omitempty"`
	Expires     *time.Time        `json:"expires_at,omitempty"`
}
