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

// Message returns the commit message of the batch: what was done to which
// documents, then the trailers. It is printable ASCII, because a govc service
// accepts nothing else.
func (b Batch) Message() string {
	const listed = 20
	var out strings.Builder
	switch {
	case len(b.Ops) == 0: // only the trailers are new
		out.WriteString("Record how far git is")
	case len(b.Ops) == 1:
		out.WriteString(describe(b.Ops[0]))
	default:
		fmt.Fprintf(&out, "Update %d documents\n", len(b.Ops))
		for i, op := range b.Ops {
			if i == listed {
				fmt.Fprintf(&out, "\nand %d more", len(b.Ops)-listed)
				break
			}
			out.WriteString("\n" + describe(op))
		}
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
