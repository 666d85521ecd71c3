package backup

import (
	"strings"
	"testing"
)

// TestASecretAtTheCutOfAServersWords: no part of it is left where the words of
// a server end, nor where white space in it is made one.
func TestASecretAtTheCutOfAServersWords(t *testing.T) {
	const password = "hunter2  hunter3\thunter4"
	hide := newRedactor(user, password)
	for before := maxSaid - 40; before < maxSaid+400; before++ {
		b := &bounded{hide: hide}
		text := strings.Repeat("x ", 3) + strings.Repeat(password+" ", before%7) + strings.Repeat("y", before) + password + strings.Repeat("z", 5000)
		for part := range strings.SplitSeq(text, "x") { // in several writes
			if _, err := b.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if got := hide.text(b.String()); strings.Contains(got, "hun") || len(b.String()) > maxSaid {
			t.Fatalf("%d before it: %d bytes, %q", before, len(got), got[max(0, len(got)-60):])
		}
	}
}
