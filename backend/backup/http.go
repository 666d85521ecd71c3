package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// newHTTP makes a target of an http or https URL.
func newHTTP(s Settings, u *url.URL) (*Target, error) {
	user, password := "", ""
	if u.User != nil {
		user = u.User.Username()
		password, _ = u.User.Password()
	}
	d := &httpDialer{base: *u, user: user, password: password}
	d.base.User = nil
	d.base.Path = strings.TrimRight(d.base.Path, "/")
	d.base.RawPath = strings.TrimRight(d.base.RawPath, "/")
	secret := password
	switch {
	case s.Token.IsSet():
		if d.password = s.Token.Reveal(); user == "" {
			d.user = "git"
		}
		secret = d.password
		if password != "" {
			return nil, fmt.Errorf("%w: there is a password in backup.remote and a token in backup.token; keep one", ErrInvalid)
		}
	case user != "" && password == "":
		secret = user // some servers take a token as the user
	}
	d.redact = newRedactor(d.user, secret)
	return &Target{shown: clean(u), redact: d.redact, place: &server{dialer: d, redact: d.redact}, temp: s.Temp}, nil
}

// httpDialer speaks git over HTTP.
type httpDialer struct {
	base           url.URL // without credentials
	user, password string
	redact         redactor
}

func (d *httpDialer) dial(ctx context.Context, service string) (conversation, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout: connectTime,
		ForceAttemptHTTP2:   true,
	}
	c := &httpConversation{dialer: d, service: service, client: &http.Client{
		Transport: transport,
		// Where a server sends us is nobody's to decide but the operator's.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	res, err := c.do(ctx, http.MethodGet, "/info/refs?service="+service, -1, nil)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	if want := "application/x-" + service + "-advertisement"; res.Header.Get("Content-Type") != want {
		_ = res.Body.Close() // nothing of it was wanted
		return nil, errors.Join(fmt.Errorf("%w: its answer is no git (%q instead of %s)", ErrMissing, res.Header.Get("Content-Type"), want), c.close())
	}
	c.open = res.Body
	return c, nil
}

// httpConversation is two requests.
type httpConversation struct {
	dialer  *httpDialer
	service string
	client  *http.Client
	open    io.ReadCloser // the body of the last answer
}

func (c *httpConversation) refs() io.Reader { return c.open }
func (c *httpConversation) said() string    { return "" }

func (c *httpConversation) exchange(ctx context.Context, size int64, request io.Reader) (io.Reader, error) {
	if err := c.drain(); err != nil {
		return nil, err
	}
	res, err := c.do(ctx, http.MethodPost, "/"+c.service, size, request)
	if err != nil {
		return nil, err
	}
	c.open = res.Body
	return res.Body, nil
}

// drain ends the last answer, so that its connection can be used again.
func (c *httpConversation) drain() error {
	if c.open == nil {
		return nil
	}
	_, err := io.CopyN(io.Discard, c.open, maxSaid)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	err = errors.Join(err, c.open.Close())
	c.open = nil
	return err
}

func (c *httpConversation) close() error {
	var err error
	if c.open != nil {
		err = c.open.Close()
		c.open = nil
	}
	c.client.CloseIdleConnections()
	return err
}

// do sends one request with the credentials, and makes errors of all answers
// but the good one.
func (c *httpConversation) do(ctx context.Context, method, path string, size int64, body io.Reader) (*http.Response, error) {
	d := c.dialer
	req, err := http.NewRequestWithContext(ctx, method, d.base.String()+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "git/caiatop") // servers look for "git/"
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/x-"+c.service+"-request")
		req.Header.Set("Accept", "application/x-"+c.service+"-result")
	}
	if d.user != "" || d.password != "" {
		req.SetBasicAuth(d.user, d.password)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	return nil, errors.Join(d.refused(res), res.Body.Close())
}

// refused says what an answer means that is not the good one.
func (d *httpDialer) refused(res *http.Response) error {
	words := &bounded{hide: d.redact}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		if text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10)); err == nil {
			_, _ = words.Write(bytes.TrimSpace(text)) // never fails
		}
	}
	why := "the server answers " + res.Status
	if said := words.String(); said != "" {
		why += fmt.Sprintf(": %q", said)
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized && d.user == "" && d.password == "":
		return fmt.Errorf("%w: it wants some, and none are set: %s", ErrRefused, why)
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrRefused, why)
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone:
		return fmt.Errorf("%w: %s", ErrMissing, why)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		to := "elsewhere"
		if u, err := res.Location(); err == nil {
			to = strings.TrimSuffix(clean(&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}), "/info/refs")
		}
		return fmt.Errorf("%w: it redirects to %s, and redirects are not followed: set backup.remote to the right address", ErrMissing, to)
	case res.StatusCode == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: it takes no push of that size: %s", ErrRejected, why)
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s", ErrUnavailable, why)
	}
	return fmt.Errorf("%w: %s", ErrRejected, why)
}
