package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
)

func (a *app) recoverCommand() *cobra.Command {
	var adopt bool
	cmd := a.actionCommand("recover", "go back to the govc service now, without waiting for more good probes",
		"the engine did not go back to the service",
		func(ctx context.Context, c httpapi.Control) error { return c.Recover(ctx, adopt) })
	cmd.Flags().BoolVar(&adopt, "adopt", false, "take the service also if it holds another repository, or none of ours")
	return cmd
}

func (a *app) fallbackCommand() *cobra.Command {
	return a.actionCommand("fallback", "leave the govc service until recover; writes are kept and follow later",
		"the engine did not leave the service",
		func(ctx context.Context, c httpapi.Control) error { return c.Fallback(ctx) })
}

// actionCommand is an action on the running engine that answers with the state
// it leads to.
func (a *app) actionCommand(name, short, failed string, act func(context.Context, httpapi.Control) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, a.Running, func(ctx context.Context, session Session) error {
				control := session.Control()
				if err := act(ctx, control); err != nil {
					return fault(failed, err)
				}
				status, err := control.Status(ctx)
				if err != nil {
					return fault("it was asked for, but the state of the engine cannot be read", err)
				}
				if a.json {
					return a.printJSON(a.Stdout, status)
				}
				return emit(a.Stdout, "%s: %s\n", safe(status.State), safe(status.Reason))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// versionReply is what version answers with --json.
type versionReply struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// build is the version and what it was built with and for.
func (a *app) build() string {
	return fmt.Sprintf("%s (%s, %s/%s)", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "print the version", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(a.Stdout, versionReply{a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			return emit(a.Stdout, "caiatop %s\n", a.build())
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
