package task

import (
	"context"
	"errors"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// known pairs the errors that callers decide on with what they mean to an
// operator and what to do. The first that fits counts.
var known = []struct {
	err            error
	reason, advice string
}{
	{context.DeadlineExceeded, "no answer in time", "Try again; the Overview page says how the service does"},
	{context.Canceled, "cancelled", "Nothing more to do"},
	{document.ErrTooLarge, "", "Split it, a document holds 10 MiB at most"},
	{document.ErrInvalid, "", "Correct it and try again"},
	{store.ErrNotFound, "there is no such document", "It may have been deleted, look at the list again"},
	{store.ErrConflict, "it was changed meanwhile", "Open it again and look at the newest version"},
	{store.ErrAmbiguous, "the outcome is unknown", "Look at the document before trying again"},
	{store.ErrUnavailable, "the store does not answer", "Nothing is lost; try again, the Overview says how the stores do"},
	{store.ErrUnauthorized, "the service refuses the credentials", "Correct the credentials and start again"},
	{store.ErrReadOnly, "the store can only be read", "Make its folder writable and start again"},
	{store.ErrDiskFull, "no space is left on the disk", "Free some space; reading still works"},
	{store.ErrIdentity, "this is another repository than before", "Point at the right service, or run: caiatop recover --adopt"},
	{store.ErrTooLarge, "too large for this store", "It stays in git"},
	{store.ErrCorrupt, "what the store holds cannot be read", "Nothing was changed; look where it lies, caiatop status names the folders"},
}

// Reason says in a few words why err happened.
func Reason(err error) string {
	for _, k := range known {
		if !errors.Is(err, k.err) {
			continue
		}
		if k.reason != "" {
			return k.reason
		}
		break
	}
	return strings.TrimRight(err.Error(), ". \n")
}

// Advice says what an operator can do about err.
func Advice(err error) string {
	for _, k := range known {
		if errors.Is(err, k.err) {
			return k.advice
		}
	}
	return FullText
}

// FullText is the advice where there is none: whoever reads it may know more.
const FullText = "Press 5 for the full text"
