package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	dialTimeout = 2 * time.Second
	// callTimeout bounds a request whose caller set no deadline. Actions of
	// operators wait as long as their caller does.
	callTimeout = 2 * time.Minute
	maxIdle     = 8
)

// Client talks to the engine that serves a state folder. It is safe for
// concurrent use.
type Client struct {
	path string
	http *http.Client
}

// Client does everything that an engine in the same process does.
var _ Engine = (*Client)(nil)

// New returns a client of the engine with the state folder dir. It connects
// once to see that there is one: ErrNotRunning if nobody listens.
func New(ctx context.Context, dir string) (*Client, error) {
	path, err := SocketPath(dir)
	if err != nil {
		return nil, err
	}
	if err := checkOwned(dir, filepath.Dir(path)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = notRunning(path, err)
		}
		return nil, err
	}
	c := &Client{path: path}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
			DisableCompression: true,
			MaxIdleConns:       maxIdle, MaxIdleConnsPerHost: maxIdle,
			IdleConnTimeout: idleTimeout / 2, // before the server closes it
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("control socket %q: %w", path, err)
	}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", c.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, notRunning(c.path, err)
	}
	if ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("control socket %q: %w", c.path, ctx.Err())
	}
	if err != nil {
		return nil, advised(fmt.Errorf("%w: control socket %q: %w", ErrUnavailable, c.path, err), "look whether the engine hangs")
	}
	return conn, nil
}

// notRunning is no *Error, which could carry only the sentinel of its code.
func notRunning(path string, err error) error {
	return fmt.Errorf("%w at %q: %w", ErrNotRunning, path, err)
}

// Put implements Documents.
func (c *Client) Put(ctx context.Context, docs []Document) (Ack, error) {
	var ack Ack
	err := c.call(ctx, http.MethodPost, "documents", nil, documentBatch{docs}, &ack)
	return ack, err
}

// Get implements Documents.
func (c *Client) Get(ctx context.Context, id string) (Document, error) {
	var doc Document
	err := c.onDocument(ctx, http.MethodGet, id, nil, nil, nil, &doc)
	return doc, err
}

// Delete implements Documents.
func (c *Client) Delete(ctx context.Context, ids []string) (Ack, error) {
	var ack Ack
	err := c.call(ctx, http.MethodDelete, "documents", nil, idBatch{ids}, &ack)
	return ack, err
}

// List implements Documents.
func (c *Client) List(ctx context.Context, query ListQuery) (Page, error) {
	values := url.Values{}
	set(values, "contains", query.Contains)
	set(values, "type", query.Type)
	setNumber(values, "offset", query.Offset)
	setNumber(values, "limit", query.Limit)
	var page Page
	err := c.call(ctx, http.MethodGet, "documents", values, nil, &page)
	return page, err
}

// Search implements Documents.
func (c *Client) Search(ctx context.Context, query string, limit int) (Hits, error) {
	values := url.Values{"q": {query}}
	setNumber(values, "limit", limit)
	var found Hits
	err := c.call(ctx, http.MethodGet, "search", values, nil, &found)
	return found, err
}

// Status implements Control.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	err := c.call(ctx, http.MethodGet, "storage/status", nil, nil, &status)
	return status, err
}

// Fallback implements Control.
func (c *Client) Fallback(ctx context.Context) error { return c.act(ctx, "fallback", nil) }

// Recover implements Control.
func (c *Client) Recover(ctx context.Context, adopt bool) error {
	var query url.Values
	if adopt {
		query = url.Values{"adopt": {"true"}}
	}
	return c.act(ctx, "recover", query)
}

// Sync implements Control.
func (c *Client) Sync(ctx context.Context) error { return c.act(ctx, "sync", nil) }

func (c *Client) act(ctx context.Context, name string, query url.Values) error {
	return c.exchange(ctx, http.MethodPost, "storage/"+name, query, nil, nil, &struct{}{})
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return c.callWith(ctx, method, path, query, nil, in, out)
}

func (c *Client) callWith(ctx context.Context, method, path string, query url.Values, header http.Header, in, out any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	return c.exchange(ctx, method, path, query, header, in, out)
}

// exchange sends one request and decodes its reply. Errors are *Error, or
// wrap ErrNotRunning, ErrGone or the error of ctx.
func (c *Client) exchange(ctx context.Context, method, path string, query url.Values, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := encode(in)
		if err != nil {
			return advised(fmt.Errorf("%s: %w", method, err), "")
		}
		if len(data) > MaxBody {
			return advised(fmt.Errorf("%w: the request has %d bytes, the limit is %d", ErrTooLarge, len(data), MaxBody), "send fewer documents at once")
		}
		body = bytes.NewReader(data)
	}
	address := "http://caiatop/api/v1/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return advised(fmt.Errorf("%w: %w", ErrInvalid, err), "")
	}
	request.Header.Set("Content-Type", "application/json")
	maps.Copy(request.Header, header)
	response, err := c.http.Do(request)
	if err != nil {
		return c.broken(ctx, err)
	}
	err = read(response, out)
	if closeErr := response.Body.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if ctx.Err() != nil && err != nil {
		return c.broken(ctx, err)
	}
	return err
}

// broken describes a request without a reply.
func (c *Client) broken(ctx context.Context, err error) error {
	var inner *Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("control socket %q: %w", c.path, ctx.Err())
	case errors.Is(err, ErrNotRunning), errors.As(err, &inner):
		return err
	}
	// No *Error, which could carry only the sentinel of its code.
	return fmt.Errorf("%w, it may or may not have done this: control socket %q: %w", ErrGone, c.path, err)
}

func read(response *http.Response, out any) error {
	if response.StatusCode == http.StatusOK {
		if err := decode(response.Body, out); err != nil {
			// Not wrapped: it is the reply that is invalid, not the request.
			return advised(fmt.Errorf("%w: the engine's reply: %v", ErrInternal, err), "")
		}
		return nil
	}
	var e Error
	if err := decode(response.Body, &e); err != nil || e.Code == "" {
		return advised(fmt.Errorf("%w: the engine answered %s", ErrInternal, response.Status), "")
	}
	return &e
}

func set(values url.Values, name, value string) {
	if value != "" {
		values.Set(name, value)
	}
}

func setNumber(values url.Values, name string, n int) {
	if n != 0 {
		values.Set(name, strconv.Itoa(n))
	}
}
