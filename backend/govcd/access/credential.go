package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
)

// credentialOf returns what a request brings, "" for nothing. A Bearer token
// beats a key, as at govc; two of one kind are refused, because programs before
// us may have looked at the other one.
func credentialOf(r *http.Request, git bool) (string, error) {
	bearer, err := single(r.Header["Authorization"])
	if err != nil {
		return "", err
	}
	key, err := single(r.Header["X-Api-Key"])
	if err != nil || bearer == "" {
		return key, err
	}
	scheme, given, found := strings.Cut(bearer, " ")
	switch {
	case found && strings.EqualFold(scheme, "Bearer") && given != "":
		return given, nil
	case found && strings.EqualFold(scheme, "Basic") && git:
		return password(given)
	}
	return "", unauthenticated(Malformed, "the header Authorization is not understood: send Bearer and a token or an API key")
}

func single(values []string) (string, error) {
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", unauthenticated(Malformed, "there are two credentials of one kind")
	case len(values[0]) > MaxCredential:
		return "", unauthenticated(Malformed, "the credential is too long")
	}
	return values[0], nil
}

// password takes a credential out of basic authentication. Some programs can
// only be given a user's name: then that is it.
func password(given string) (string, error) {
	text, err := base64.StdEncoding.Strict().DecodeString(given)
	user, secret, found := strings.Cut(string(text), ":")
	switch {
	case err != nil || !found || user+secret == "":
		return "", unauthenticated(Malformed, "the header Authorization is not understood: its password is no token or API key")
	case secret == "":
		return user, nil
	}
	return secret, nil
}

// kindOf tells by its look what a credential is meant to be.
func kindOf(given string) Kind {
	switch {
	case strings.HasPrefix(given, KeyPrefix):
		return APIKey
	case strings.Count(given, ".") == 2:
		return JWT
	}
	return Nobody
}

// isAdmin compares in constant time.
func (c *Control) isAdmin(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return c.adminKey && subtle.ConstantTimeCompare(sum[:], c.adminSum[:]) == 1
}
