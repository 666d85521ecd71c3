package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caiatech/caiatop/config"
)

const (
	// Issuer and Audience are what every token names.
	Issuer   = "caiatop"
	Audience = "caiatop-govcd"
	// Leeway is how far the clocks of this machine and of the issuer may differ.
	Leeway = 30 * time.Second
	// MaxTTL bounds the life of a token that is made here. A token cannot be
	// revoked but by a new secret.
	MaxTTL = 90 * 24 * time.Hour
	// MaxRefresh is how long after its first token a subject can go on by
	// refreshing it.
	MaxRefresh = 7 * 24 * time.Hour
	// MaxCredential bounds what is looked at, in bytes.
	MaxCredential = 4096
)

var methods = []string{"HS256", "HS384", "HS512"}

// latest is the last time that a token can name.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// TokenRequest describes a token to be made.
type TokenRequest struct {
	Subject string
	TTL     time.Duration // from 1 s to MaxTTL
	Scopes  []Scope       // none: what the subject is granted
	// first is when the subject got the first token of this row.
	first time.Time
}

// Token is a new token. Value is shown once.
type Token struct {
	Value   config.Secret
	ID      string // jti, named by the audit
	Kid     string // of the secret that signed it
	Expires time.Time
}

// claims are those that a token carries.
type claims struct {
	jwt.RegisteredClaims
	Scope string           `json:"scope,omitempty"`
	First *jwt.NumericDate `json:"auth_time,omitempty"`
}

// Mint makes a token.
func (k Keyring) Mint(now time.Time, random io.Reader, r TokenRequest) (Token, error) {
	if !k.IsSet() {
		return Token{}, fmt.Errorf("%w: there is no JWT secret to sign with", ErrInvalid)
	}
	if err := checkSubject(r.Subject); err != nil {
		return Token{}, err
	}
	if r.TTL < time.Second || r.TTL > MaxTTL {
		return Token{}, fmt.Errorf("%w: a token cannot live for %v: give from 1s to %v", ErrInvalid, r.TTL, MaxTTL)
	}
	if len(r.Scopes) > MaxScopes {
		return Token{}, fmt.Errorf("%w: %d scopes are more than %d", ErrInvalid, len(r.Scopes), MaxScopes)
	}
	var id [8]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return Token{}, fmt.Errorf("make a token: %w", err)
	}
	now = now.UTC().Truncate(time.Second)
	if r.first.IsZero() {
		r.first = now
	}
	at, until, signer := jwt.NewNumericDate(now), now.Add(r.TTL).Truncate(time.Second), k.secrets[0]
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{Audience}, Subject: r.Subject, ID: hex.EncodeToString(id[:]),
			IssuedAt: at, NotBefore: at, ExpiresAt: jwt.NewNumericDate(until),
		},
		Scope: joinScopes(r.Scopes), First: jwt.NewNumericDate(r.first),
	})
	token.Header["kid"] = signer.kid
	signed, err := token.SignedString([]byte(signer.value.Reveal()))
	if err != nil {
		return Token{}, fmt.Errorf("sign a token: %w", err)
	}
	if len(signed) > MaxCredential {
		return Token{}, fmt.Errorf("%w: with these scopes the token has %d bytes, more than %d", ErrInvalid, len(signed), MaxCredential)
	}
	return Token{Value: config.NewSecret(signed), ID: hex.EncodeToString(id[:]), Kid: signer.kid, Expires: until}, nil
}

// errKid: the token names a secret that is not live.
var errKid = errors.New("unknown kid")

// keyFor returns what a token may be verified with. A token without a kid was
// made by others who know a secret.
func (k Keyring) keyFor(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("the token demands what is not known here")
	}
	named, has := t.Header["kid"]
	var set jwt.VerificationKeySet
	for _, s := range k.secrets {
		if !has || named == s.kid {
			set.Keys = append(set.Keys, []byte(s.value.Reveal()))
		}
	}
	if len(set.Keys) == 0 {
		return nil, errKid
	}
	return set, nil
}

// verify returns who a token stands for.
func (k Keyring) verify(now time.Time, text string) (Identity, error) {
	if !k.IsSet() {
		return Identity{}, unauthenticated(UnknownKey, "tokens are not accepted here: no JWT secret is set up")
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuer(Issuer), jwt.WithAudience(Audience),
		jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }),
	)
	var c claims
	token, err := parser.ParseWithClaims(text, &c, k.keyFor)
	if err != nil {
		return Identity{}, tokenFault(token, err)
	}
	scopes, err := ParseScopes(c.Scope)
	if err == nil {
		err = checkSubject(c.Subject)
	}
	if err != nil || c.ExpiresAt.After(latest) {
		return Identity{}, unauthenticated(Claims, "the token's subject, scope or exp is not one that is known here")
	}
	who := Identity{Subject: c.Subject, Kind: JWT, ID: c.ID, Expires: c.ExpiresAt.UTC(), scopes: scopes}
	if c.IssuedAt != nil {
		who.issued = c.IssuedAt.UTC()
	}
	if c.First != nil {
		who.first = c.First.UTC()
	}
	return who, nil
}

// tokenFault tells why a token was refused.
func tokenFault(token *jwt.Token, err error) error {
	allowed := false
	if token != nil && token.Method != nil {
		for _, m := range methods {
			allowed = allowed || token.Method.Alg() == m
		}
	}
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return unauthenticated(Malformed, "the token is not one: it is cut off or damaged")
	case errors.Is(err, errKid):
		return unauthenticated(UnknownKid, "the token was signed with a secret that is not in use any more")
	case !allowed:
		return unauthenticated(Algorithm, "the token's algorithm is not accepted: HS256, HS384 or HS512")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return unauthenticated(Malformed, "the token's header demands what is not known here")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return unauthenticated(Signature, "the token's signature does not match")
	case errors.Is(err, jwt.ErrTokenExpired):
		return unauthenticated(Expired, "the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return unauthenticated(NotYet, "the token is not valid yet: look at the clocks")
	}
	return unauthenticated(Claims, "the token lacks exp, or its issuer or audience is another")
}
