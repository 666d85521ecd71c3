package access

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// crafted makes a token by hand, as a stranger or an attacker does.
func crafted(t testing.TB, header, claims map[string]any, secret string) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		must(t, err)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	body := part(header) + "." + part(claims)
	mac := hmac.New(sha512.New, []byte(secret))
	mac.Write([]byte(body))
	return body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func goodClaims() map[string]any {
	return map[string]any{
		"iss": Issuer, "aud": Audience, "sub": "ann", "exp": noon.Add(time.Hour).Unix(), "iat": noon.Unix(), "nbf": noon.Unix(),
	}
}

// with returns the good claims with some changed; nil removes one.
func with(changes map[string]any) map[string]any {
	claims := goodClaims()
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

type object = map[string]any

func TestTokensThatAreRefused(t *testing.T) {
	k := keyring(t, goodSecret)
	head := object{"alg": "HS512", "typ": "JWT", "kid": k.secrets[0].kid}
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	good := crafted(t, head, goodClaims(), goodSecret)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct{ token, reason string }{
		"good":                 {good, ""},
		"good without a kid":   {crafted(t, object{"alg": "HS512"}, goodClaims(), goodSecret), ""},
		"list of audiences":    {crafted(t, head, with(object{"aud": []string{"x", Audience}}), goodSecret), ""},
		"expired within skew":  {crafted(t, head, with(object{"exp": at(-29 * time.Second)}), goodSecret), ""},
		"nbf within skew":      {crafted(t, head, with(object{"nbf": at(30 * time.Second)}), goodSecret), ""},
		"iat within skew":      {crafted(t, head, with(object{"iat": at(30 * time.Second)}), goodSecret), ""},
		"no nbf, no iat":       {crafted(t, head, with(object{"nbf": nil, "iat": nil}), goodSecret), ""},
		"alg none, signed":     {crafted(t, object{"alg": "none"}, goodClaims(), goodSecret), Algorithm},
		"alg none, unsigned":   {noneToken(t, "none"), Algorithm},
		"alg NonE":             {noneToken(t, "NonE"), Algorithm},
		"alg hs512":            {crafted(t, object{"alg": "hs512"}, goodClaims(), goodSecret), Algorithm},
		"no alg":               {crafted(t, object{"typ": "JWT"}, goodClaims(), goodSecret), Algorithm},
		"alg is a number":      {crafted(t, object{"alg": 1}, goodClaims(), goodSecret), Algorithm},
		"alg RS256, by HMAC":   {crafted(t, object{"alg": "RS256"}, goodClaims(), goodSecret), Algorithm},
		"another HMAC":         {crafted(t, object{"alg": "HS256", "kid": k.secrets[0].kid}, goodClaims(), goodSecret), Signature},
		"another secret":       {crafted(t, head, goodClaims(), otherSecret), Signature},
		"no secret":            {crafted(t, head, goodClaims(), ""), Signature},
		"no signature":         {parts[0] + "." + parts[1] + ".", Signature},
		"cut off":              {good[:len(good)-4], "any"},
		"two parts":            {parts[0] + "." + parts[1], Malformed},
		"four parts":           {good + ".x", Malformed},
		"padded":               {parts[0] + "==." + parts[1] + "." + parts[2], Malformed},
		"signature, last bits": {looseBits(good), Malformed},
		"kid unknown":          {crafted(t, object{"alg": "HS512", "kid": "nobody"}, goodClaims(), goodSecret), UnknownKid},
		"kid empty":            {crafted(t, object{"alg": "HS512", "kid": ""}, goodClaims(), goodSecret), UnknownKid},
		"kid a number":         {crafted(t, object{"alg": "HS512", "kid": 1}, goodClaims(), goodSecret), UnknownKid},
		"kid a path":           {crafted(t, object{"alg": "HS512", "kid": "../../dev/null"}, goodClaims(), ""), UnknownKid},
		"crit":                 {crafted(t, object{"alg": "HS512", "crit": []string{"b64"}}, goodClaims(), goodSecret), Malformed},
		"no exp":               {crafted(t, head, with(object{"exp": nil}), goodSecret), Claims},
		"exp null":             {crafted(t, head, with(object{"exp": json.RawMessage("null")}), goodSecret), Claims},
		"exp text":             {crafted(t, head, with(object{"exp": "tomorrow"}), goodSecret), Malformed},
		"exp beyond time":      {crafted(t, head, with(object{"exp": 1e12}), goodSecret), Claims},
		"exp beyond numbers":   {crafted(t, head, with(object{"exp": 1e300}), goodSecret), "any"},
		"expired past skew":    {crafted(t, head, with(object{"exp": at(-30 * time.Second)}), goodSecret), Expired},
		"exp zero":             {crafted(t, head, with(object{"exp": 0}), goodSecret), "any"},
		"nbf past skew":        {crafted(t, head, with(object{"nbf": at(31 * time.Second)}), goodSecret), NotYet},
		"iat past skew":        {crafted(t, head, with(object{"iat": at(31 * time.Second)}), goodSecret), NotYet},
		"no issuer":            {crafted(t, head, with(object{"iss": nil}), goodSecret), Claims},
		"another issuer":       {crafted(t, head, with(object{"iss": "govc"}), goodSecret), Claims},
		"no audience":          {crafted(t, head, with(object{"aud": nil}), goodSecret), Claims},
		"another audience":     {crafted(t, head, with(object{"aud": "caiatop"}), goodSecret), Claims},
		"no subject":           {crafted(t, head, with(object{"sub": nil}), goodSecret), Claims},
		"odd subject":          {crafted(t, head, with(object{"sub": "a\x1b[2J"}), goodSecret), Claims},
		"scope unknown":        {crafted(t, head, with(object{"scope": "docs:root"}), goodSecret), Claims},
		"scope no text":        {crafted(t, head, with(object{"scope": []string{"docs:read"}}), goodSecret), Malformed},
		"scopes without end":   {crafted(t, head, with(object{"scope": strings.TrimSpace(repeated("a:read ", MaxScopes+1))}), goodSecret), Claims},
	} {
		who, err := k.verify(noon, c.token)
		switch {
		case c.reason == "":
			if err != nil || who.Subject != "ann" || who.Kind != JWT {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
		case c.reason == "any":
			if !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%s: %v", name, err)
			}
		default:
			wantDenied(t, name, err, ErrUnauthenticated, c.reason)
			if who.Kind != Nobody {
				t.Errorf("%s: %+v", name, who)
			}
		}
	}
}

// noneToken has no signature, as the algorithm none wants it.
func noneToken(t testing.TB, alg string) string {
	t.Helper()
	token := crafted(t, object{"alg": alg}, goodClaims(), "")
	return token[:strings.LastIndex(token, ".")+1]
}

// looseBits sets bits of the last character that no byte of the signature has.
func looseBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

// TestAPublicKeyIsNoSecret: a service that takes RS256 and HS256 with one key can
// be given a token that was signed with the public half.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	must(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	k := keyring(t, goodSecret)
	signed := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(goodClaims()))
	token, err := signed.SignedString(private)
	must(t, err)
	_, err = k.verify(noon, token)
	wantDenied(t, "RS256", err, ErrUnauthenticated, Algorithm)
	_, err = k.verify(noon, crafted(t, object{"alg": "HS512"}, goodClaims(), string(text)))
	wantDenied(t, "public key as secret", err, ErrUnauthenticated, Signature)
}

func TestAMintedTokenIsKnown(t *testing.T) {
	k := keyring(t, goodSecret)
	token, err := k.Mint(noon.Add(400*time.Millisecond), rand.Reader, TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes(t, "docs:read team-*:write")})
	must(t, err)
	who, err := k.verify(noon, token.Value.Reveal())
	must(t, err)
	if who.Subject != "ann" || who.ID != token.ID || len(token.ID) != 16 || !who.Expires.Equal(token.Expires) || joinScopes(who.scopes) != "docs:read team-*:write" {
		t.Errorf("%+v, %+v", who, token)
	}
	// Seconds that were cut off never make it live longer.
	if want := noon.Add(time.Hour); !token.Expires.Equal(want) || !who.first.Equal(noon) {
		t.Errorf("expires at %v, want %v", token.Expires, want)
	}
}

func TestWhatCannotBeMinted(t *testing.T) {
	k := keyring(t, goodSecret)
	for name, r := range map[string]TokenRequest{
		"no subject":  {TTL: time.Hour},
		"odd subject": {Subject: "a b", TTL: time.Hour},
		"no time":     {Subject: "ann"},
		"too short":   {Subject: "ann", TTL: time.Second - 1},
		"too long":    {Subject: "ann", TTL: MaxTTL + 1},
		"many scopes": {Subject: "ann", TTL: time.Hour, Scopes: scopesOf(MaxScopes + 1)},
	} {
		if _, err := k.Mint(noon, rand.Reader, r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Keyring{}).Mint(noon, rand.Reader, TokenRequest{Subject: "ann", TTL: time.Hour}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := k.Mint(noon, bytes.NewReader(nil), TokenRequest{Subject: "ann", TTL: time.Hour}); err == nil {
		t.Error("made without random numbers")
	}
	most := TokenRequest{Subject: repeated("s", maxSubject), TTL: MaxTTL, Scopes: scopesOf(MaxScopes)}
	token, err := k.Mint(noon, rand.Reader, most)
	must(t, err)
	if _, err := k.verify(noon, token.Value.Reveal()); err != nil {
		t.Errorf("the largest token: %v", err)
	}
}

func scopesOf(n int) []Scope {
	out := make([]Scope, n)
	for i := range out {
		out[i] = Scope{repeated("r", maxPattern-1) + "*", Admin}
	}
	return out
}

// TestSecretsRotate: the new secret signs, the one before still verifies, the
// one before that does not.
func TestSecretsRotate(t *testing.T) {
	mint := func(k Keyring) string {
		token, err := k.Mint(noon, rand.Reader, TokenRequest{Subject: "ann", TTL: time.Hour})
		must(t, err)
		return token.Value.Reveal()
	}
	before, after := keyring(t, goodSecret), keyring(t, otherSecret, goodSecret)
	old, new := mint(before), mint(after)
	for name, token := range map[string]string{"old": old, "new": new, "old, no kid": crafted(t, object{"alg": "HS512"}, goodClaims(), goodSecret)} {
		if _, err := after.verify(noon, token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := before.verify(noon, new)
	wantDenied(t, "new before", err, ErrUnauthenticated, UnknownKid)
	_, err = keyring(t, otherSecret).verify(noon, old)
	wantDenied(t, "old at the end", err, ErrUnauthenticated, UnknownKid)
	// A kid is no way to be verified with the other secret.
	_, err = after.verify(noon, crafted(t, object{"alg": "HS512", "kid": after.secrets[0].kid}, goodClaims(), goodSecret))
	wantDenied(t, "kid of the other", err, ErrUnauthenticated, Signature)
}
