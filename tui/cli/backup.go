package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

func (a *app) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup", Short: "push git to backup.remote, say how far it is, verify it", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do with the backup", "use it as: caiatop backup now, or: status, verify")
		},
	}
	cmd.AddCommand(a.backupNowCommand(), a.backupStatusCommand(), a.backupVerifyCommand())
	return cmd
}

func (a *app) backupNowCommand() *cobra.Command {
	anew := false
	cmd := &cobra.Command{
		Use: "now", Short: "push what git holds now", Args: args(0, 0),
		Long: "Pushes what git holds now to backup.remote, once. It never overwrites what lies there: where\n" +
			"that is no earlier state of this store, it says what it is. With --anew a backup is begun also\n" +
			"where an earlier one is gone.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				// Whoever wrote a moment ago expects that to be in it.
				if err := session.Control().Sync(ctx); err != nil {
					return fault("git does not hold every write, so the backup could not", err)
				}
				run, err := session.Backup(ctx, anew)
				if err != nil {
					return fault("the backup was not made", err)
				}
				if a.json {
					return a.printJSON(a.Stdout, run)
				}
				if run.Commits == 0 {
					return emit(a.Stdout, "nothing is new: %s has %s\n", safe(run.Target), abbreviated(run.Commit))
				}
				return emit(a.Stdout, "pushed %s (%s, %s) to %s, which has %s now\n", count(int64(run.Commits), "commit"),
					count(int64(run.Objects), "object"), size(run.Bytes), safe(run.Target), abbreviated(run.Commit))
			})
		},
	}
	cmd.Flags().BoolVar(&anew, "anew", false, "begin a backup also where an earlier one is gone")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) backupStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "say how far the backup is", Args: args(0, 0),
		Long: "Says where the backup goes, when it was made last and what it lacks. Exit code 0: the last push\n" +
			"went well, or no backup is set up, 1: the last push failed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				status, err := session.Control().Status(ctx)
				if err != nil {
					return fault("the state of the engine cannot be read", err)
				}
				if a.json {
					err = a.printJSON(a.Stdout, status.Backup)
				} else {
					err = table(a.Stdout, backupRows(status.Backup, a.Now()))
				}
				if err == nil && status.Backup.State == "failing" {
					err = ExitCode(ExitDegraded)
				}
				return err
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) backupVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "read all of the backup", Args: args(0, 0),
		Long: "Reads every object of the backup and compares it with its name; from a server all of it is\n" +
			"fetched into a temporary folder first. Exit code 0: this store can be restored from it, 74: it is\n" +
			"damaged, 69: it is of another history.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, a.Open, func(ctx context.Context, session Session) error {
				report, err := session.VerifyBackup(ctx)
				if err != nil {
					return fault("the backup could not be verified", err)
				}
				if a.json {
					err = a.printJSON(a.Stdout, report)
				} else {
					err = table(a.Stdout, verifyRows(report))
				}
				if err != nil {
					return err
				}
				return verifyResult(report)
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// verifyResult is nil for a backup from which this store can be restored.
func verifyResult(r httpapi.BackupReport) error {
	switch {
	case r.OK:
		return nil
	case r.Damaged > 0:
		return &Fault{
			What: "the backup is damaged: " + count(int64(r.Damaged), "object"), Why: known{httpapi.ErrCorrupt},
			Fix: "name an empty place in backup.remote, push with: caiatop backup now, and look at the disk of the old one",
		}
	}
	return &Fault{
		What: "the backup is not one of this store as it is: " + r.Strange, Why: known{httpapi.ErrIdentity},
		Fix: "look there with git log; restore from it, or name another place in backup.remote",
	}
}

func verifyRows(r httpapi.BackupReport) [][]string {
	rows := [][]string{
		{"backup", r.Target},
		{"commit", r.Commit},
		{"read", fmt.Sprintf("%s, %s, %s in %s", count(int64(r.Commits), "commit"), count(int64(r.Objects), "object"), size(r.Bytes), ui.Age(time.Duration(r.Seconds*float64(time.Second))))},
	}
	if r.Behind == nil {
		rows = append(rows, []string{"this store", ui.Unknown + " (" + r.Strange + ")"})
	} else if *r.Behind == 0 {
		rows = append(rows, []string{"this store", "the same"})
	} else {
		rows = append(rows, []string{"this store", count(int64(*r.Behind), "commit") + " newer"})
	}
	for _, d := range r.Damages {
		rows = append(rows, []string{"damaged", d})
	}
	if r.Damaged == 0 {
		rows = append(rows, []string{"damaged", "nothing"})
	}
	return rows
}

func backupRows(b httpapi.Backup, now time.Time) [][]string {
	if b.Target == "" {
		return [][]string{{"backup", "off: backup.remote is empty"}}
	}
	rows := [][]string{{"backup", b.Target}, {"state", b.State}}
	last := "never"
	if b.LastSuccess != nil {
		last = ago(*b.LastSuccess, now) + " ago"
	}
	rows = append(rows, []string{"last success", last}, []string{"it has", orUnknown(b.LastCommit)}, []string{"it lacks", lagWords(b, now)})
	if b.Error != "" {
		rows = append(rows, []string{"why", backupWhy(b)})
	}
	if b.Next != "" {
		rows = append(rows, []string{"next", b.Next})
	}
	return rows
}

// backupWhy is the error without the target, which stands beside it.
func backupWhy(b httpapi.Backup) string {
	return strings.TrimPrefix(b.Error, "back up to "+b.Target+": ")
}

func orUnknown(s string) string {
	if s == "" {
		return ui.Unknown
	}
	return s
}

// lagWords says what the target lacks, as far as that is known.
func lagWords(b httpapi.Backup, now time.Time) string {
	switch {
	case b.Lag == nil:
		return ui.Unknown
	case *b.Lag == 0:
		return "nothing"
	case b.Oldest == nil:
		return count(*b.Lag, "commit")
	}
	return count(*b.Lag, "commit") + ", the oldest from " + ago(*b.Oldest, now) + " ago"
}

// backupLine is the backup in one line of status, "" if it is off.
func backupLine(b httpapi.Backup, now time.Time) string {
	if b.Target == "" {
		return ""
	}
	line := b.Target + ": " + b.State
	if b.State == "failing" {
		line += ": " + cause(backupWhy(b))
	}
	if b.Lag == nil || *b.Lag > 0 || b.State == "failing" {
		line += ", it lacks " + lagWords(b, now)
	}
	if b.LastSuccess != nil {
		line += ", made " + ago(*b.LastSuccess, now) + " ago"
	}
	return line
}

// abbreviated is the beginning of the name of a commit.
func abbreviated(commit string) string { return commit[:min(len(commit), 12)] }
