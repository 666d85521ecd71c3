package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/ui"
)

// noteTime bounds how long the engine may take to note what a command does.
const noteTime = 2 * time.Second

// begins lets the events of the engine say that a job begins. That this cannot
// be said is never a reason for the job to fail.
func (a *app) begins(ctx context.Context, to httpapi.Facts, job string) {
	a.noteJob(ctx, to, httpapi.Note{Level: string(journal.Info), Text: job + " begins"})
}

// ended lets the events of the engine say how a job ended, also where the
// command was told to end. next is for one that err kept from doing all.
func (a *app) ended(ctx context.Context, to httpapi.Facts, job, outcome string, err error, next string) {
	text, gap := job+" ended", ": "
	if outcome != "" {
		text, gap = text+": "+outcome, ". "
	}
	note := httpapi.Note{Level: string(journal.Info), Text: text}
	if err != nil {
		note = httpapi.Note{Level: string(journal.Warning), Text: text + gap + ui.Gist(interrupted(ctx, err).Error()), Next: next}
	}
	a.noteJob(context.WithoutCancel(ctx), to, note)
}

func (a *app) noteJob(ctx context.Context, to httpapi.Facts, note httpapi.Note) {
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	note.Text = bounded(note.Text)
	// An engine that went away, and the end of this command, are told anyway.
	if err := to.Note(ctx, note); err != nil && !errors.Is(err, httpapi.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		a.note("the events of the engine do not tell of this: %v", err)
	}
}

// bounded is s as a note takes it.
func bounded(s string) string {
	const cut = "..."
	if s = strings.ToValidUTF8(s, "\ufffd"); len(s) <= httpapi.MaxNote {
		return s
	}
	return strings.ToValidUTF8(s[:httpapi.MaxNote-len(cut)], "") + cut
}

// withEvents does what note says if an engine runs whose events can tell of a
// job that needs none, also where the command was told to end.
func (a *app) withEvents(cmd *cobra.Command, note func(context.Context, httpapi.Facts)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), noteTime)
	defer cancel()
	session, err := a.Running(ctx, flagsOf(cmd), a.caller(cmd))
	if err == nil {
		note(cmd.Context(), session)
		err = session.Close(ctx)
	}
	if err != nil && !errors.Is(err, httpapi.ErrUnavailable) {
		a.note("the events of the engine do not tell of this: %v", err)
	}
}
