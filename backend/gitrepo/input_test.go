package gitrepo

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPlainNamesAreAllowedByAllRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(
			rapid.StringMatching(`[-_0-9A-Za-z]{1,101}`),
			rapid.StringMatching(`[-_0-9A-Za-z./@{~^: \x00-\x1f\x7f]{0,6}`),
			rapid.String(),
		).Draw(t, "name")
		if plainName(name) && checkRef(headsPrefix+name) != nil {
			t.Fatalf("%q is plain: %v", name, checkRef(headsPrefix+name))
		}
	})
	for _, name := range []string{"", "-a", "a.lock", "a/b", "a b", "a@{1}", "@", "a\x00", "a\u00e9", strings.Repeat("a", 101)} {
		if plainName(name) {
			t.Errorf("%q is plain", name)
		}
	}
	for _, name := range []string{"HEAD", "a", "Side-1_b", strings.Repeat("a", 100)} {
		if !plainName(name) || checkRef(headsPrefix+name) != nil {
			t.Errorf("%q: %v", name, checkRef(headsPrefix+name))
		}
	}
}
