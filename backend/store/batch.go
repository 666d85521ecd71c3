package store

import (
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
)

// Validate reports a batch that no store may apply: an invalid document, a
// missing key, two operations on one document, a document under another's key.
// Errors wrap document.ErrInvalid.
func (b Batch) Validate() error {
	seen := make(map[document.ID]struct{}, len(b.Ops))
	for _, op := range b.Ops {
		if op.Key.ID.IsZero() || op.Key.Folder.IsZero() {
			return fmt.Errorf("%w: an operation has no id or no folder", document.ErrInvalid)
		}
		if _, twice := seen[op.Key.ID]; twice {
			return fmt.Errorf("%w: the batch holds %q twice", document.ErrInvalid, op.Key.ID)
		}
		seen[op.Key.ID] = struct{}{}
		if op.Doc == nil {
			continue
		}
		if op.Doc.ID != op.Key.ID {
			return fmt.Errorf("%w: the document %q came under the key of %q", document.ErrInvalid, op.Doc.ID, op.Key.ID)
		}
		if err := op.Doc.ValidateShape(); err != nil {
			return err
		}
	}
	return nil
}

// What a message lists: with the trailers of the largest batch that goes to a
// govc service it has less than the 100,000 bytes which that accepts.
const (
	maxListed      = 1000     // documents
	maxListedBytes = 64 << 10 // of their lines
)

// Message returns the commit message of the batch: a short subject, what was
// done to which documents, as far as that is at most 1,000 lines of 64 KiB, then
// the trailers. It is printable ASCII, because a govc service accepts nothing
// else.
func (b Batch) Message() string {
	var out strings.Builder
	switch {
	case len(b.Ops) == 0: // only the trailers are new
		out.WriteString("Record how far git is")
	case len(b.Ops) == 1:
		out.WriteString(describe(b.Ops[0]))
	default:
		fmt.Fprintf(&out, "Update %d documents\n", len(b.Ops))
		b.list(&out)
	}
	out.WriteString("\n")
	if len(b.Trailers) > 0 {
		out.WriteString("\n")
	}
	for _, t := range b.Trailers {
		fmt.Fprintf(&out, "%s: %s\n", t.Key, t.Value)
	}
	return out.String()
}

// list writes a line for each operation, or for as many as there is room for
// and how many more there are.
func (b Batch) list(out *strings.Builder) {
	size := 0
	for i, op := range b.Ops {
		line := "\n" + describe(op)
		if size += len(line); i == maxListed || size > maxListedBytes {
			fmt.Fprintf(out, "\nand %d more", len(b.Ops)-i)
			return
		}
		out.WriteString(line)
	}
}

func describe(op Op) string {
	verb := "Put"
	if op.Doc == nil {
		verb = "Delete"
	}
	return verb + " document " + ASCII(op.Key.ID.String())
}

// ASCII returns s with every character outside printable ASCII replaced by
// "?".
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
