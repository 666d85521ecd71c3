package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// doctorTime bounds an examination.
const doctorTime = 40 * time.Second

// The results of a check.
const (
	resultOK      = "ok"
	resultWarn    = "warn"
	resultFail    = "fail"
	resultUnknown = "unknown" // it could not be found out
)

// The checks, in their order. Each is in every report once.
const (
	checkConfig       = "configuration"
	checkFolder       = "state-folder"
	checkLock         = "lock"
	checkEngine       = "engine"
	checkDNS          = "dns"
	checkConnect      = "connect"
	checkTLS          = "tls"
	checkHTTP         = "http"
	checkLatency      = "latency"
	checkClock        = "clock"
	checkCredentials  = "credentials"
	checkDialect      = "dialect"
	checkCapabilities = "capabilities"
	checkIdentity     = "identity"
)

var allChecks = []string{
	checkConfig, checkFolder, checkLock, checkEngine, checkDNS, checkConnect, checkTLS, checkHTTP, checkLatency, checkClock,
	checkCredentials, checkDialect, checkCapabilities, checkIdentity,
}

// finding is what one check came to.
type finding struct {
	Check  string  `json:"check"`
	Result string  `json:"result"`
	Text   string  `json:"finding"` // one sentence
	Fix    string  `json:"fix,omitempty"`
	TookMS float64 `json:"took_ms,omitempty"`
}

// diagnosis is what doctor answers with --json. Further fields may be added.
type diagnosis struct {
	OK       bool      `json:"ok"` // nothing fails
	Exit     int       `json:"exit"`
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	StateDir string    `json:"state_dir,omitempty"`
	Service  string    `json:"service,omitempty"` // its URL, where it is known
	Running  bool      `json:"running"`           // an engine runs on the state folder
	Warnings int       `json:"warnings"`
	Failures int       `json:"failures"`
	Checks   []finding `json:"checks"`
}

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "examine configuration, state folder and the way to the service",
		Long: "Looks at everything that has to hold, one step after the other, and says of each what it found\n" +
			"and what to do: configuration, state folder, lock, engine, the way to the service (name,\n" +
			"connection, TLS, HTTP, latency), the clock, credentials, dialect, capabilities and whose\n" +
			"repository it is. It works beside a running engine and without one, and changes nothing: the\n" +
			"service is only read, no engine is started, no login is tried. Exit code 0: all is well or could\n" +
			"be better; 1: something fails.",
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTime)
			defer cancel()
			d := &doctor{app: a, flags: flagsOf(cmd), caller: a.caller(cmd), found: map[string]finding{}}
			if err := d.examine(ctx); err != nil {
				return err
			}
			if err := cmd.Context().Err(); err != nil {
				return fault("the examination did not end", err)
			}
			return a.report(d.diagnosis())
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// doctor is one examination.
type doctor struct {
	*app
	flags  Flags
	caller Caller
	cfg    config.Config
	url    string // of the service, "" if it is not known
	local  bool   // the service is the embedded one
	why    string // what could not be looked at has this reason

	status *httpapi.Status       // of the running engine, nil if none answers
	facts  *httpapi.ServiceFacts // of the running engine, nil if none answers or it knows no such thing
	held   bool                  // somebody has the state folder
	reach  govc.Reach
	info   *govc.Info
	found  map[string]finding
}

// say notes what a check came to. The first word on a check counts.
func (d *doctor) say(check, result, fix, format string, args ...any) {
	if _, said := d.found[check]; !said {
		d.found[check] = finding{Check: check, Result: result, Text: fmt.Sprintf(format, args...), Fix: fix}
	}
}

func (d *doctor) ok(check, format string, args ...any) { d.say(check, resultOK, "", format, args...) }

func (d *doctor) unknown(check, format string, args ...any) {
	d.say(check, resultUnknown, "", format, args...)
}

// took notes how long a check's step lasted.
func (d *doctor) took(check string, t time.Duration) {
	f := d.found[check]
	f.TookMS = milliseconds(t)
	d.found[check] = f
}

// examine makes the checks in the order in which they rest on each other. The
// error is one of closing what was opened.
func (d *doctor) examine(ctx context.Context) (err error) {
	if !d.configuration() {
		d.why = "not looked at: the configuration cannot be used"
		return nil
	}
	d.folder()
	session := d.running(ctx)
	if session != nil {
		defer func() {
			err = errors.Join(err, fault("the engine was not left well", session.Close(context.WithoutCancel(ctx))))
		}()
		d.askEngine(ctx, session)
	}
	if !d.service() {
		return nil
	}
	inspector, err := govc.NewInspector(d.options())
	if err != nil {
		d.refused(err)
		return nil
	}
	defer inspector.Close()
	if d.wayThere(ctx, inspector) {
		d.latency(ctx, inspector)
		d.clock()
		d.describe(ctx, inspector)
		d.credentials(ctx, inspector)
		d.identity(ctx, inspector)
	}
	return nil
}

// diagnosis sums up.
func (d *doctor) diagnosis() diagnosis {
	out := diagnosis{At: d.Now().UTC(), Version: d.Version, Service: d.url, Running: d.status != nil}
	if d.found[checkConfig].Result != resultFail {
		out.StateDir = d.cfg.StatePath()
	}
	why := d.why
	if why == "" {
		why = "not looked at: a step before it failed"
	}
	for _, check := range allChecks {
		d.unknown(check, "%s", why)
		f := d.found[check]
		switch f.Result {
		case resultFail:
			out.Failures++
		case resultWarn:
			out.Warnings++
		}
		out.Checks = append(out.Checks, f)
	}
	if out.OK = out.Failures == 0; !out.OK {
		out.Exit = ExitDegraded
	}
	return out
}

// words are the results as a person reads them, all as wide.
var words = map[string]string{resultOK: "ok      ", resultWarn: "WARNING ", resultFail: "FAILS   ", resultUnknown: "unknown "}

func (a *app) report(d diagnosis) error {
	var err error
	if a.json {
		err = a.printJSON(a.Stdout, d)
	} else {
		err = a.printDiagnosis(d)
	}
	if err != nil || d.OK {
		return err
	}
	return ExitCode(ExitDegraded)
}

func (a *app) printDiagnosis(d diagnosis) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			err = emit(a.Stdout, format+"\n", args...)
		}
	}
	const beside = len("unknown ") + 14
	unknown := 0
	for i := 0; i < len(d.Checks); i++ {
		f := d.Checks[i]
		if f.Result != resultUnknown {
			took := ""
			if f.TookMS > 0 {
				took = " (" + millis(f.TookMS) + ")"
			}
			line("%s%-14s%s%s", words[f.Result], f.Check, safe(f.Text), took)
			if f.Fix != "" {
				line("%*stry: %s", beside, "", safe(f.Fix))
			}
			continue
		}
		// What was not looked at for one reason takes one line.
		names := []string{f.Check}
		for i+1 < len(d.Checks) && d.Checks[i+1].Result == resultUnknown && d.Checks[i+1].Text == f.Text {
			i++
			names = append(names, d.Checks[i].Check)
		}
		unknown += len(names)
		if len(names) == 1 {
			line("%s%-14s%s", words[f.Result], f.Check, safe(f.Text))
			continue
		}
		line("%s%s", words[f.Result], strings.Join(names, ", "))
		line("%*s%s", beside, "", safe(f.Text))
	}
	said := []string{"nothing fails"}
	if d.Failures > 0 {
		said[0] = count(d.Failures, "check") + " failed"
	}
	if d.Warnings > 0 {
		said = append(said, count(d.Warnings, "warning"))
	}
	if unknown > 0 {
		said = append(said, fmt.Sprintf("%d unknown", unknown))
	}
	line("\n%s", strings.Join(said, ", "))
	return err
}
