package document_test

import (
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// TestFieldsInAnotherCase: JSON fields are matched without regard to case, so
// "Encoding" is no unknown field. Kept as one, it would speak of the next
// version's files and bring back what an edit removed.
func TestFieldsInAnotherCase(t *testing.T) {
	const metadata = `{"ID":"a","Source":{"type":"text","url":"https://old"},"Metadata":{"old":1},"Encoding":{"content.txt":"base64"},"Owner":"Ann"}`
	d := fromFiles(t, map[string][]byte{document.MetadataFile: []byte(metadata), document.TextFile: []byte("aGVsbG8=")})
	if d.Content.Text != "hello" || d.Source.URL != "https://old" {
		t.Fatalf("read %+v", d)
	}
	d.Source.URL, d.Content.Metadata = "", nil
	for _, transport := range []document.Transport{document.AnyBytes, document.TextOnly} {
		again, err := document.FromFiles(filesOf(t, d, transport), document.Type{})
		if err != nil {
			t.Errorf("what was written cannot be read: %v", err)
			continue
		}
		if again.Content.Text != "hello" || again.Source.URL != "" || len(again.Content.Metadata) != 0 {
			t.Errorf("came back as %+v", again)
		}
		if hashOf(t, again) != hashOf(t, d) {
			t.Error("the hash changed on the way")
		}
	}
}
