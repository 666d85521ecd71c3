package cli

import (
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
)

const (
	// maxWritten bounds metadata as its file holds it, a line for each value, in
	// bytes: deep nesting makes a hundred times as many of them, and more than
	// git or a service takes.
	maxWritten = 8 * document.MaxMetadata
	// metadataDepth is how deep the values of metadata stand in their file, and
	// indentWidth what a line gains with each level.
	metadataDepth = 2
	indentWidth   = 2
)

// checkWritten refuses metadata whose file would be far larger than it is. raw
// is valid JSON.
func checkWritten(id document.ID, written *int64, raw []byte) error {
	depth, quoted, escaped := int64(metadataDepth), false, false
	for _, c := range raw {
		*written++
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
			*written += 1 + depth*indentWidth
		case c == ',':
			*written += 1 + depth*indentWidth
		case c == '}' || c == ']':
			depth--
			*written += 1 + depth*indentWidth
		}
	}
	if *written > maxWritten {
		return fmt.Errorf("%w %q: the metadata nests so deep that its file has more than %d bytes", document.ErrTooLarge, id, maxWritten)
	}
	return nil
}
