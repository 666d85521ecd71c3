package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

const (
	defaultServerPort = 8080
	// defaultServerHost is both loopback addresses, whichever a client tries.
	defaultServerHost = "localhost"
	defaultMaxBytes   = 2 << 30
	minMaxBytes       = 1 << 20
	// minRemoteKey is the shortest key, in bytes, for an address that other
	// machines can reach.
	minRemoteKey = 16
	// serverDrain is how long requests under way may take once the command is
	// told to end.
	serverDrain = 10 * time.Second
)

// serverOptions are the flags of server.
type serverOptions struct {
	host     string
	port     int
	memory   bool
	maxBytes int64
}

// serverReady is the line that says that the service answers.
type serverReady struct {
	URL  string `json:"url"`
	Mode string `json:"mode"`
	Auth string `json:"auth"` // key or open
	PID  int    `json:"pid"`
}

func (a *app) serverCommand() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use: "server", Short: "run a govc-compatible service alone, without console and engine", Args: args(0, 0),
		Long: "Runs a service that speaks govc's HTTP API, until it is told to end by SIGTERM or\n" +
			"ctrl+c. It keeps everything in memory: what it holds is gone when it ends.\n\n" +
			"GOVC_API_KEY is the key that clients must send as X-API-Key. Without one the service\n" +
			"answers only this machine. Once it answers it says so in one line on stdout; its log\n" +
			"goes to stderr as lines of JSON.",
		Example: "  caiatop server --port 8080 --memory-mode\n" +
			"  GOVC_SERVICE_URL=http://localhost:8080 go test -count=1 -run TestGovcServiceIntegration ./...",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.server(cmd.Context(), o, flagsOf(cmd)) },
	}
	cmd.Flags().IntVar(&o.port, "port", defaultServerPort, "the `port` to listen on; 0 takes a free one")
	cmd.Flags().StringVar(&o.host, "host", defaultServerHost, "the `address` to listen on; localhost is every loopback address")
	cmd.Flags().BoolVar(&o.memory, "memory-mode", true, "keep everything in memory, the only mode there is")
	cmd.Flags().Int64Var(&o.maxBytes, "max-bytes", defaultMaxBytes, "the `bytes` kept at most, in all repositories")
	a.jsonFlag(cmd)
	cmd.AddCommand(a.serverTokenCommand(), a.serverKeyCommand(), a.serverGrantCommand())
	return cmd
}

// server runs the service until ctx ends.
func (a *app) server(ctx context.Context, o serverOptions, flags Flags) error {
	cfg, err := serverConfig(flags)
	if err != nil {
		return err
	}
	key := cfg.Govc.APIKey.Reveal()
	if err := o.check(key); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(a.Stderr, &slog.HandlerOptions{Level: cfg.Log.Level}))
	service := govcd.New(govcd.Options{
		Key: key, Version: a.Version, MaxBytes: o.maxBytes, Logger: log, LocalOnly: key == "", Grace: serverDrain,
	})
	url, err := service.Start(net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		return serverFault(o, err)
	}
	if !govcd.IsLoopback(o.host) {
		log.Warn("other machines can reach this service, over plain HTTP: put a proxy with TLS in front of it", "address", url)
	}
	err = a.serverReady(callable(url), key != "")
	if err == nil {
		<-ctx.Done()
		log.Info("told to end: requests under way are finished", "grace", serverDrain.String())
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), serverDrain)
	defer cancel()
	return errors.Join(err, fault("the service did not end well", service.Stop(stopping)))
}

// serverConfig reads the key and the level of the log. The service has no
// state, so that it needs no folder for one.
func serverConfig(flags Flags) (config.Config, error) {
	cfg, err := config.Load(config.Input{Flags: flags, Env: func(name string) (string, bool) {
		if name == "CAIATOP_STATE_DIR" {
			return os.TempDir(), true
		}
		return os.LookupEnv(name)
	}})
	if err != nil {
		return config.Config{}, configFault(err)
	}
	return cfg, nil
}

// check refuses what cannot be run, or not safely.
func (o serverOptions) check(key string) error {
	switch {
	case !o.memory:
		return usage("this service has no other mode than --memory-mode: it cannot keep documents on disk yet",
			"leave --memory-mode=false away, and keep the durable copy with the engine: caiatop serve, or the console")
	case o.port < 0 || o.port > 65535:
		return usage(fmt.Sprintf("--port %d is out of range", o.port), "give a port from 1 to 65535, or 0 for a free one")
	case o.maxBytes < minMaxBytes:
		return usage(fmt.Sprintf("--max-bytes %d is out of range", o.maxBytes), fmt.Sprintf("give at least %d bytes (1 MiB)", minMaxBytes))
	case govcd.IsLoopback(o.host):
		return nil
	case key == "":
		return &Fault{
			What: fmt.Sprintf("the service does not listen on %q without a key: every machine that reaches it could write", o.host),
			Why:  known{httpapi.ErrUnauthorized},
			Fix:  "set GOVC_API_KEY to a long random key, or leave --host away to answer this machine only",
		}
	case len(key) < minRemoteKey:
		return &Fault{
			What: fmt.Sprintf("the key in GOVC_API_KEY is too short to listen on %q: it has %d bytes", o.host, len(key)),
			Why:  known{httpapi.ErrUnauthorized},
			Fix:  fmt.Sprintf("use a random key of at least %d bytes, such as that of: openssl rand -hex 32", minRemoteKey),
		}
	}
	return nil
}

// serverFault says what a person can do about an address that is not to be had.
func serverFault(o serverOptions, err error) error {
	what := fmt.Sprintf("the service cannot listen on port %d of %s", o.port, o.host)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &Fault{
			What: what, Why: coded{errors.New("another program listens there"), httpapi.ErrUnavailable},
			Fix: "end that program, or choose another port with --port; 0 takes a free one",
		}
	case errors.Is(err, fs.ErrPermission):
		return &Fault{
			What: what, Why: coded{errors.New("this user may not use that port"), fs.ErrPermission},
			Fix: "choose a port from 1024 on with --port",
		}
	}
	return &Fault{What: what, Why: coded{err, httpapi.ErrUnavailable}, Fix: "choose an address of this machine with --host"}
}

// callable is url as this machine can call it, also where the service listens
// on every address.
func callable(url string) string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return url
	}
	return "http://" + net.JoinHostPort(defaultServerHost, port)
}

// serverReady says in one line that the service answers.
func (a *app) serverReady(url string, secured bool) error {
	auth, who := "open", "open: no key is asked for, and only this machine is answered"
	if secured {
		auth, who = "key", "asks for the key in GOVC_API_KEY"
	}
	if !a.json {
		return emit(a.Stdout, "caiatop server: %s, memory mode (nothing is kept when it ends), %s\n", safe(url), who)
	}
	line, err := json.Marshal(serverReady{URL: url, Mode: "memory", Auth: auth, PID: os.Getpid()})
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	return emit(a.Stdout, "%s\n", line)
}
