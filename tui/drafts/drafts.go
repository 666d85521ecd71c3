// Package drafts keeps unsaved edits on disk until they are saved or dropped.
//
// A draft is one file. What Save reported as done survives a power cut, and
// after a crash at any moment a file holds the old draft or the new one. A
// document comes back as it was given, byte for byte, with unknown fields of its
// metadata.json and every digit of its numbers.
//
// Drafts belong to owners: two may keep one of the same document. A file that
// cannot be read as a draft is set aside under another name and never deleted;
// nor is a draft, but by Drop. The package knows nothing of whether a draft is
// still wanted, and never looks at a clock.
package drafts

import (
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// Limits of one folder of drafts.
const (
	// MaxDrafts bounds the number of drafts, of all owners.
	MaxDrafts = 100
	// MaxBytes bounds their files together, in bytes (256 MiB).
	MaxBytes = 256 << 20
	// MaxOwner bounds the name of an owner, in bytes.
	MaxOwner = 256
)

var (
	// ErrFull is wrapped by what Save returns when a draft would pass MaxDrafts
	// or MaxBytes. Nothing was changed; a draft has to be dropped first.
	ErrFull = errors.New("no room for another draft")
	// ErrDamaged is wrapped by the reason why a file is no draft.
	ErrDamaged = errors.New("damaged draft")
	// ErrInvalid is wrapped by what Save returns for a draft that no file can
	// hold.
	ErrInvalid = errors.New("invalid draft")
)

// Draft is an edit that was not saved.
type Draft struct {
	ID       document.ID
	New      bool              // the document did not exist when the edit began
	Base     document.Hash     // the version it began with; zero for a new one
	Document document.Document // as edited
	At       time.Time         // of the edit
	Owner    string            // whose it is; may be empty
}

// Damaged is a file that cannot be read as a draft.
type Damaged struct {
	Path string // where it is kept now
	Err  error  // why it cannot be read; nil if an earlier start set it aside
}

// validate reports why no file can hold a draft.
func (d Draft) validate() error {
	switch {
	case d.ID.IsZero():
		return fmt.Errorf("%w: the id is missing", ErrInvalid)
	case d.Document.ID != d.ID:
		return fmt.Errorf("%w of %q: its document is %q", ErrInvalid, d.ID, d.Document.ID)
	case len(d.Owner) > MaxOwner:
		return fmt.Errorf("%w of %q: the owner has %d bytes, the limit is %d", ErrInvalid, d.ID, len(d.Owner), MaxOwner)
	}
	if y := d.At.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%w of %q: the year %d is not between 0 and 9999", ErrInvalid, d.ID, y)
	}
	return nil
}
