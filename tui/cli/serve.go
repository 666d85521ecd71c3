package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the engine without a screen and answer over HTTP",
		Long: "Runs the engine until it is told to end, and answers at the control socket and over\n" +
			"HTTP, on " + config.DefaultServeAddr + " unless http.addr says otherwise. Once it answers it says so in\n" +
			"one line on stdout; everything else goes into the log file in the state folder. SIGTERM and\n" +
			"ctrl+c let it finish what is under way; a second one ends it at once, also without loss.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer a.wait.end()
			return a.Serve(cmd.Context(), flagsOf(cmd), a.caller(cmd), func(r Ready) error {
				a.wait.end()
				if a.json {
					return a.printJSONLine(r)
				}
				address := "HTTP off"
				if r.Address != "" {
					address = "http://" + r.Address
				}
				return emit(a.Stdout, "caiatop serves: process %d, %s, state folder %s\n", r.PID, address, safe(r.StateDir))
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// errHTTP: the address cannot be listened on.
var errHTTP = errors.New("HTTP address")

// runServe runs an engine of its own until ctx ends.
func (w wiring) runServe(ctx context.Context, flags Flags, caller Caller, ready func(Ready) error) error {
	cfg, err := w.load(flags)
	if err != nil {
		return err
	}
	if !cfg.HTTP.AddrSet {
		cfg.HTTP.Addr = config.DefaultServeAddr
	}
	session, err := w.hold(ctx, cfg, httpapi.HolderServe, caller)
	if err != nil {
		return err
	}
	err = ready(Ready{PID: os.Getpid(), Address: session.address, StateDir: cfg.StatePath()})
	if err == nil {
		select {
		case <-ctx.Done():
		case failed := <-session.failed:
			err = fault("the engine no longer answers", failed)
		}
	}
	return w.release(ctx, session.owned, err)
}

// runConsole runs the terminal interface on an engine of its own.
func (w wiring) runConsole(ctx context.Context, flags Flags, caller Caller) error {
	cfg, err := w.load(flags)
	if err != nil {
		return err
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usage("the console needs a terminal on its standard input", "start it in a terminal, or ask a running one with: caiatop status")
	}
	session, err := w.hold(ctx, cfg, httpapi.HolderConsole, caller)
	if err != nil {
		return err
	}
	cfg.HTTP.Addr = session.address // with the port that was free
	return w.release(ctx, session.owned, w.console(ctx, session.host, cfg))
}

// held is an engine that this process keeps.
type held struct {
	*owned
	address string // of HTTP, "" if that is off
}

// hold takes the state folder over and answers on the socket and on HTTP.
func (w wiring) hold(ctx context.Context, cfg config.Config, kind string, caller Caller) (held, error) {
	setup, err := w.setup(cfg, false)
	if err != nil {
		return held{}, err
	}
	// Before the engine starts, so that an address in use costs nothing.
	listener, err := listen(ctx, cfg.HTTP.Addr)
	if err != nil {
		return held{}, startFault(setup.Dir, err)
	}
	host, err := takeOver(ctx, setup.Dir, caller, func() (*engine.Host, error) { return engine.Start(ctx, setup) })
	if err != nil {
		return held{}, errors.Join(notTaken(ctx, setup.Dir, err), shut(listener))
	}
	session, err := serve(host, setup.Dir, kind, caller)
	if err != nil {
		return held{}, errors.Join(err, shut(listener))
	}
	h := held{owned: session}
	if listener != nil {
		h.address = listener.Addr().String()
		session.serveTCP(listener, cfg.HTTP)
	}
	return h, nil
}

// notTaken is unstarted for what takeOver says, which has told already who
// holds the folder.
func notTaken(ctx context.Context, dir string, err error) error {
	if errors.Is(err, errHeld) {
		return err
	}
	return unstarted(ctx, dir, err)
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHTTP, err)
	}
	return listener, nil
}

func shut(listener net.Listener) error {
	if listener == nil {
		return nil
	}
	return listener.Close()
}

// serveTCP answers on listener until the session is closed.
func (o *owned) serveTCP(listener net.Listener, cfg config.HTTP) {
	ctx, stop := context.WithCancel(context.Background())
	stopSocket := o.stop
	o.stop = func() { stop(); stopSocket() }
	options := httpapi.TCPOptions{Token: cfg.Token.Reveal(), ReadToken: cfg.ReadToken.Reveal(), Hosts: cfg.Hosts}
	o.served.Go(func() { o.failed <- o.server.ServeTCP(ctx, listener, options) })
}

// release closes the session after what it was opened for ended with err.
func (w wiring) release(ctx context.Context, session *owned, err error) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(err, fault("the engine did not end well", session.Close(grace)))
}
