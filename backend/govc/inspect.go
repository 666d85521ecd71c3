package govc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// Inspector looks at a service and changes nothing there: it sends GET and
// nothing else, renews no credentials and logs nobody in. It is for one
// goroutine; Close releases it.
type Inspector struct {
	c *Client
	// LeftOut says that a login was configured and is not tried: one that fails
	// counts towards the service's lockout.
	LeftOut bool
}

// NewInspector returns an inspector; it does not connect.
func NewInspector(o Options) (*Inspector, error) {
	i := &Inspector{LeftOut: o.Login.isSet() && o.Token == "" && o.APIKey == ""}
	o.Login = Login{}
	o.Retry.Max = -1
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	c.auth.fix("an inspector renews nothing")
	c.http.SetTransport(onlyGet{c.http.GetClient().Transport})
	i.c = c
	return i, nil
}

// Close drops the connections.
func (i *Inspector) Close() { i.c.Close() }

// onlyGet lets nothing but GET pass.
type onlyGet struct{ through http.RoundTripper }

var errOnlyGet = errors.New("govc: only GET is sent by an inspector")

// RoundTrip implements http.RoundTripper.
func (t onlyGet) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		return nil, fmt.Errorf("%w, not %s %s", errOnlyGet, r.Method, r.URL.Path)
	}
	return t.through.RoundTrip(r)
}

// Stage is how far a request came.
type Stage int

// The stages, in their order. A stage is the one that failed, or Answered.
const (
	LookingUp  Stage = iota // the name
	Connecting              // to the service, or to the proxy before it
	Securing                // TLS
	Asking                  // HTTP
	Answered
)

// Reach is one request to a service on its way, without credentials.
type Reach struct {
	Host    string // host:port of the service
	Name    bool   // it has a name that was looked up
	Secure  bool   // https
	Proxy   string // host:port in between, "" for none
	Stage   Stage
	Err     error // of that stage, nil if Answered
	Reused  bool  // it needed no new connection
	Version string
	Peer    string // of TLS, as in Access

	DNS, Connect, TLS, FirstByte time.Duration // 0 for what did not happen

	Status int
	Alive  bool      // the answer is that of a govc that lives
	Date   time.Time // the service's clock, zero if it does not say
	At     time.Time // ours at that moment, half a round trip before the answer
}

// Reach asks whether the service lives, and says where the time went and where
// it ended.
func (i *Inspector) Reach(ctx context.Context) Reach {
	c := i.c
	r := Reach{Host: c.host, Secure: c.secure, Proxy: c.proxy, Stage: Connecting}
	w := &watched{now: c.now, reach: &r}
	start := c.now()
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, w.hooks()), http.MethodGet, c.base+"/health/live", http.NoBody)
	if err != nil {
		r.Err = withoutURL(err)
		return r
	}
	request.Header.Set("User-Agent", "caiatop")
	response, err := c.http.GetClient().Do(request)
	end := c.now()
	if err == nil {
		err = r.take(response, start, end)
	}
	w.mu.Lock() // hooks of connections that were given up may still come
	defer w.mu.Unlock()
	w.reach = &Reach{}
	if err != nil {
		r.Err = withoutURL(err)
		if unsafe := c.tlsError(err); unsafe != nil {
			r.Stage, r.Err = Securing, unsafe
		} else if r.Stage == Asking && !w.got {
			r.Stage = Connecting // the proxy led nowhere
		}
		return r
	}
	r.Stage, r.FirstByte = Answered, w.first.Sub(start)
	if s := w.state; s != nil {
		r.Version = tls.VersionName(s.Version)
		if len(s.PeerCertificates) > 0 {
			r.Peer = certificateName(s.PeerCertificates[0])
		}
	}
	return r
}

// take reads the answer.
func (r *Reach) take(in *http.Response, start, end time.Time) error {
	body, err := io.ReadAll(io.LimitReader(in.Body, maxText))
	if err = errors.Join(err, in.Body.Close()); err != nil {
		return err
	}
	var alive struct {
		Status string `json:"status"`
	}
	r.Status = in.StatusCode
	r.Alive = in.StatusCode == http.StatusOK && decodes(body, &alive) && alive.Status == "alive"
	if at, err := http.ParseTime(in.Header.Get("Date")); err == nil {
		r.Date, r.At = at, start.Add(end.Sub(start)/2)
	}
	return nil
}

// watched notes the stages of a request.
type watched struct {
	now   func() time.Time
	mu    sync.Mutex
	reach *Reach
	from  time.Time
	tls   time.Time
	first time.Time
	state *tls.ConnectionState
	got   bool // a connection that leads to the service
}

// locked makes a hook of what may run while nothing else does.
func (w *watched) locked(f func(r *Reach)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.reach)
}

func (w *watched) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) {
			w.locked(func(r *Reach) { r.Name, r.Stage, w.from = true, LookingUp, w.now() })
		},
		DNSDone: func(i httptrace.DNSDoneInfo) {
			w.locked(func(r *Reach) {
				if r.DNS = w.now().Sub(w.from); i.Err == nil {
					r.Stage = Connecting
				}
			})
		},
		ConnectStart: func(string, string) { w.locked(func(*Reach) { w.from = w.now() }) },
		ConnectDone: func(_, _ string, err error) {
			w.locked(func(r *Reach) {
				if err == nil {
					r.Connect, r.Stage = w.now().Sub(w.from), Asking
				}
			})
		},
		TLSHandshakeStart: func() { w.locked(func(r *Reach) { r.Stage, w.tls = Securing, w.now() }) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			w.locked(func(r *Reach) {
				if err == nil {
					r.TLS, r.Stage = w.now().Sub(w.tls), Asking
					w.state = &s
				}
			})
		},
		GotConn: func(i httptrace.GotConnInfo) {
			w.locked(func(r *Reach) { r.Reused, r.Stage, w.got = i.Reused, Asking, true })
		},
		GotFirstResponseByte: func() { w.locked(func(*Reach) { w.first = w.now() }) },
	}
}

// Describe finds out dialect, version and capabilities, as Client.Describe. The
// credentials are shown.
func (i *Inspector) Describe(ctx context.Context) (Info, error) { return i.c.Describe(ctx) }

// ReadMarker reads the marker, as Client.ReadMarker.
func (i *Inspector) ReadMarker(ctx context.Context) (Marker, bool, error) { return i.c.ReadMarker(ctx) }

// Access says who we are to the service, after Describe.
func (i *Inspector) Access() Access { return i.c.Access() }

// Refusal asks whom the service takes us for, and returns the status and the
// text of an answer that refuses; 0 if it does not. Services that cannot tell
// refuse nobody.
func (i *Inspector) Refusal(ctx context.Context) (status int, text string, err error) {
	q := request{op: "ask who we are", method: http.MethodGet, path: "/api/v1/auth/whoami"}
	r, _, err := i.c.exchange(ctx, q, i.c.auth.current(), "")
	if err != nil {
		return 0, "", err
	}
	if r.status != http.StatusUnauthorized && r.status != http.StatusForbidden {
		return 0, "", nil
	}
	var p problem
	if !decodes(r.body, &p) {
		return r.status, http.StatusText(r.status), nil
	}
	return r.status, i.c.clean(p.Error, maxText), nil
}

// IsTimeout reports that something took too long, rather than failed.
func IsTimeout(err error) bool {
	var slow net.Error
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &slow) && slow.Timeout())
}
