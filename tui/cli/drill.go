package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

func (a *app) drillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drill", Short: "rehearse an outage of the service, end it, or say which one runs", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return usage("say what to do", "use it as: caiatop drill start KIND, or: stop, status")
		},
	}
	cmd.AddCommand(a.drillStartCommand(), a.drillStopCommand(), a.drillStatusCommand())
	return cmd
}

// drillFlags are the measures as they are given.
type drillFlags struct {
	length, delay, jitter time.Duration
	rate                  float64
	path, bandwidth       string
}

func (a *app) drillStartCommand() *cobra.Command {
	var f drillFlags
	var kinds []string
	var list strings.Builder
	for _, info := range engine.DrillKinds() {
		kinds = append(kinds, string(info.Kind))
		only := ""
		if info.Embedded {
			only = "; embedded service only"
		}
		fmt.Fprintf(&list, "  %-14s %s%s\n", info.Kind, info.Means, only)
	}
	cmd := &cobra.Command{
		Use: "start KIND", Short: "begin an outage", Args: args(1, 1), ValidArgs: kinds,
		Long: "Disturbs the way from the running engine to its service, at the embedded service also the service\n" +
			"itself, until the time is over or: caiatop drill stop. Reads and writes go on; nothing is lost. A real\n" +
			"service and its other clients notice nothing of it. An engine that ends, or is killed, ends its drill.\n\n" + list.String(),
		RunE: func(cmd *cobra.Command, given []string) error {
			wanted, err := f.drill(given[0])
			if err != nil {
				return err
			}
			return a.onDrill(cmd, "the drill was not begun", func(ctx context.Context, s Session) (httpapi.DrillStatus, error) {
				return s.StartDrill(ctx, wanted)
			}, a.drillRuns)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.length, "for", engine.DefaultDrill, fmt.Sprintf("how long, %s to %s", engine.LeastDrill, engine.MaxDrill))
	flags.DurationVar(&f.delay, "delay", 0, "slow: how much later answers come (1s)")
	flags.DurationVar(&f.jitter, "jitter", 0, "slow: and how much more or less (half of the delay)")
	flags.Float64Var(&f.rate, "rate", 0, "errors, reset, lost-replies: the `share` of requests, 0.01 to 1 (0.5)")
	flags.StringVar(&f.path, "path", "", "errors: what the `path` of a request begins with (all)")
	flags.StringVar(&f.bandwidth, "bandwidth", "", "bandwidth: the `size` that passes in a second, like 64KiB")
	a.jsonFlag(cmd)
	return cmd
}

// drill is what the flags ask for.
func (f drillFlags) drill(kind string) (httpapi.Drill, error) {
	d := httpapi.Drill{
		Kind: kind, Seconds: f.length.Seconds(), DelayMS: milliseconds(f.delay), JitterMS: milliseconds(f.jitter), Rate: f.rate, Path: f.path,
	}
	if f.bandwidth != "" {
		n, err := config.ParseBytes(f.bandwidth)
		if err != nil || n <= 0 {
			return d, usage(fmt.Sprintf("--bandwidth %q is no size", f.bandwidth), "write it as 64KiB or 1MiB")
		}
		d.BytesPerSecond = n
	}
	return d, nil
}

func (a *app) drillStopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "stop", Short: "end the drill that runs", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onDrill(cmd, "the drill was not ended", func(ctx context.Context, s Session) (httpapi.DrillStatus, error) {
				return s.StopDrill(ctx)
			}, func(s httpapi.DrillStatus) error {
				if s.Kind == "" {
					return emit(a.Stdout, "no drill runs\n")
				}
				return emit(a.Stdout, "the drill %s was ended; a service that was left meanwhile is taken back after good probes, or now with: caiatop recover\n", safe(s.Kind))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) drillStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "say which drill runs, and which can be held", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onDrill(cmd, "it cannot be said whether a drill runs", func(ctx context.Context, s Session) (httpapi.DrillStatus, error) {
				return s.Drill(ctx)
			}, func(s httpapi.DrillStatus) error {
				if s.Running {
					return a.drillRuns(s)
				}
				if err := emit(a.Stdout, "no drill runs; these can be held:\n"); err != nil {
					return err
				}
				var rows [][]string
				for _, k := range s.Kinds {
					rows = append(rows, []string{k.Kind, k.Means})
				}
				return table(a.Stdout, rows)
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// drillRuns tells of a drill that runs.
func (a *app) drillRuns(s httpapi.DrillStatus) error {
	return emit(a.Stdout, "%s\n", safe(drillLine(s, a.Now())))
}

// drillLine is a drill that runs in one line.
func drillLine(s httpapi.DrillStatus, now time.Time) string {
	line := s.Kind
	if s.Ends != nil {
		line += ", ends by itself in " + ui.Age(max(0, s.Ends.Sub(now)))
	}
	if s.Error != "" {
		line += "; it cannot be ended yet: " + cause(s.Error)
	}
	return line + ", or now with: caiatop drill stop"
}

// onDrill asks the running engine: a drill lives no longer than its engine.
func (a *app) onDrill(cmd *cobra.Command, failed string, ask func(context.Context, Session) (httpapi.DrillStatus, error), say func(httpapi.DrillStatus) error) error {
	return a.with(cmd, a.Running, func(ctx context.Context, session Session) error {
		status, err := ask(ctx, session)
		if err != nil {
			return drillFault(failed, err)
		}
		if a.json {
			return a.printJSON(a.Stdout, status)
		}
		return say(status)
	})
}

const stopDrill = "end that one with: caiatop drill stop"

// drillFault is fault with advice that fits a drill.
func drillFault(failed string, err error) error {
	f := &Fault{What: failed, Why: err}
	switch {
	case errors.Is(err, httpapi.ErrConflict):
		f.Fix = stopDrill
	case errors.Is(err, httpapi.ErrInvalid):
		f.Fix = "see: caiatop drill start --help"
	}
	return f
}
