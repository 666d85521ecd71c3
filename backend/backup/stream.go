package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// stream is a conversation over a connection that carries both ways.
type stream struct {
	in      io.Writer
	out     *bufio.Reader
	words   *bounded
	stop    func() bool // ends the watch over the context
	closers []func() error
	asked   bool
}

func (s *stream) refs() io.Reader { return s.out }
func (s *stream) said() string    { return s.words.String() }

func (s *stream) exchange(ctx context.Context, _ int64, request io.Reader) (io.Reader, error) {
	s.asked = true
	defer context.AfterFunc(ctx, func() { _ = s.hangUp() })()
	if _, err := io.Copy(s.in, request); ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	// A server that does not read on has said why, or the answer is cut short.
	return &watched{ctx, s}, nil
}

// watched hangs up when its context ends while it waits.
type watched struct {
	ctx context.Context //nolint:containedctx // of one exchange, which it is a part of
	s   *stream
}

// Read implements io.Reader.
func (w *watched) Read(data []byte) (int, error) {
	stop := context.AfterFunc(w.ctx, func() { _ = w.s.hangUp() })
	n, err := w.s.out.Read(data)
	stop()
	if err != nil && w.ctx.Err() != nil {
		err = w.ctx.Err()
	}
	return n, err
}

// hangUp closes the connection, whoever waits for it.
func (s *stream) hangUp() error {
	var err error
	for _, closer := range s.closers {
		if e := closer(); !errors.Is(e, net.ErrClosed) && !errors.Is(e, io.EOF) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (s *stream) close() error {
	if !s.asked {
		// The polite end; a server that is gone has nothing to hear.
		_, _ = s.in.Write([]byte("0000"))
	}
	s.stop()
	return s.hangUp()
}

// gitDialer speaks to a git daemon.
type gitDialer struct{ addr, path string }

func (d *gitDialer) dial(ctx context.Context, service string) (conversation, error) {
	conn, err := (&net.Dialer{Timeout: connectTime}).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	s := &stream{in: conn, out: bufio.NewReader(conn), words: &bounded{}, closers: []func() error{conn.Close}}
	s.stop = context.AfterFunc(ctx, func() { _ = s.hangUp() })
	req := packp.GitProtoRequest{RequestCommand: service, Pathname: d.path, Host: d.addr}
	if err := req.Encode(conn); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), s.close())
	}
	return s, nil
}
