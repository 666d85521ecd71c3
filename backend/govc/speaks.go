package govc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// SpeaksTLS reports whether TLS is spoken at the service's address, for one that
// is asked in plain HTTP and answers nothing that makes sense. It looks past no
// proxy, and nothing is sent but the beginning of a handshake.
func (i *Inspector) SpeaksTLS(ctx context.Context) bool {
	if i.c.proxy != "" {
		return false
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", i.c.host)
	if err != nil {
		return false
	}
	host, _, err := net.SplitHostPort(i.c.host)
	if err != nil {
		host = i.c.host
	}
	//nolint:gosec // whose certificate it is does not matter, nothing is said over this connection
	secured := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	defer func() { _ = secured.Close() }() // nothing was said
	err = secured.HandshakeContext(ctx)
	if err == nil {
		return true
	}
	// A service that wants another version, or a certificate of ours, says so in TLS.
	refused, ok := errors.AsType[*net.OpError](err)
	return ok && refused.Op == "remote error"
}
