package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// patientConnect and patientRead are longer than those of the engine: what is
	// slow is to be told from what is not there.
	patientConnect = 4 * time.Second
	patientRead    = 8 * time.Second
	// reaches is how many requests the latency is taken from, without the first.
	reaches = 3
	// slowRequest and slowConnect are from where on that is told.
	slowRequest = 250 * time.Millisecond
	slowStep    = 500 * time.Millisecond
	// clockSkew is what services allow between their clock and ours.
	clockSkew = 30 * time.Second
)

// options are those of the engine's client.
func (d *doctor) options() govc.Options {
	o := clientOptions(d.cfg)
	if d.local {
		// The key of the embedded service; without it the service says so.
		key, err := os.ReadFile(filepath.Join(d.cfg.StatePath(), engine.KeyFile))
		if err == nil {
			o.APIKey = govc.Secret(strings.TrimSpace(string(key)))
		}
	}
	o.URL, o.Now = d.url, d.Now
	o.Timeouts = govc.Timeouts{Connect: patientConnect, Read: patientRead}
	return o
}

// refused tells of settings that no client can be made of.
func (d *doctor) refused(err error) {
	check := checkCredentials
	wrong, known := errors.AsType[*govc.OptionError](err)
	switch {
	case !known:
		check = checkHTTP
	case !slices.Contains([]string{"govc.token", "govc.api_key", "govc.user", "govc.password"}, wrong.Key):
		check = checkTLS
	}
	if !known {
		d.say(check, resultFail, "correct the setting", "%v", err)
	} else {
		text := wrong.Key + ": " + wrong.Problem
		if wrong.Err != nil {
			text += ": " + wrong.Err.Error()
		}
		d.say(check, resultFail, wrong.Fix, "%s", text)
	}
	d.why = "not looked at: no client can be made of the settings"
}

// wayThere follows one request step by step, and reports whether a govc
// answered.
func (d *doctor) wayThere(ctx context.Context, i *govc.Inspector) bool {
	limited, cancel := context.WithTimeout(ctx, patientConnect+patientRead)
	defer cancel()
	d.reach = i.Reach(limited)
	r := d.reach
	if r.Stage >= govc.LookingUp {
		d.lookedUp(r)
	}
	if r.Stage >= govc.Connecting {
		d.connected(r)
	}
	if d.secretly(limited, i) {
		return false
	}
	if r.Stage >= govc.Securing {
		d.secured(r)
	}
	if r.Stage >= govc.Asking {
		d.answered(r)
	}
	return r.Stage == govc.Answered && r.Alive
}

// secretly reports whether the service speaks TLS where the settings have plain
// HTTP: some answer that with a status, others with what is no HTTP.
func (d *doctor) secretly(ctx context.Context, i *govc.Inspector) bool {
	r := d.reach
	odd := r.Stage == govc.Asking && !govc.IsTimeout(r.Err) || r.Stage == govc.Answered && r.Status == http.StatusBadRequest
	if r.Secure || !odd || !i.SpeaksTLS(ctx) {
		return false
	}
	d.say(checkTLS, resultFail, "write https:// in GOVC_SERVICE_URL (govc.url), and name the certificate of its authority in govc.ca if it is an own one",
		"%s speaks TLS at that port, and the URL says http://", r.Host)
	return true
}

// target is where a connection goes first.
func target(r govc.Reach) string {
	if r.Proxy != "" {
		return "the proxy " + r.Proxy
	}
	return r.Host
}

func (d *doctor) lookedUp(r govc.Reach) {
	host, _, err := net.SplitHostPort(target(r))
	if err != nil {
		host = target(r)
	}
	switch {
	case r.Stage == govc.LookingUp:
		why := ui.Gist(r.Err.Error())
		if lookup, ok := errors.AsType[*net.DNSError](r.Err); ok {
			why = lookup.Err
		}
		d.say(checkDNS, resultFail, "check the host in GOVC_SERVICE_URL (govc.url), and the resolver of this machine", "the name %s cannot be looked up: %s", host, why)
	case !r.Name:
		d.ok(checkDNS, "%s is an address, no name has to be looked up", host)
	case r.DNS > slowStep:
		d.say(checkDNS, resultWarn, "look at the resolver of this machine, or write the address into govc.url", "%s was looked up, slowly", host)
	default:
		d.ok(checkDNS, "%s was looked up", host)
	}
	if r.Name {
		d.took(checkDNS, r.DNS)
	}
}

func (d *doctor) connected(r govc.Reach) {
	if r.Stage > govc.Connecting {
		if d.ok(checkConnect, "connected to %s", target(r)); r.Connect > slowStep {
			d.found[checkConnect] = finding{
				Check: checkConnect, Result: resultWarn, Text: "connected to " + target(r) + ", slowly", Fix: "look at the network between this machine and the service",
			}
		}
		d.took(checkConnect, r.Connect)
		return
	}
	const proxy = "look at the proxy, correct HTTP_PROXY or HTTPS_PROXY, or name the host in NO_PROXY if it can be reached without"
	switch err := r.Err; {
	case d.local && d.status != nil && d.status.Drill != nil:
		d.say(checkConnect, resultWarn, "nothing is broken: the drill ends by itself, or now with: caiatop drill stop",
			"the embedded service was taken down by a drill")
		d.why = "not looked at: a drill keeps the embedded service down"
	case d.local:
		d.say(checkConnect, resultFail, "look for the reason in: caiatop events; end this engine and start it again", "the embedded service does not listen at %s: %s", target(r), ui.Gist(err.Error()))
	case r.Proxy != "" && r.Connect > 0: // it took the connection
		d.say(checkConnect, resultFail, proxy, "%s does not lead to %s: %s", target(r), r.Host, ui.Gist(err.Error()))
	case r.Proxy != "" && errors.Is(err, syscall.ECONNREFUSED):
		d.say(checkConnect, resultFail, proxy, "nothing listens at %s (connection refused)", target(r))
	case errors.Is(err, syscall.ECONNREFUSED):
		d.say(checkConnect, resultFail, "start the service, or correct host and port in GOVC_SERVICE_URL (govc.url); caiatop goes on without it and catches up", "nothing listens at %s (connection refused)", target(r))
	case govc.IsTimeout(err):
		d.say(checkConnect, resultFail, "look at firewall, route and address; caiatop goes on without the service and catches up", "no connection to %s within %s", target(r), patientConnect)
	default:
		d.say(checkConnect, resultFail, "look at the network, and at host and port in GOVC_SERVICE_URL (govc.url)", "no connection to %s: %s", target(r), ui.Gist(err.Error()))
	}
}

func (d *doctor) secured(r govc.Reach) {
	if r.Stage == govc.Securing {
		if unsafe, ok := errors.AsType[*govc.TLSError](r.Err); ok {
			d.say(checkTLS, resultFail, unsafe.Fix, "no safe connection to %s: %s", r.Host, unsafe.Problem)
			return
		}
		if govc.IsTimeout(r.Err) {
			d.say(checkTLS, resultFail, "look whether it speaks TLS at that port", "%s does not end the handshake within %s", r.Host, patientConnect)
			return
		}
		d.say(checkTLS, resultFail, "look whether it speaks TLS at that port, and which versions", "no safe connection to %s: %s", r.Host, ui.Gist(r.Err.Error()))
		return
	}
	u, err := url.Parse(d.url)
	near := err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
	switch {
	case !r.Secure && near:
		d.ok(checkTLS, "none: plain HTTP that does not leave this machine")
	case !r.Secure:
		d.say(checkTLS, resultWarn, "use https:// in GOVC_SERVICE_URL (govc.url)", "none: everybody on the way to %s can read and change documents and credentials", r.Host)
	case d.cfg.Govc.Insecure:
		d.say(checkTLS, resultWarn, "set govc.ca to the certificate of its authority, and remove govc.insecure", "%s, INSECURE: nobody checks the certificate (%s)", orUnknown(r.Version), orUnknown(r.Peer))
	case d.cfg.Govc.CA != "":
		d.ok(checkTLS, "%s, certificate of %s, checked against %s", orUnknown(r.Version), orUnknown(r.Peer), d.cfg.Govc.CA)
	default:
		d.ok(checkTLS, "%s, certificate of %s", orUnknown(r.Version), orUnknown(r.Peer))
	}
	if r.TLS > 0 {
		d.took(checkTLS, r.TLS)
	}
}

func (d *doctor) answered(r govc.Reach) {
	const check = "check host, port and path in GOVC_SERVICE_URL (govc.url)"
	switch {
	case r.Stage == govc.Asking && govc.IsTimeout(r.Err):
		d.say(checkHTTP, resultFail, "look at the load of the service and at its log; restart it if it hangs", "%s takes the request and does not answer within %s", r.Host, patientRead)
	case r.Stage == govc.Asking:
		d.say(checkHTTP, resultFail, check, "%s does not answer as HTTP: %s", r.Host, ui.Gist(r.Err.Error()))
	case r.Alive:
		d.ok(checkHTTP, "it lives: /health/live answers")
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden || r.Status == http.StatusProxyAuthRequired:
		d.say(checkHTTP, resultFail, "look at the proxy before the service: a govc lets everybody ask whether it lives", "something before the service refuses the request (status %d)", r.Status)
	case r.Status >= 300 && r.Status < 400:
		d.say(checkHTTP, resultFail, "write the final URL into GOVC_SERVICE_URL (govc.url)", "it redirects, which is not followed (status %d)", r.Status)
	case r.Status == http.StatusTooManyRequests:
		d.say(checkHTTP, resultFail, "wait, or allow more at the service", "it refuses because of too many requests (status %d)", r.Status)
	case r.Status >= 500:
		d.say(checkHTTP, resultFail, "look at the log of the service, and at the proxy before it", "it answers, and is in trouble (status %d)", r.Status)
	default:
		d.say(checkHTTP, resultFail, check, "what answers at %s is no govc (status %d)", d.url, r.Status)
	}
	d.took(checkHTTP, r.FirstByte)
}

// latency measures a few more requests, over the connection that stands.
func (d *doctor) latency(ctx context.Context, i *govc.Inspector) {
	var times []time.Duration
	for range reaches {
		limited, cancel := context.WithTimeout(ctx, patientRead)
		r := i.Reach(limited)
		cancel()
		if r.Stage != govc.Answered {
			d.say(checkLatency, resultFail, "look at the load of the service and at the network", "of a few requests one was not answered: %s", ui.Gist(r.Err.Error()))
			return
		}
		times = append(times, r.FirstByte)
	}
	slices.Sort(times)
	first := times[len(times)/2]
	way := ui.Breakdown(80, d.reach.DNS, d.reach.Connect, d.reach.TLS, first)
	if total := d.reach.DNS + d.reach.Connect + d.reach.TLS; first > slowRequest {
		fix := "most of it is the service: look at its load, and measure with: caiatop bench"
		if d.reach.Connect > first/2 {
			fix = "most of it is the way there: use a service that is nearer, or look at the network"
		}
		d.say(checkLatency, resultWarn, fix, "slow: %s", way)
	} else if total > slowStep {
		d.say(checkLatency, resultWarn, "only new connections are slow: look at resolver, network and proxy", "slow to connect: %s", way)
	} else {
		d.ok(checkLatency, "%s", way)
	}
	d.took(checkLatency, first)
}

// clock compares the service's with ours. Its header has whole seconds.
func (d *doctor) clock() {
	r := d.reach
	if r.Date.IsZero() {
		d.unknown(checkClock, "the service does not say what time it is")
		return
	}
	apart := r.At.Sub(r.Date)
	size, which := apart, "ahead of"
	if apart < 0 {
		size, which = -apart, "behind"
	}
	switch {
	case size <= 2*time.Second:
		d.ok(checkClock, "the clocks of this machine and of the service agree")
	case size <= clockSkew:
		d.ok(checkClock, "the clock of this machine is %s %s that of the service", size.Round(time.Second), which)
	default:
		d.say(checkClock, resultWarn, "set both clocks (timedatectl set-ntp true): tokens end too early or too late", "the clock of this machine is %s %s that of the service", size.Round(time.Second), which)
	}
}

// describe finds out what the service is.
func (d *doctor) describe(ctx context.Context, i *govc.Inspector) {
	info, err := i.Describe(ctx)
	if err != nil {
		d.undescribed(err)
		return
	}
	d.info = &info
	version := fmt.Sprintf("version %s", info.Version)
	if info.Implementation != "" {
		version += " of " + info.Implementation
	}
	d.ok(checkDialect, "%s; %s", info.Reason, version)
	// What a service announces beside those that are known comes after them.
	all := engine.CapabilitiesOf(info)[:len(engine.CapabilitiesOf(govc.Info{}))]
	var lacks []string
	for _, c := range all {
		if !c.Has {
			lacks = append(lacks, c.Name)
		}
	}
	lack := func(name string) string {
		for _, c := range all {
			if c.Name == name && !c.Has {
				return c.Name + " (" + c.Means + ")"
			}
		}
		return ""
	}
	const risky, slow, kept = "if-match", "batch", "delete"
	told := slices.DeleteFunc([]string{lack(slow), lack(risky), lack(kept)}, func(s string) bool { return s == "" })
	switch {
	case len(lacks) == 0:
		d.ok(checkCapabilities, "all %d that caiatop knows", len(all))
	case lack(risky) != "":
		d.say(checkCapabilities, resultWarn, "let nobody but this caiatop write to the repository, or use a service that can: caiatop server", "%d of %d; it lacks %s", len(all)-len(lacks), len(all), strings.Join(told, ", "))
	default:
		d.ok(checkCapabilities, "%d of %d; it lacks %s", len(all)-len(lacks), len(all), strings.Join(lacks, ", "))
	}
}
