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
	"github.com/spf13/pflag"

	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

const (
	defaultServerPort = 8080
	// defaultServerHost is both loopback addresses, whichever a client tries.
	defaultServerHost = "localhost"
	defaultMaxBytes   = 2 << 30
	minMaxBytes       = 1 << 20
	// serverDrain is how long requests under way may take once the command is
	// told to end.
	serverDrain = 10 * time.Second
)

// serverOptions are the flags of server.
type serverOptions struct {
	host     string
	port     int
	memory   bool // asked for
	kept     bool // asked not to be in memory
	maxBytes int64

	data                     string
	jwtSecret, jwtSecretFile string
	tlsCert, tlsKey          string
	names                    []string // by which it may be called
}

// serverReady is the line that says that the service answers.
type serverReady struct {
	URL  string `json:"url"`
	Mode string `json:"mode"`           // durable or memory
	Auth string `json:"auth"`           // open, key or managed
	Data string `json:"data,omitempty"` // the folder of rights and audit, and of repositories where they are durable
	PID  int    `json:"pid"`
	// Trouble is why the access file is not in force, if it is not.
	Trouble string `json:"trouble,omitempty"`
}

func (a *app) serverCommand() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use: "server", Short: "run a govc-compatible service alone, without console and engine", Args: args(0, 0),
		Long: "Runs a service that speaks govc's HTTP API, until it is told to end by SIGTERM or\n" +
			"ctrl+c, and then finishes what is under way.\n\n" +
			"With --data it keeps its repositories on disk, as bare git in DIR/repositories: a commit is\n" +
			"answered once it is on the disk, and a restart keeps everything but files that were added and\n" +
			"not committed. Without --data, or with --memory-mode, all is gone when it ends.\n\n" +
			"GOVC_API_KEY is the key that clients must send as X-API-Key; it may do everything. API keys and\n" +
			"grants for each repository are made with apikey and grant, tokens with token: the service\n" +
			"takes them with --data, a JWT secret, or both. Without any of these it answers only this machine.\n\n" +
			"--data is also the folder of the access file (access.json), of the secret (" + access.SecretName + "), and of\n" +
			"the audit, which records every change and every refusal, also with --memory-mode. One service at a\n" +
			"time uses it.\n\n" +
			"Once the service answers it says so in one line on stdout; its log goes to stderr as lines of JSON.",
		Example: "  caiatop server --port 8080 --data /srv/caiatop\n" +
			"  caiatop server --port 8080 --memory-mode\n" +
			"  GOVC_SERVICE_URL=http://localhost:8080 go test -count=1 -run TestGovcServiceIntegration ./...",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.memoryMode(cmd.Flags().Changed("memory-mode")); err != nil {
				return err
			}
			if err := notEmpty(cmd); err != nil {
				return err
			}
			if cmd.Flags().Changed("jwt-secret") && cmd.Flags().Changed("jwt-secret-file") {
				return usage("--jwt-secret and --jwt-secret-file are both given", "give one of them, better the file")
			}
			return a.server(cmd.Context(), o, flagsOf(cmd))
		},
	}
	cmd.Flags().IntVar(&o.port, "port", defaultServerPort, "the `port` to listen on; 0 takes a free one")
	cmd.Flags().StringVar(&o.host, "host", defaultServerHost, "the `address` to listen on; localhost is every loopback address")
	cmd.Flags().StringSliceVar(&o.names, "host-name", nil, "a `name` by which this service is called, beside localhost and addresses; all other names are refused")
	cmd.Flags().BoolVar(&o.memory, "memory-mode", false, "keep repositories in memory, as without --data (GOVC_MEMORY_MODE)")
	cmd.Flags().Int64Var(&o.maxBytes, "max-bytes", defaultMaxBytes, "the `bytes` kept in memory at most: all repositories, or with --data what is not committed")
	cmd.Flags().StringVar(&o.data, "data", "", "the `folder` of repositories, rights and audit")
	cmd.Flags().StringVar(&o.jwtSecretFile, "jwt-secret-file", "", "the `file` of the secret of tokens, for its owner alone (GOVC_JWT_SECRET)")
	cmd.Flags().StringVar(&o.jwtSecret, "jwt-secret", "", "the `secret` itself, which every user of this machine can then see")
	cmd.Flags().StringVar(&o.tlsCert, "tls-cert", "", "the `file` of the certificate, in PEM, to answer https; needs --tls-key")
	cmd.Flags().StringVar(&o.tlsKey, "tls-key", "", "the `file` of the certificate's key, in PEM")
	a.jsonFlag(cmd)
	cmd.AddCommand(a.serverTokenCommand(), a.serverKeyCommand(), a.serverGrantCommand(), a.serverForgetCommand())
	return cmd
}

// server runs the service until ctx ends. What needs no folder comes before the
// folder is made, so that a start that fails leaves nothing behind.
func (a *app) server(ctx context.Context, o serverOptions, flags Flags) (err error) {
	cfg, err := serverConfig(flags)
	if err != nil {
		return err
	}
	if err := errors.Join(o.check(), o.checkData()); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(a.Stderr, &slog.HandlerOptions{Level: cfg.Log.Level}))
	certificate, err := o.certificate(time.Now, log)
	if err != nil {
		return err
	}
	control, err := o.control(cfg.Govc.APIKey, log)
	if err != nil {
		return err
	}
	bound, err := govcd.Bind(ctx, net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		return serverFault(o, err)
	}
	served := false
	defer func() {
		if !served {
			err = errors.Join(err, fault("the port was not given back", bound.Close()))
		}
	}()
	data, err := o.openData()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fault("the folder "+o.data+" was not left well", data.close())) }()
	if err := control.Remember(); err != nil {
		return fault("the service does not start", err)
	}
	service, err := o.open(ctx, data, govcd.Options{
		Access: control, Audit: data.audit, Certificate: certificate, Hosts: o.names, Version: a.Version, MaxBytes: o.maxBytes, Logger: log,
		LocalOnly: control.Mode() == access.ModeOpen, Grace: serverDrain,
	})
	if err != nil {
		return err
	}
	url, err := service.Serve(bound)
	if err != nil {
		return errors.Join(fault("the service cannot be started", err), service.Stop(ctx))
	}
	served = true
	if certificate == nil && !govcd.IsLoopback(o.host) {
		log.Warn("other machines can reach this service, over plain HTTP: give it --tls-cert and --tls-key, or put a proxy with TLS in front of it", "address", url)
	}
	err = a.serverReady(callable(url), o, control)
	if err == nil {
		<-ctx.Done()
		log.Info("told to end: requests under way are finished", "grace", serverDrain.String())
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), serverDrain)
	defer cancel()
	return errors.Join(err, fault("the service did not end well", service.Stop(stopping)))
}

// notEmpty refuses a flag that was given nothing, as by a variable that is not
// set: a service that is to have a secret, a certificate or a folder must not
// start without.
func notEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if empty := f.Value.String() == "" || f.Value.String() == "[]"; empty && err == nil {
			err = usage("--"+f.Name+" is given nothing", "give it a value, or leave it away; a variable may not be set")
		}
	})
	return err
}

// serverConfig reads the key and the level of the log. The engine's state folder
// is not the service's: none is needed.
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
func (o serverOptions) check() error {
	switch {
	case o.kept && o.data == "":
		return usage("repositories are to be kept, but there is no folder for them", "give one with --data, or leave --memory-mode=false (GOVC_MEMORY_MODE) away")
	case o.port < 0 || o.port > 65535:
		return usage(fmt.Sprintf("--port %d is out of range", o.port), "give a port from 1 to 65535, or 0 for a free one")
	case o.maxBytes < minMaxBytes:
		return usage(fmt.Sprintf("--max-bytes %d is out of range", o.maxBytes), fmt.Sprintf("give at least %d bytes (1 MiB)", minMaxBytes))
	}
	for _, name := range o.names {
		if name == "" || strings.ContainsAny(name, "/:* ") {
			return usage(fmt.Sprintf("--host-name %q is no name", name), "give the name alone, as in docs.example.org, without scheme and port; several with commas")
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
	scheme, address, _ := strings.Cut(url, "://")
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return url
	}
	return scheme + "://" + net.JoinHostPort(defaultServerHost, port)
}

// serverReady says in one line that the service answers.
func (a *app) serverReady(url string, o serverOptions, control *access.Control) error {
	mode := control.Mode()
	who := "open: no key is asked for, and only this machine is answered"
	switch mode {
	case access.ModeKey:
		who = "asks for the key in GOVC_API_KEY"
	case access.ModeManaged:
		who = "asks for a token or an API key"
	case access.ModeOpen:
	}
	ready := serverReady{URL: url, Mode: "memory", Auth: string(mode), Data: o.data, PID: os.Getpid()}
	how := "memory mode (no document is kept when it ends)"
	switch {
	case o.durable():
		ready.Mode, how = "durable", "durable, in "+o.data
	case o.data != "":
		who += ", rights and audit in " + o.data
	}
	if err := control.Problem(); err != nil {
		ready.Trouble = err.Error()
		who += "; BUT " + ready.Trouble
	}
	if !a.json {
		return emit(a.Stdout, "caiatop server: %s, %s, %s\n", safe(url), safe(how), safe(who))
	}
	line, err := json.Marshal(ready)
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	return emit(a.Stdout, "%s\n", line)
}
