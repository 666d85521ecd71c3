package access

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawKey(rt *rapid.T) string {
	random := rapid.SliceOfN(rapid.Byte(), keyRandom, keyRandom).Draw(rt, "random")
	key, err := newAPIKey(bytes.NewReader(random))
	if err != nil {
		rt.Fatal(err)
	}
	if text := key.Reveal(); text[len(KeyPrefix):len(KeyPrefix)+keyDigits] != hex.EncodeToString(random) {
		rt.Fatalf("%s does not hold %x", text, random)
	}
	return key.Reveal()
}

// TestAMistypedKeyIsRecognised: one character wrong, missing, added or doubled,
// two swapped, another case: never taken for a key, and nobody has to look into
// the list of keys.
func TestAMistypedKeyIsRecognised(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := drawKey(rt)
		if _, err := hashAPIKey(key); err != nil {
			rt.Fatalf("%s: %v", key, err)
		}
		at := rapid.IntRange(0, len(key)-1).Draw(rt, "at")
		one := string(rapid.Byte().Draw(rt, "byte"))
		wrong := []string{key[:at] + one + key[at+1:], key[:at] + key[at+1:], key[:at] + one + key[at:], key[:at], key + one, " " + key, key + "\n", strings.ToUpper(key)}
		if at > 0 {
			wrong = append(wrong, key[:at-1]+key[at:at+1]+key[at-1:at]+key[at+1:])
		}
		for _, typed := range wrong {
			if typed == key {
				continue
			}
			if _, err := hashAPIKey(typed); !errors.Is(err, errMistyped) {
				rt.Fatalf("%q for %q: %v", typed, key, err)
			}
		}
	})
}

func TestKeysDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key, err := newAPIKey(rand.Reader)
		must(t, err)
		hash, err := hashAPIKey(key.Reveal())
		must(t, err)
		if seen[keyID(hash)] || !strings.HasPrefix(key.Reveal(), KeyPrefix) || len(key.Reveal()) != keyLength {
			t.Errorf("%d characters, or twice", len(key.Reveal()))
		}
		seen[keyID(hash)] = true
	}
	if _, err := newAPIKey(bytes.NewReader(make([]byte, keyRandom-1))); err == nil {
		t.Error("made of too few random numbers")
	}
}

// TestAMistypedKeyIsToldFromAnUnknownOne, also from one that was revoked.
func TestAMistypedKeyIsToldFromAnUnknownOne(t *testing.T) {
	c := control(t, Options{Dir: t.TempDir(), Now: newClock().now})
	_, key := makeKey(t, c.Register(), "ci", "docs:read", noon.AddDate(1, 0, 0))
	must(t, c.Reload())
	stranger, err := newAPIKey(rand.Reader)
	must(t, err)
	for name, x := range map[string]struct{ key, reason string }{
		"typo":    {spoil(key, 20), Mistyped},
		"cut off": {key[:40], Mistyped},
		"unknown": {stranger.Reveal(), UnknownKey},
		"no key":  {"hunter2", UnknownKey},
	} {
		_, err := c.Authenticate(request("X-API-Key", x.key))
		wantDenied(t, name, err, ErrUnauthenticated, x.reason)
	}
	if _, err := c.Authenticate(request("X-API-Key", key)); err != nil {
		t.Error(err)
	}
}
