package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/caiatech/caiatop/bench/beside"
)

// echo is the least that a request over the loopback costs: a server of
// net/http that reads the body and answers as many bytes as it is asked for.
type echo struct {
	server *http.Server
	url    string
	done   chan error
	bare   *http.Client
	rest   *resty.Client
}

func startEcho() (*echo, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	filler := []byte(strings.Repeat("x", 1<<20))
	e := &echo{
		url: "http://" + listener.Addr().String() + "/", done: make(chan error, 1), bare: &http.Client{Transport: newPool()},
		rest: resty.NewWithClient(&http.Client{Transport: newPool()}),
		server: &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			if n, err := strconv.Atoi(r.URL.RawQuery); err == nil {
				body = filler[:n]
			}
			_, _ = w.Write(body) // the only reader is gone if this fails
		})},
	}
	go func() { e.done <- e.server.Serve(listener) }()
	return e, nil
}

func (e *echo) close() error {
	e.bare.CloseIdleConnections()
	e.rest.GetClient().CloseIdleConnections()
	err := e.server.Close()
	if served := <-e.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// newPool keeps connections as the client does.
func newPool() *http.Transport {
	return &http.Transport{MaxIdleConns: 64, MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64, DisableCompression: true}
}

// like returns the method, the address and the body of a request to the echo
// that carries as many bytes as another one.
func (e *echo) like(sent, got int) (method, url string, body []byte) {
	method = http.MethodPost
	if sent == 0 {
		method = http.MethodGet
	}
	return method, e.url + "?" + strconv.Itoa(min(got, 1<<20)), bytes.Repeat([]byte("x"), sent)
}

// viaHTTP is one exchange by net/http.
func (e *echo) viaHTTP(ctx context.Context, sent, got int) func(int) (time.Duration, error) {
	method, url, body := e.like(sent, got)
	return func(int) (time.Duration, error) {
		return beside.Clock(func() error {
			_, err := send(ctx, e.bare, method, url, body, inJSON)
			return err
		})
	}
}

// viaResty is one exchange by the library that the client is made of.
func (e *echo) viaResty(ctx context.Context, sent, got int) func(int) (time.Duration, error) {
	method, url, body := e.like(sent, got)
	return func(int) (time.Duration, error) {
		return beside.Clock(func() error {
			r := e.rest.R().SetContext(ctx)
			if len(body) > 0 {
				r.SetHeader("Content-Type", "application/json").SetBody(body)
			}
			answered, err := r.Execute(method, url)
			if err == nil && (answered.StatusCode() != http.StatusOK || len(answered.Body()) != got) {
				err = fmt.Errorf("echo: status %d, %d bytes of %d", answered.StatusCode(), len(answered.Body()), got)
			}
			return err
		})
	}
}

// send makes one bare request and returns the body of its answer.
func send(ctx context.Context, c *http.Client, method, url string, body []byte, f form) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", f.kind)
	}
	r.Header.Set("Accept", f.accept)
	in, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(in.Body)
	err = errors.Join(err, in.Body.Close())
	if err == nil && in.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: status %d: %.200s", method, url, in.StatusCode, got)
	}
	return got, err
}
