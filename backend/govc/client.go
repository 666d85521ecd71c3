package govc

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/caiatech/caiatop/backend/store"
)

// Timeouts bound single HTTP calls; zero values are the defaults.
type Timeouts struct {
	Connect time.Duration // of one connection; 0 is 1 s
	Read    time.Duration // 0 is 2 s
	Write   time.Duration // 0 is 5 s; 1 s more for each MiB that is sent
	Bulk    time.Duration // of a listing or a long log; 0 is 30 s
}

// Options configure a Client.
type Options struct {
	URL    string // of the service, http or https, without credentials
	Repo   string // name of the repository
	Token  Secret // a JWT is sent as "Authorization: Bearer", anything else as X-API-Key; "" sends none
	APIKey Secret // sent as X-API-Key if there is no token; "" sends none
	Login  Login  // used if there is neither, and where a token that was given ends
	TLS    TLSOptions

	Timeouts Timeouts
	// Touch is how long a repository of a service that forgets idle ones may
	// go without a request before Health makes one; 0 is 1 min. Such services
	// forget after 30 min unless they are told otherwise.
	Touch     time.Duration
	Retry     RetryOptions
	Transport http.RoundTripper                              // nil is a pool of its own; a given one is not closed
	Random    func(n int64) int64                            // uniform in [0, n), safe for concurrent use; nil is random
	Now       func() time.Time                               // nil is time.Now
	Observe   func(op string, took time.Duration, err error) // called after every HTTP call; nil is none
}

// Client is a store of one repository at one service. Its methods are safe for
// concurrent use.
type Client struct {
	base       string // URL without trailing slash
	repo       string
	root       string // "/repos/" and the repository, as paths have it
	timeouts   Timeouts
	retry      RetryOptions
	random     func(int64) int64
	now        func() time.Time
	observe    func(string, time.Duration, error)
	http       *resty.Client
	pool       *http.Transport // ours, nil if one was given
	route      route           // to the pool, or elsewhere: see Divert
	budget     *budget
	writer     *writerLock
	touchEvery time.Duration
	limits     batchLimits

	host     string // of the URL, with port
	secure   bool   // https
	insecure bool   // any certificate is taken
	proxy    string // see Access
	auth     *credentials
	csrf     *csrfPool
	conns    *connections

	info atomic.Pointer[Info]
	// dirty: something may be staged that no commit of ours has taken, so what
	// reads show may not be what the next commit makes.
	dirty atomic.Bool
	// sentinel: the marker was seen, and nobody was told yet that it is gone.
	sentinel atomic.Bool
	batches  atomic.Int64 // that were made
	known    known
	// news: the documents that were put lately and of which nothing was known
	// were new to the service.
	news    atomic.Bool
	touched atomic.Int64 // when the repository was asked for something, in Unix nanoseconds
	closed  atomic.Bool
}

var _ store.Store = (*Client)(nil)

// New returns a client; it does not connect. A URL that is not http or https,
// or carries credentials, a query or a fragment, and a missing repository name
// are errors. Close releases it.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, errors.New("govc: the URL of the service cannot be parsed") // the parser's text would repeat it, credentials included
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("govc: the URL of the service must be http://host:port or https://host:port, not %q", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("govc: the URL %q carries credentials; give them as token or key", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("govc: the URL %q has a query or a fragment", u.Redacted())
	case o.Repo == "":
		return nil, errors.New("govc: the name of the repository is missing")
	}
	if err := checkCredentials(o); err != nil {
		return nil, err
	}
	c := &Client{
		base: strings.TrimRight(u.String(), "/"), repo: o.Repo, root: "/repos/" + url.PathEscape(o.Repo), timeouts: o.Timeouts.withDefaults(),
		retry: o.Retry.withDefaults(), random: o.Random, now: o.Now, observe: o.Observe, touchEvery: cmp.Or(max(o.Touch, 0), time.Minute), limits: usualLimits,
	}
	if c.random == nil {
		c.random = defaultRandom
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.budget = newBudget(c.retry, c.now)
	c.auth, c.csrf = newCredentials(o, c.now), &csrfPool{now: c.now}
	if err := c.connect(u, o); err != nil {
		return nil, err
	}
	c.dirty.Store(true)
	c.writer = acquireWriter(c.base + "/" + c.repo)
	return c, nil
}

// checkCredentials refuses what no header can carry. It never repeats it.
func checkCredentials(o Options) error {
	if n := len(o.Token) + len(o.APIKey); n > maxSecrets {
		return fmt.Errorf("govc: token and API key have %d bytes together; no service takes more than %d in its headers", n, maxSecrets)
	}
	for _, one := range []struct {
		key   string
		value Secret
	}{{"govc.token", o.Token}, {"govc.api_key", o.APIKey}} {
		if strings.ContainsFunc(string(one.value), func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &OptionError{one.key, "it holds a character that no header can carry", "write the token alone, without line end or quotes", nil}
		}
	}
	if o.Login.isSet() && (o.Login.User == "" || o.Login.Password == "") {
		key, other := "govc.user", "govc.password"
		if o.Login.User == "" {
			key, other = other, key
		}
		return &OptionError{key, "it is set without " + other, "set both, or neither", nil}
	}
	return nil
}

// connect makes the pool of connections, unless a transport was given.
func (c *Client) connect(u *url.URL, o Options) error {
	c.host, c.secure, c.insecure = u.Host, u.Scheme == "https", o.TLS.Insecure
	c.conns = &connections{now: c.now, dial: (&net.Dialer{Timeout: c.timeouts.Connect, KeepAlive: 15 * time.Second}).DialContext}
	trust, err := o.TLS.config(!c.secure)
	if err != nil {
		return fmt.Errorf("govc: %w", err)
	}
	transport := o.Transport
	if transport == nil {
		c.pool = newPool(c.timeouts.Connect)
		c.pool.TLSClientConfig, c.pool.DialContext = trust, c.conns.DialContext
		if c.pool.Proxy, c.proxy, err = proxyFor(u); err != nil {
			return err
		}
		c.route.lead(c.pool, c.conns, "")
		transport = &c.route
	} else if o.TLS != (TLSOptions{}) {
		return errors.New("govc: TLS options say nothing to a transport that is given")
	}
	c.http = newResty(transport)
	return nil
}

// String names the service and the repository.
func (c *Client) String() string { return "govc client of " + c.base + ", repository " + c.repo }

// Format is String for every verb, so that nothing that the client keeps is
// ever printed.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, c.String()) // a fmt.State has nowhere to report to
}

// Close drops the connections that are idle. Closing twice is harmless.
func (c *Client) Close() {
	if c.closed.Swap(true) {
		return
	}
	c.writer.release()
	if c.pool != nil {
		c.route.through.Load().CloseIdleConnections()
		c.pool.CloseIdleConnections()
	}
}

func (t Timeouts) withDefaults() Timeouts {
	for _, one := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&t.Connect, time.Second}, {&t.Read, 2 * time.Second}, {&t.Write, 5 * time.Second}, {&t.Bulk, 30 * time.Second}} {
		if *one.value <= 0 {
			*one.value = one.usual
		}
	}
	return t
}

func newResty(transport http.RoundTripper) *resty.Client {
	r := resty.NewWithClient(&http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return r.SetRetryCount(0).SetLogger(silent{}).SetHeader("User-Agent", "caiatop").SetHeader("Accept", "application/json")
}

// silent keeps resty from writing to standard error: every error is returned.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
