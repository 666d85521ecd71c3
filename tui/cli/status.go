package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

func (a *app) statusCommand() *cobra.Command {
	watch := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "say how the running engine is",
		Long: "Reports on the running engine. Exit code 0: healthy, 1: not healthy, 3: no engine runs.\n" +
			"With --watch it goes on until ctrl+c, through engines that come and go: on a terminal as a\n" +
			"report that is drawn anew, else as a line (with --json an object) for every change.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watch(cmd)
			}
			err := a.with(cmd, a.Running, a.status)
			if errors.Is(err, ErrNoneRuns) {
				a.tell(err, ExitNoneRuns)
				return ExitCode(ExitNoneRuns)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, and show every change")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) status(ctx context.Context, session Session) error {
	status, err := session.Control().Status(ctx)
	if err != nil {
		return fault("the state of the engine cannot be read", err)
	}
	if a.json {
		err = a.printJSON(a.Stdout, status)
	} else {
		err = WriteStatus(a.Stdout, status, a.Now())
	}
	if err != nil {
		return err
	}
	return StatusResult(status)
}

// StatusResult is nil for a healthy engine, else ExitCode(ExitDegraded).
func StatusResult(status httpapi.Status) error {
	if status.Healthy {
		return nil
	}
	return ExitCode(ExitDegraded)
}

// WriteStatus writes status as lines that a person reads.
func WriteStatus(w io.Writer, status httpapi.Status, now time.Time) error {
	health := "healthy"
	if !status.Healthy {
		health = "NOT HEALTHY"
	}
	rows := [][]string{{"state", fmt.Sprintf("%s (%s) for %s", status.State, health, ago(status.Since, now))}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("why", ui.Gist(status.Reason))
	add("next", status.Next)
	if status.Drill != nil {
		add("drill", drillLine(*status.Drill, now))
	}
	add("phase", status.Phase+changeLine(status.Change))
	add("service", serviceLine(status.Service))
	add("repository", status.Repository)
	add("documents", fmt.Sprintf("%s, %s", ui.Count(status.Documents), size(status.Bytes)))
	add("outbox", outboxLine(status, now))
	if status.Kept != nil {
		add("kept copies", keptLine(*status.Kept))
	}
	for _, s := range status.Stores {
		add(s.Name, storeLine(s))
	}
	if status.Parked > 0 {
		were := " were"
		if status.Parked == 1 {
			were = " was"
		}
		add("parked", count(status.Parked, "operation")+were+" set aside, see: caiatop parked list")
	}
	if status.Conflicts > 0 {
		add("conflicts", ui.Count(status.Conflicts)+" open, see: caiatop conflicts list")
	}
	if p := status.Progress; p != nil {
		add("progress", fmt.Sprintf("%s: %s of %s", p.What, ui.Count(p.Done), ui.Count(p.Total)))
	}
	add("backup", backupLine(status.Backup, now))
	add("verified", verifyLine(status.Verify, now))
	add("safe in", strings.Join(status.Safe, ", "))
	add("also in", strings.Join(status.Also, ", "))
	add("state folder", status.StateDir)
	add("git", status.GitDir)
	if status.PID != 0 {
		add("process", strings.TrimRight(fmt.Sprintf("%d, %s", status.PID, holderName(status.Holder)), ", "))
	}
	if j := status.Job; j != nil {
		add("busy with", fmt.Sprintf("%s: %s of %s", j.What, ui.Count(j.Done), ui.Count(j.Total)))
	}
	if err := table(w, rows); err != nil {
		return err
	}
	return writeLatencies(w, status.Latencies)
}

// holderName says what kind of process runs the engine: "console", "serve",
// "the command import".
func holderName(h httpapi.Holder) string {
	if h.Kind == httpapi.HolderCommand {
		return "the command " + h.Command
	}
	return h.Kind
}

func writeLatencies(w io.Writer, latencies []httpapi.Latency) error {
	rows := [][]string{{"operation", "store", "count", "errors", "per s", "p50", "p95", "p99", "max"}}
	for _, l := range latencies {
		if l.Count == 0 && l.Errors == 0 {
			continue
		}
		rows = append(rows, []string{
			l.Op, l.Store, ui.Count(l.Count), ui.Count(l.Errors), strings.TrimSpace(ui.Rate(l.Rate)),
			millis(l.P50MS), millis(l.P95MS), millis(l.P99MS), millis(l.MaxMS),
		})
	}
	if len(rows) == 1 {
		return nil
	}
	if err := emit(w, "\nthe last five minutes\n"); err != nil {
		return err
	}
	return table(w, rows)
}

func serviceLine(s httpapi.Service) string {
	if s.URL == "" {
		return "none in this phase"
	}
	line := s.URL
	if s.Embedded {
		line += " (embedded)"
	}
	if !s.Up {
		line += ", down"
		if s.Error != "" {
			line += ": " + cause(s.Error)
		}
		return line
	}
	line += ", up"
	if s.Version != "" {
		line += ", version " + s.Version
	}
	if s.ProbeMS > 0 {
		line += ", probe " + millis(s.ProbeMS)
	}
	return line
}

// outboxLine says what the primary lacks, and where that is kept: the outbox lets
// go of content that git has.
func outboxLine(status httpapi.Status, now time.Time) string {
	o := status.Outbox
	if o.Pending == 0 {
		return "empty"
	}
	line := ui.Count(o.Pending) + " pending"
	inGit := slices.ContainsFunc(status.Stores, func(s httpapi.Store) bool { return s.Name == string(probe.Git) && !s.Unknown && s.Lag == 0 })
	switch {
	case o.Bytes > 0:
		line += ", " + size(o.Bytes) + " of content not in git yet"
	case inGit:
		line += ", the content is in git"
	}
	if o.Oldest != nil {
		line += ", the oldest from " + ago(*o.Oldest, now) + " ago"
	}
	return line
}

func storeLine(s httpapi.Store) string {
	var line string
	switch {
	case s.Damage != "":
		line = "DAMAGED, at " + ui.Count(s.Cursor) + ": " + s.Damage
	case s.Detached && s.Cursor > 0:
		line = "detached at " + ui.Count(s.Cursor)
	case s.Unknown:
		line = ui.Unknown
	case s.InStep:
		line = "in step at " + ui.Count(s.Cursor)
	default:
		line = ui.Count(s.Lag) + " behind"
	}
	if s.Error != "" {
		line += ": " + cause(s.Error)
	}
	if s.Warning != "" {
		line += "; damaged, and needed by nothing: " + s.Warning
	}
	return line
}

// cause shortens a long chain of an error to how it begins and ends. That the
// other side does not answer is said by the line that it stands on.
func cause(chain string) string {
	const links = 4
	if strings.Count(chain, ": ") < links-1 {
		return chain
	}
	return strings.TrimPrefix(ui.Gist(chain), "Unavailable: ")
}

func millis(ms float64) string {
	return strings.TrimSpace(ui.Duration(time.Duration(ms * float64(time.Millisecond))))
}

func size(n int64) string { return strings.TrimSpace(ui.Bytes(n)) }

// ago says how long t is past, "-" if t is unknown.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ui.Unknown
	}
	return ui.Age(max(0, now.Sub(t)))
}
