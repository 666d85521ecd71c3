package access

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzToken: whatever is accepted carries a signature that was computed here
// without the library, and names a subject and an end.
func FuzzToken(f *testing.F) {
	k := keyring(f, goodSecret, otherSecret)
	minted, err := k.Mint(noon, rand.Reader, TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes(f, "docs:read")})
	must(f, err)
	for _, seed := range []string{
		minted.Value.Reveal(), noneToken(f, "none"), crafted(f, object{"alg": "HS512"}, goodClaims(), otherSecret),
		crafted(f, object{"alg": "HS512"}, with(object{"exp": 1e300}), goodSecret), "..", "a.b.c", "eyJ", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		who, err := k.verify(noon, text)
		if err != nil {
			if !errors.Is(err, ErrUnauthenticated) || who.Kind != Nobody {
				t.Fatalf("%+v, %v", who, err)
			}
			return
		}
		body, given, _ := strings.Cut(text[strings.Index(text, ".")+1:], ".")
		body = text[:strings.Index(text, ".")+1] + body
		signature, err := base64.RawURLEncoding.DecodeString(given)
		signed := false
		for _, secret := range []string{goodSecret, otherSecret} {
			for _, algorithm := range []func() hash.Hash{sha256.New, sha512.New384, sha512.New} {
				mac := hmac.New(algorithm, []byte(secret))
				mac.Write([]byte(body))
				signed = signed || hmac.Equal(mac.Sum(nil), signature)
			}
		}
		if err != nil || !signed || checkSubject(who.Subject) != nil || !who.Expires.Add(Leeway).After(noon) {
			t.Fatalf("%q is accepted as %+v (%v)", text, who, err)
		}
	})
}

// FuzzAPIKey: a key that is not mistyped is one of 32 bytes and their checksum,
// written in the one way there is.
func FuzzAPIKey(f *testing.F) {
	for range 3 {
		key, err := newAPIKey(rand.Reader)
		must(f, err)
		f.Add(key.Reveal())
		f.Add(strings.ToUpper(key.Reveal()))
		f.Add(key.Reveal()[1:])
	}
	f.Add("")
	f.Add(KeyPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		sum, err := hashAPIKey(text)
		if err != nil {
			if !errors.Is(err, errMistyped) || sum != [32]byte{} {
				t.Fatal(err)
			}
			return
		}
		raw, err := hex.DecodeString(strings.TrimPrefix(text, KeyPrefix))
		if err != nil || len(raw) != 36 {
			t.Fatalf("%q: %v", text, err)
		}
		body := KeyPrefix + hex.EncodeToString(raw[:32])
		check := crc32.ChecksumIEEE([]byte(body))
		if want := []byte{byte(check >> 24), byte(check >> 16), byte(check >> 8), byte(check)}; !bytes.Equal(raw[32:], want) || sum != sha256.Sum256([]byte(text)) {
			t.Fatalf("%q is taken for a key", text)
		}
	})
}

// FuzzAccessFile: whatever is taken is written back as something that is read as
// the same, and can be put in force.
func FuzzAccessFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"keys":[` + oneKey + `],"grants":[{"subject":"ann","scope":"team-*:admin"}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"keys":[{}]}`))
	f.Add([]byte(`{"version":1,"grants":[{"subject":"ann","scope":"docs:read"},{"subject":"ann","scope":"docs:read"}]}`))
	f.Add([]byte(`[{"a":[{}]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decode(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if c.check() != nil {
			t.Fatalf("%q is taken", data)
		}
		s, err := newSnapshot(c)
		if err != nil || len(s.keys) != len(c.Keys) {
			t.Fatalf("%d of %d keys in force, %v", len(s.keys), len(c.Keys), err)
		}
		written, err := c.encode()
		must(t, err)
		again, err := decode(written)
		must(t, err)
		rewritten, err := again.encode()
		must(t, err)
		if !bytes.Equal(written, rewritten) || !reflect.DeepEqual(normal(c), normal(again)) {
			t.Fatalf("%q is read back as %q", written, rewritten)
		}
	})
}

// normal writes times and empty lists in one way.
func normal(c contents) contents {
	out := contents{Keys: []record{}, Grants: append([]Grant{}, c.Grants...)}
	for _, k := range c.Keys {
		k.Scopes = append([]Scope{}, k.Scopes...)
		k.Created, k.Expires, k.Revoked = k.Created.UTC(), k.Expires.UTC(), k.Revoked.UTC()
		out.Keys = append(out.Keys, k)
	}
	return out
}

// FuzzCredential: no header ends in a panic, or in somebody.
func FuzzCredential(f *testing.F) {
	c, err := New(Options{Keyring: keyring(f, goodSecret), Limits: Limits{Failures: 1 << 30}})
	must(f, err)
	f.Add("Bearer x", "", false)
	f.Add("Basic eDp5", "caia_", true)
	f.Fuzz(func(t *testing.T, authorization, key string, git bool) {
		r := request()
		r.Header["Authorization"] = []string{authorization}
		r.Header["X-Api-Key"] = []string{key}
		if who, err := c.authenticate(r, git); err == nil {
			t.Fatalf("%q, %q is %+v", authorization, key, who)
		}
	})
}
