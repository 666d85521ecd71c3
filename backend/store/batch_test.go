package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// batchOf is a batch of as many documents, with ids of that many bytes.
func batchOf(t *testing.T, documents, idBytes int) Batch {
	t.Helper()
	var b Batch
	for i := range documents {
		id, err := document.ParseID(fmt.Sprintf("%0*d", idBytes, i))
		if err != nil {
			t.Fatal(err)
		}
		op := Op{ID: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", i), Key: Key{ID: id}}
		if i%2 == 0 {
			op.Doc = &document.Document{ID: id}
		}
		b.Ops = append(b.Ops, op)
		b.Trailers = append(b.Trailers, Trailer{Key: "Op-Id", Value: op.ID})
	}
	return b
}

// A message lists the documents of its batch up to two limits, and says how
// many it leaves out beyond them.
func TestAMessageListsItsDocuments(t *testing.T) {
	const longest = document.MaxID
	put, del := len("\nPut document ")+longest, len("\nDelete document ")+longest
	most := maxListedBytes / (put + del) * 2 // as many as have room, in pairs
	if rest := maxListedBytes - most/2*(put+del); rest >= put {
		most++
	}
	for name, test := range map[string]struct {
		documents, idBytes, listed int
	}{
		"two":                     {2, 4, 2},
		"at the limit of lines":   {maxListed, 8, maxListed},
		"one line past it":        {maxListed + 1, 8, maxListed},
		"at the limit of bytes":   {most, longest, most},
		"one document past it":    {most + 1, longest, most},
		"many documents past it":  {3 * maxListed, longest, most},
		"as many as a govc takes": {256, longest, 256},
	} {
		t.Run(name, func(t *testing.T) {
			b := batchOf(t, test.documents, test.idBytes)
			message := b.Message()
			subject, body, _ := strings.Cut(message, "\n\n")
			if want := fmt.Sprintf("Update %d documents", test.documents); subject != want {
				t.Errorf("the subject is %q", subject)
			}
			list, trailers, _ := strings.Cut(body, "\n\n")
			lines := strings.Split(list, "\n")
			if left := test.documents - test.listed; left > 0 {
				if got := lines[len(lines)-1]; got != fmt.Sprintf("and %d more", left) {
					t.Errorf("the list ends with %q", got)
				}
				lines = lines[:len(lines)-1]
			}
			if len(lines) != test.listed {
				t.Fatalf("%d lines", len(lines))
			}
			for i, line := range lines {
				if line != describe(b.Ops[i]) {
					t.Fatalf("line %d is %q", i, line)
				}
			}
			if n := strings.Count(trailers, "Op-Id: "); n != test.documents {
				t.Errorf("%d trailers", n)
			}
			if name == "as many as a govc takes" && len(message) > 100_000 {
				t.Errorf("%d bytes", len(message))
			}
		})
	}
}
