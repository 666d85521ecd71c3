package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) metricsCommand() *cobra.Command {
	reset := false
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "show how long operations took in the last five minutes",
		Long:  "Shows the operations of the running engine by store. With --reset it forgets them afterwards.",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, a.Running, func(ctx context.Context, session Session) error {
				metrics, err := session.Metrics(ctx)
				if err != nil {
					return fault("the metrics cannot be read", err)
				}
				if a.json {
					err = a.printJSON(a.Stdout, metrics)
				} else if err = emit(a.Stdout, "since %s\n", stamp(metrics.Since)); err == nil {
					err = writeLatencies(a.Stdout, metrics.Operations)
				}
				if err != nil || !reset {
					return err
				}
				return fault("the metrics were not reset", session.ResetMetrics(ctx))
			})
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, "forget them afterwards")
	a.jsonFlag(cmd)
	return cmd
}
