package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// verifyLook is how often a command looks how far a verification is.
	verifyLook = 200 * time.Millisecond
	// shownFindings are told of without --json.
	shownFindings = 100

	verifyRunning = "running"
	verifyNever   = "never"
	verifyStopped = "stopped"
)

// verifyFlags are those of verify.
type verifyFlags struct {
	repair, last, follow, stop, background bool
	sample                                 int
}

// together refuses flags that have no meaning beside each other.
func (o verifyFlags) together() error {
	var about []string // an earlier verification
	for name, given := range map[string]bool{"--last": o.last, "--follow": o.follow, "--stop": o.stop} {
		if given {
			about = append(about, name)
		}
	}
	slices.Sort(about)
	if len(about) > 1 || (len(about) == 1 && (o.repair || o.background || o.sample > 0)) {
		return usage(about[0]+" is about a verification that was begun, and goes with no other flag", "give it alone")
	}
	return nil
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyFlags
	cmd := &cobra.Command{
		Use: "verify", Short: "compare state file, git, service and text index with each other, and mend them", Args: args(0, 0),
		Long: "Reads everything that is kept and compares it by hash: the state file and its sums, every\n" +
			"operation of the outbox, every object of git and every document that its branch holds, what the\n" +
			"service holds and lists, and the full-text index. What cannot be looked at is told as unknown. With\n" +
			"--repair what differs is brought back from wherever the right version is; nothing is overwritten\n" +
			"that exists nowhere else. It lets callers go first.\n\n" +
			"A running engine does the work, and goes on with it when this command ends: see --follow, --stop\n" +
			"and --last. Without one it is done here, with the embedded service if that is the one.\n\n" +
			"Exit code 0: nothing is wrong, or not any more, as far as is known; 1: something is.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.sample < 0 || o.sample > httpapi.MaxSample || (cmd.Flags().Changed("sample") && o.sample == 0) {
				return usage(fmt.Sprintf("--sample %d is out of range", o.sample), fmt.Sprintf("give a number from 1 to %d", httpapi.MaxSample))
			}
			if err := o.together(); err != nil {
				return err
			}
			switch {
			case o.stop:
				return a.with(cmd, a.Running, a.stopVerify)
			case o.last:
				return a.with(cmd, a.Open, a.lastVerify)
			case o.follow:
				return a.with(cmd, a.Running, a.followVerify)
			case o.background:
				return a.with(cmd, a.Running, func(ctx context.Context, s Session) error { return a.beginVerify(ctx, s, o) })
			}
			return a.with(cmd, a.Start, func(ctx context.Context, s Session) error {
				if _, err := s.Verify(ctx, httpapi.VerifyOptions{Repair: o.repair, Sample: o.sample}); err != nil {
					return fault("nothing was verified", err)
				}
				return a.followVerify(ctx, s)
			})
		},
	}
	cmd.Flags().BoolVar(&o.repair, "repair", false, "mend what can be mended")
	cmd.Flags().IntVar(&o.sample, "sample", 0, "compare this `number` of documents, chosen at random, and leave git's objects out")
	cmd.Flags().BoolVar(&o.background, "background", false, "begin it in the running engine, and do not wait")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "wait for the one that runs")
	cmd.Flags().BoolVar(&o.last, "last", false, "show what the last one found")
	cmd.Flags().BoolVar(&o.stop, "stop", false, "end the one that runs")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) beginVerify(ctx context.Context, session Session, o verifyFlags) error {
	v, err := session.Verify(ctx, httpapi.VerifyOptions{Repair: o.repair, Sample: o.sample})
	if err != nil {
		return fault("nothing was verified", err)
	}
	if a.json {
		return a.printJSON(a.Stdout, v)
	}
	return emit(a.Stdout, "it runs; follow it with: caiatop verify --follow\n")
}

func (a *app) stopVerify(ctx context.Context, session Session) error {
	v, err := session.StopVerification(ctx)
	if err != nil {
		return fault("the verification was not stopped", err)
	}
	if a.json {
		return a.printJSON(a.Stdout, v)
	}
	return emit(a.Stdout, "no verification runs\n")
}

func (a *app) lastVerify(ctx context.Context, session Session) error {
	v, err := session.Verification(ctx)
	if err != nil {
		return fault("the last verification cannot be read", err)
	}
	return a.reportVerify(v)
}

// followVerify waits until the verification has ended, and reports it.
func (a *app) followVerify(ctx context.Context, session Session) error {
	defer a.job.Store(nil)
	part := ""
	for {
		v, err := session.Verification(ctx)
		if err != nil {
			return a.leftVerify(ctx, err)
		}
		if v.State != verifyRunning {
			return a.reportVerify(v)
		}
		part = a.showVerify(v, part)
		if !pause(ctx, verifyLook) {
			return a.leftVerify(ctx, ctx.Err())
		}
	}
}

// leftVerify says what becomes of a verification that nobody waits for.
func (a *app) leftVerify(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return &Fault{What: "the end of the verification was not waited for", Why: err, Fix: "where an engine runs it goes on there: caiatop verify --follow; else run it again"}
}

// showVerify says on a terminal which part it has come to, and lets others know
// what this command is busy with.
func (a *app) showVerify(v httpapi.Verification, before string) (part string) {
	for _, p := range v.Parts {
		if p.Name != v.Part {
			continue
		}
		progress := httpapi.Progress{What: "verifying " + p.Name, Done: p.Checked, Total: p.Total}
		if v.Started != nil {
			progress.Started = *v.Started
		}
		a.job.Store(&progress)
	}
	if v.Part != before && v.Part != "" && a.IsTerminal(a.Stderr) {
		a.note("verifying: %s", v.Part)
	}
	return v.Part
}

// reportVerify writes what was found.
func (a *app) reportVerify(v httpapi.Verification) error {
	var err error
	if a.json {
		err = a.printJSON(a.Stdout, v)
	} else {
		err = a.writeVerify(v)
	}
	if err != nil || (v.Good && v.State != verifyStopped) {
		return err
	}
	return ExitCode(ExitDegraded)
}

func (a *app) writeVerify(v httpapi.Verification) error {
	if v.State == verifyNever {
		return emit(a.Stdout, "nothing was verified yet; do it with: caiatop verify\n")
	}
	rows := [][]string{}
	for _, p := range v.Parts {
		rows = append(rows, []string{p.Name, p.State, partLine(p)})
	}
	err := table(a.Stdout, rows)
	shown := v.Findings[:min(len(v.Findings), shownFindings)]
	for i, f := range shown {
		if err == nil {
			// What is to be done about several of them is said once.
			err = a.writeFinding(f, i == len(shown)-1 || shown[i+1].Next != f.Next)
		}
	}
	if err != nil {
		return err
	}
	said := verifyResultLine(v)
	if more := v.Found - int64(len(shown)); more > 0 {
		said += fmt.Sprintf(" (%s not named here)", ui.Count(more))
	}
	return emit(a.Stdout, "\n%s\n", said)
}

func (a *app) writeFinding(f httpapi.Finding, advise bool) error {
	line := f.Part + ": "
	if f.Document != "" {
		line += f.Document + ": "
	}
	line += f.What
	if f.Mended {
		line += " (mended)"
	}
	if err := emit(a.Stdout, "\n%s\n", safe(line)); err != nil || f.Next == "" || !advise {
		return err
	}
	return emit(a.Stdout, "  try: %s\n", safe(f.Next))
}

// partLine says what came of one part.
func partLine(p httpapi.VerifyPart) string {
	var said []string
	if p.Checked > 0 {
		line := ui.Count(p.Checked) + " checked"
		if p.State == verifyRunning && p.Total > p.Checked {
			line = fmt.Sprintf("%s of %s checked", ui.Count(p.Checked), ui.Count(p.Total))
		}
		said = append(said, line)
	}
	if p.Found > 0 {
		said = append(said, fmt.Sprintf("%s, %s mended", count(p.Found, "finding"), ui.Count(p.Mended)))
	}
	if p.Aside > 0 {
		said = append(said, ui.Count(p.Aside)+" set aside")
	}
	if len(said) == 0 && p.State == "done" {
		said = append(said, "nothing is there")
	}
	if p.Unknown != "" {
		said = append(said, "not known: "+p.Unknown)
	}
	return strings.Join(said, "; ")
}

// verifyResultLine says in one line what a verification came to.
func verifyResultLine(v httpapi.Verification) string {
	said := "nothing is wrong"
	switch {
	case v.Found > 0 && v.Good:
		said = count(v.Found, "finding") + ", all mended"
	case v.Found > 0:
		said = fmt.Sprintf("%s, %s mended", count(v.Found, "finding"), ui.Count(v.Mended))
	}
	if v.State == verifyStopped {
		said = "stopped before its end: " + said
	}
	for _, p := range v.Parts {
		if p.Unknown != "" {
			return said + ", as far as is known"
		}
	}
	return said
}

// verifyLine is the last verification in one line of status, "" if there was
// none.
func verifyLine(v httpapi.Verification, now time.Time) string {
	switch {
	case v.State == verifyRunning:
		for _, p := range v.Parts {
			if p.Name == v.Part {
				return fmt.Sprintf("running: %s, %s of %s", p.Name, ui.Count(p.Checked), ui.Count(p.Total))
			}
		}
		return verifyRunning
	case v.Ended == nil:
		return ""
	}
	return ago(*v.Ended, now) + " ago: " + verifyResultLine(v)
}
