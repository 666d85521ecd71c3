package access

import (
	"crypto/sha256"
	"testing"
	"time"
)

// BenchmarkCheck is what access costs a request, beside its floor: one SHA-256
// of a token.
func BenchmarkCheck(b *testing.B) {
	c := control(b, Options{Dir: b.TempDir(), Keyring: keyring(b, goodSecret)})
	_, key := makeKey(b, c.Register(), "ci", "docs:write", time.Time{})
	must(b, c.Reload())
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes(b, "docs:write")})
	must(b, err)
	b.Run("floor", func(b *testing.B) {
		text := []byte(token.Value.Reveal())
		for b.Loop() {
			sha256.Sum256(text)
		}
	})
	for name, headers := range map[string][]string{"key": {"X-API-Key", key}, "token": bearer(token.Value.Reveal())} {
		r := request(headers...)
		r.RemoteAddr = "127.0.0.1:1"
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := c.Check(r, Route{Repo: "docs", Need: Write})
				must(b, err)
			}
		})
	}
	b.Run("token, first time", func(b *testing.B) {
		for b.Loop() {
			_, err := c.keyring.verify(c.now(), token.Value.Reveal())
			must(b, err)
		}
	})
}
