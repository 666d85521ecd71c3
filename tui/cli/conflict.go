package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// met is nil for an acknowledgement without a conflict, else an error that wraps
// httpapi.ErrConflict: what was written is safe, and not where it was meant to be.
func met(ack httpapi.Ack) error {
	if len(ack.Conflicts) == 0 {
		return nil
	}
	what := make([]string, 0, len(ack.Conflicts))
	for _, c := range ack.Conflicts {
		text := fmt.Sprintf("%q was changed at the service by somebody else: their version keeps the place, yours is kept as %q", c.ID, c.Copy)
		if c.Copy == "" {
			text = fmt.Sprintf("%q was changed at the service by somebody else: their version stays, it was not deleted", c.ID)
		}
		what = append(what, text)
	}
	c := ack.Conflicts[0]
	fix := fmt.Sprintf("compare the two, put into %s what is to stay, then: caiatop rm %s", shellWord(c.ID), shellWord(c.Copy))
	if c.Copy == "" {
		fix = fmt.Sprintf("read it with: caiatop get %s; delete it again if it is not wanted", shellWord(c.ID))
	}
	return &Fault{What: strings.Join(what, "; "), Why: known{httpapi.ErrConflict}, Fix: fix}
}

// acknowledged ends a command that wrote something: reply is what it says with
// --json, and the line is what it says else.
func (a *app) acknowledged(ack httpapi.Ack, reply any, format string, args ...any) error {
	var err error
	if a.json {
		err = a.printJSON(a.Stdout, reply)
	} else {
		err = emit(a.Stdout, format, args...)
	}
	return errors.Join(err, met(ack))
}
