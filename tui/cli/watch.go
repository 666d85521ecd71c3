package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// watchEvery is how often status --watch looks.
const watchEvery = time.Second

// watch reports on the engine until ctx ends, also where none runs for a while:
// on a terminal as a report that is drawn anew, else as a line for every change.
func (a *app) watch(cmd *cobra.Command) error {
	before := ""
	for {
		status, err := a.look(cmd)
		if cmd.Context().Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, httpapi.ErrUnavailable) {
			return err
		}
		if before, err = a.showChange(before, status, err); err != nil {
			return err
		}
		if !pause(cmd.Context(), watchEvery) {
			return nil
		}
	}
}

func (a *app) look(cmd *cobra.Command) (status httpapi.Status, err error) {
	err = a.with(cmd, a.Running, func(ctx context.Context, session Session) (err error) {
		status, err = session.Control().Status(ctx)
		return fault("the state of the engine cannot be read", err)
	})
	return status, err
}

// showChange writes what there is to see if it is another than before.
func (a *app) showChange(before string, status httpapi.Status, failed error) (string, error) {
	now, screen := watchLine(status, failed), a.IsTerminal(a.Stdout) && !a.json
	var out bytes.Buffer
	switch {
	case screen && failed != nil:
		out.WriteString(safe(failed.Error()) + "\n")
	case screen:
		if err := WriteStatus(&out, status, a.Now()); err != nil {
			return "", err
		}
	}
	if screen {
		now = out.String()
	}
	switch {
	case now == before:
		return now, nil
	case screen:
		// Home, each line over the one before, and nothing below the last.
		text := strings.ReplaceAll(now, "\n", "\x1b[K\n")
		return now, emit(a.Stdout, "\x1b[H%s\x1b[J", text)
	case a.json && failed != nil:
		return now, a.printJSONLine(told{failed.Error(), codeName(failed), Code(failed), advice(failed)})
	case a.json:
		return now, a.printJSONLine(status)
	}
	return now, emit(a.Stdout, "%s  %s\n", stamp(a.Now()), safe(now))
}

// watchLine is a line that changes when the engine does, not with the clock.
func watchLine(s httpapi.Status, failed error) string {
	if errors.Is(failed, ErrNoneRuns) {
		return "no engine runs"
	}
	if failed != nil {
		return failed.Error()
	}
	health := "healthy"
	if !s.Healthy {
		health = "NOT HEALTHY"
	}
	parts := []string{
		fmt.Sprintf("%s (%s)", s.State, health), fmt.Sprintf("process %d", s.PID),
		count(s.Documents, "document"), "outbox " + ui.Count(s.Outbox.Pending),
	}
	for _, store := range s.Stores {
		switch {
		case store.Damage != "":
			parts = append(parts, store.Name+" damaged")
		case store.Unknown:
			parts = append(parts, store.Name+" "+ui.Unknown)
		case store.Error != "":
			parts = append(parts, store.Name+" fails")
		case store.InStep:
			parts = append(parts, store.Name+" in step")
		default:
			parts = append(parts, store.Name+" "+ui.Count(store.Lag)+" behind")
		}
	}
	if s.Parked > 0 {
		parts = append(parts, ui.Count(s.Parked)+" parked")
	}
	for _, p := range []*httpapi.Progress{s.Progress, s.Job} {
		if p != nil {
			parts = append(parts, fmt.Sprintf("%s %s of %s", p.What, ui.Count(p.Done), ui.Count(p.Total)))
		}
	}
	if !s.Healthy && s.Reason != "" {
		parts = append(parts, ui.Gist(s.Reason))
	}
	return strings.Join(parts, ", ")
}
