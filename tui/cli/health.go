package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// healthTime bounds a health check, below what containers wait for one.
const healthTime = 3 * time.Second

// errUnready: an engine answers that it cannot take a write now.
var errUnready = errors.New("it is not ready")

// errDamaged: an engine answers that something it keeps is damaged.
var errDamaged = errors.New("it takes writes, but a store is damaged")

func (a *app) healthCommand() *cobra.Command {
	address, verbose := "", false
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "tell by the exit code whether the engine takes writes",
		Long: "Exit code 0: a write would be acknowledged now; 1: an engine runs and would refuse it, a store of\n" +
			"it is damaged, or it does not answer within " + healthTime.String() + "; 3: none runs. A govc service that is away is no\n" +
			"reason, see caiatop status for that. It asks at the control socket or, with --url, over HTTP, where\n" +
			"only writes count, and says nothing unless asked to with -v.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTime)
			defer cancel()
			var err error
			if address != "" {
				err = askURL(ctx, address)
			} else {
				cmd.SetContext(ctx)
				err = a.with(cmd, a.Running, askReady)
			}
			if errors.Is(err, errUsage) || errors.Is(err, ErrConfig) || cmd.Context().Err() == context.Canceled {
				return err
			}
			return a.health(err, verbose)
		},
	}
	cmd.Flags().StringVar(&address, "url", "", "ask over HTTP at this `URL`, like http://127.0.0.1:8088")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say how it is")
	a.jsonFlag(cmd)
	return cmd
}

// checked is what healthcheck answers with --json.
type checked struct {
	Ready bool   `json:"ready"`
	Why   string `json:"why,omitempty"`
	Exit  int    `json:"exit"`
}

func (a *app) health(err error, verbose bool) error {
	reply := checked{Ready: err == nil}
	switch {
	case errors.Is(err, ErrNoneRuns):
		reply.Exit = ExitNoneRuns
	case err != nil:
		reply.Exit = ExitDegraded
	}
	said := "ready"
	if err != nil {
		reply.Why = err.Error()
		if said = reply.Why; !errors.Is(err, errDamaged) { // of which every part is needed
			said = ui.Gist(reply.Why)
		}
	}
	if a.json {
		if err := a.printJSON(a.Stdout, reply); err != nil {
			return err
		}
	} else if verbose {
		if err := emit(a.Stdout, "%s\n", safe(said)); err != nil {
			return err
		}
	}
	if reply.Exit == ExitOK {
		return nil
	}
	return ExitCode(reply.Exit)
}

func askReady(ctx context.Context, session Session) error {
	status, err := session.Control().Status(ctx)
	if err == nil && !status.Ready {
		return fmt.Errorf("%w: %s", errUnready, status.Unready)
	}
	for _, store := range status.Stores {
		if store.Damage != "" {
			return fmt.Errorf("%w: %s: %s", errDamaged, store.Name, store.Damage)
		}
	}
	return err
}

// askURL asks an engine over HTTP, which tells this without a token.
func askURL(ctx context.Context, address string) (err error) {
	u, err := url.Parse(strings.TrimRight(address, "/") + "/readyz")
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return usage("--url is no address of an engine", "write it like http://127.0.0.1:8088")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return usage("--url is no address of an engine", "write it like http://127.0.0.1:8088")
	}
	// Not by a proxy of the environment: this is about a neighbour.
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", httpapi.ErrNotRunning, err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: it answers %s", errUnready, response.Status)
	}
	return nil
}
