package govc

import (
	"cmp"
	"errors"
	"fmt"
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
	Token  Secret // sent as "Authorization: Bearer"; "" sends none
	APIKey Secret // sent as X-API-Key; "" sends none

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
	timeouts   Timeouts
	retry      RetryOptions
	random     func(int64) int64
	now        func() time.Time
	observe    func(string, time.Duration, error)
	http       *resty.Client
	pool       *http.Transport // ours, nil if one was given
	budget     *budget
	writer     *writerLock
	touchEvery time.Duration
	limits     batchLimits

	info atomic.Pointer[Info]
	csrf atomic.Bool // the service asks for a token with every write
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
	case len(o.Token)+len(o.APIKey) > maxSecrets:
		return nil, fmt.Errorf("govc: token and API key have %d bytes together; no service takes more than %d in its headers", len(o.Token)+len(o.APIKey), maxSecrets)
	}
	c := &Client{
		base: strings.TrimRight(u.String(), "/"), repo: o.Repo, timeouts: o.Timeouts.withDefaults(),
		retry: o.Retry.withDefaults(), random: o.Random, now: o.Now, observe: o.Observe, touchEvery: cmp.Or(max(o.Touch, 0), time.Minute), limits: usualLimits,
	}
	if c.random == nil {
		c.random = defaultRandom
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.budget = newBudget(c.retry, c.now)
	transport := o.Transport
	if transport == nil {
		c.pool = newPool(c.timeouts.Connect)
		transport = c.pool
	}
	c.http = newResty(transport, o)
	c.dirty.Store(true)
	c.writer = acquireWriter(c.base + "/" + c.repo)
	return c, nil
}

// Close drops the connections that are idle. Closing twice is harmless.
func (c *Client) Close() {
	if c.closed.Swap(true) {
		return
	}
	c.writer.release()
	if c.pool != nil {
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

// newPool keeps connections shorter than a service does, so that it rarely
// meets one that is closed already.
func newPool(connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  proxyUnlessLoopback,
		DialContext:            (&net.Dialer{Timeout: connect, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    connect,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        64,
		IdleConnTimeout:        45 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func proxyUnlessLoopback(r *http.Request) (*url.URL, error) {
	host := r.URL.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

func newResty(transport http.RoundTripper, o Options) *resty.Client {
	r := resty.NewWithClient(&http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	r.SetRetryCount(0).SetLogger(silent{}).SetHeader("User-Agent", "caiatop").SetHeader("Accept", "application/json")
	if o.Token != "" {
		r.SetHeader("Authorization", "Bearer "+string(o.Token))
	}
	if o.APIKey != "" {
		r.SetHeader("X-API-Key", string(o.APIKey))
	}
	return r
}

// silent keeps resty from writing to standard error: every error is returned.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
