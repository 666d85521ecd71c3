package document

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPlainNamesBreakNoRule: what is let through without a closer look would
// pass it.
func TestPlainNamesBreakNoRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`[.a-cgit0-9~_-]{0,9}`), rapid.StringMatching(`\.?(git|GIT|gitmod|gi7eba)(modules|attributes|~[0-9])?\.?`), rapid.String(),
		).Draw(t, "name")
		if !isPlain(s) {
			return
		}
		if err := checkOddName("name", s, MaxSegment); err != nil {
			t.Error(err)
		}
		if own, is := gitOwnFile(s); is {
			t.Errorf("%q means %s", s, own)
		}
	})
}
