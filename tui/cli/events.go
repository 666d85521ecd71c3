package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	defaultEvents = 100
	// followEvery is how often a command that follows an engine looks at it.
	followEvery = 500 * time.Millisecond
)

// eventQuery selects events.
type eventQuery struct {
	since                 uint64
	level, kind, contains string
	limit                 int
	follow                bool
}

func (q eventQuery) takes(e httpapi.Event) bool {
	text := strings.ToLower(e.Text + "\n" + e.Next)
	return journal.Level(e.Level).AtLeast(journal.Level(q.level)) && (q.kind == "" || e.Kind == q.kind) &&
		strings.Contains(text, strings.ToLower(q.contains))
}

// happened is what events answers with --json.
type happened struct {
	Events []httpapi.Event `json:"events"`
}

func (a *app) eventsCommand() *cobra.Command {
	q := eventQuery{}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "say what happened",
		Long: "Lists what the running engine remembers, oldest first, or without one what the state\n" +
			"file does, which is all but slow calls and records of the log. Numbers begin at 1 with\n" +
			"every start of an engine. With --follow it goes on until ctrl+c, also with the next engine; --json then\n" +
			"writes one object a line.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			levels := []journal.Level{journal.Info, journal.Warning, journal.Error}
			switch {
			case !slices.Contains(levels, journal.Level(q.level)):
				return usage(fmt.Sprintf("--level %q is none", q.level), "give info, warning or error")
			case q.limit < 1 || q.limit > httpapi.MaxEvents:
				return usage(fmt.Sprintf("--limit %d is out of range", q.limit), "give 1 to "+ui.Count(httpapi.MaxEvents))
			}
			if q.follow {
				return a.followEvents(cmd, q)
			}
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				found, err := selected(ctx, session, q)
				if err != nil {
					return fault("the events cannot be read", err)
				}
				if a.json {
					return a.printJSON(a.Stdout, happened{found})
				}
				return a.printEvents(found)
			})
		},
	}
	cmd.Flags().Uint64Var(&q.since, "since", 0, "only what came after the event with this `NUMBER`")
	cmd.Flags().StringVar(&q.level, "level", string(journal.Info), "the least `LEVEL`: info, warning or error")
	cmd.Flags().StringVar(&q.kind, "kind", "", "only events of this `KIND`, like state or conflict")
	cmd.Flags().StringVar(&q.contains, "contains", "", "only events that contain this `TEXT`")
	cmd.Flags().IntVar(&q.limit, "limit", defaultEvents, "the newest so many, 1 to "+ui.Count(httpapi.MaxEvents))
	cmd.Flags().BoolVar(&q.follow, "follow", false, "go on with what happens")
	a.jsonFlag(cmd)
	return cmd
}

// selected returns the newest events that q takes, oldest first.
func selected(ctx context.Context, session Session, q eventQuery) ([]httpapi.Event, error) {
	all, err := session.Events(ctx, q.since, httpapi.MaxEvents)
	if err != nil {
		return nil, err
	}
	found := []httpapi.Event{}
	for _, e := range all {
		if q.takes(e) {
			found = append(found, e)
		}
	}
	return found[max(0, len(found)-q.limit):], nil
}

func (a *app) printEvents(events []httpapi.Event) error {
	for _, e := range events {
		line := fmt.Sprintf("%6d  %s  %-7s  %-8s  %s", e.Seq, stamp(e.At), e.Level, e.Kind, e.Text)
		if e.Next != "" {
			line += " -> " + e.Next
		}
		if err := emit(a.Stdout, "%s\n", safe(line)); err != nil {
			return err
		}
	}
	return nil
}

// followEvents writes events as they come, until ctx ends, through engines that
// come and go. The numbers of another engine begin anew.
func (a *app) followEvents(cmd *cobra.Command, q eventQuery) error {
	pid, away := 0, false
	for {
		var found []httpapi.Event
		err := a.with(cmd, a.Running, func(ctx context.Context, session Session) error {
			status, err := session.Control().Status(ctx)
			if err != nil {
				return err
			}
			if pid != 0 && status.PID != pid {
				q.since = 0
			}
			pid = status.PID
			found, err = session.Events(ctx, q.since, httpapi.MaxEvents)
			return err
		})
		switch {
		case cmd.Context().Err() != nil:
			return nil
		case err != nil && !errors.Is(err, httpapi.ErrUnavailable):
			return fault("the events cannot be read", err)
		case err != nil && !away:
			a.note("no engine answers; waiting for the next")
		}
		away = err != nil
		if err := a.writeEvents(found, &q); err != nil {
			return err
		}
		if !pause(cmd.Context(), followEvery) {
			return nil
		}
	}
}

func (a *app) writeEvents(found []httpapi.Event, q *eventQuery) error {
	for _, e := range found {
		q.since = e.Seq
		if !q.takes(e) {
			continue
		}
		var err error
		if a.json {
			err = a.printJSONLine(e)
		} else {
			err = a.printEvents([]httpapi.Event{e})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printJSONLine writes v on one line of stdout.
func (a *app) printJSONLine(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	return emit(a.Stdout, "%s\n", escapeHidden(string(data)))
}
