package govc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/caiatech/caiatop/backend/store"
)

// TLSOptions say how a service behind https is known. Files hold PEM.
type TLSOptions struct {
	CAFile     string // certificates that are trusted instead of the system's; "" is the system's
	CertFile   string // of the client, with those in between; "" shows none
	KeyFile    string // of the client's certificate
	ServerName string // in the service's certificate; "" is the host of the URL
	// Insecure takes any certificate, whoever shows it. It needs AllowInsecure,
	// too, so that no single switch does it.
	Insecure, AllowInsecure bool
}

// OptionError is an option that cannot be used.
type OptionError struct {
	Key     string // as in the configuration: "govc.ca"
	Problem string
	Fix     string
	Err     error // nil if there is no other cause
}

// Error says what is wrong and what to do.
func (e *OptionError) Error() string {
	text := e.Key + ": " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + "; " + e.Fix
}

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }

// config reads the files. plain says that the service is reached without TLS.
func (o TLSOptions) config(plain bool) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	switch {
	case o == (TLSOptions{}):
		return c, nil
	case o.Insecure && !o.AllowInsecure:
		return nil, &OptionError{"govc.insecure", "it would take any certificate, so that anybody on the way could read and change everything", "set govc.allow_insecure, too, if that is meant; or name the certificate of the service in govc.ca", nil}
	case (o.CertFile == "") != (o.KeyFile == ""):
		key, other := "govc.cert", "govc.key"
		if o.CertFile == "" {
			key, other = other, key
		}
		return nil, &OptionError{key, "it is set without " + other, "set both, or neither", nil}
	case plain && (o.CAFile != "" || o.CertFile != "" || o.ServerName != "" || o.Insecure):
		return nil, &OptionError{o.firstKey(), "the URL of the service begins with http://, so nothing is encrypted and no certificate is looked at", "write https:// in govc.url, or remove the setting", nil}
	}
	c.InsecureSkipVerify = o.Insecure
	if o.CAFile != "" {
		text, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, &OptionError{"govc.ca", "the file cannot be read", "name a readable file with certificates as PEM", err}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, &OptionError{"govc.ca", o.CAFile + " holds no certificate", "name a file with certificates as PEM (-----BEGIN CERTIFICATE-----)", nil}
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			key := "govc.cert"
			if path, ok := errors.AsType[*os.PathError](err); ok && path.Path == o.KeyFile {
				key = "govc.key"
			}
			return nil, &OptionError{key, "certificate and key cannot be used", "name the client's certificate and the key that belongs to it, both as PEM, the key without a password", err}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (o TLSOptions) firstKey() string {
	switch {
	case o.CAFile != "":
		return "govc.ca"
	case o.CertFile != "":
		return "govc.cert"
	case o.ServerName != "":
		return "govc.server_name"
	}
	return "govc.insecure"
}

// TLSError is a connection that could not be made safe. Nothing was sent over
// it, no credentials either. It is a store.ErrUnavailable, for it ends when the
// certificate is replaced, but repeating it soon is of no use.
type TLSError struct {
	Host    string
	Problem string
	Fix     string
	Err     error
}

// Error says what is wrong and what to do.
func (e *TLSError) Error() string {
	return fmt.Sprintf("govc: no safe connection to %s: %s: %s; %s", e.Host, e.Problem, bounded(e.Err.Error(), maxText), e.Fix)
}

// Unwrap returns store.ErrUnavailable and the cause.
func (e *TLSError) Unwrap() []error { return []error{store.ErrUnavailable, e.Err} }

// tlsError tells a connection that is not safe from one that just failed; nil
// for the latter.
func (c *Client) tlsError(err error) error {
	e := &TLSError{Host: c.host, Err: err}
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	unknown, wrong := &x509.UnknownAuthorityError{}, &x509.HostnameError{}
	remote, isRemote := errors.AsType[*net.OpError](err)
	isRemote = isRemote && remote.Op == "remote error"
	_, noRecord := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.As(err, unknown):
		e.Problem, e.Fix = "nobody who is trusted signed its certificate", "name the certificate of its authority in govc.ca, or point govc.url at the right service"
	case errors.As(err, wrong):
		e.Problem, e.Fix = "its certificate is for another name", "write a name of the certificate in govc.url, or in govc.server_name if the address has to stay"
	case isInvalid && invalid.Reason == x509.Expired:
		e.Problem, e.Fix = "its certificate is not valid at this time", "renew the certificate of the service, and look at the clock of this machine"
	case isCertificate(err):
		e.Problem, e.Fix = "its certificate cannot be accepted", "give the service another certificate"
	case isRemote && strings.Contains(err.Error(), "certificate"):
		e.Problem, e.Fix = "it does not accept the certificate of this client", "name in govc.cert and govc.key a certificate that the service trusts"
	case strings.Contains(err.Error(), "protocol version"):
		e.Problem, e.Fix = "it speaks no TLS 1.2 or newer", "let the service speak TLS 1.2 or 1.3"
	case errors.Is(err, http.ErrSchemeMismatch):
		e.Problem, e.Fix = "it speaks plain HTTP there", "write http:// in govc.url, or point it at the port that speaks TLS"
	case noRecord:
		e.Problem, e.Fix = "it speaks no TLS there", "write http:// in govc.url if it speaks plain HTTP, or point it at the port that speaks TLS"
	default:
		return nil
	}
	return e
}

func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// certificateName tells whose certificate it is, by whom, and until when.
func certificateName(cert *x509.Certificate) string {
	name := cert.Subject.CommonName
	if len(cert.DNSNames) > 0 {
		name = cert.DNSNames[0]
	} else if len(cert.IPAddresses) > 0 {
		name = cert.IPAddresses[0].String()
	}
	issuer := cert.Issuer.CommonName
	if issuer == "" {
		issuer = cert.Issuer.String()
	}
	return fmt.Sprintf("%s, by %s, until %s", bounded(name, maxStart), bounded(issuer, maxStart), cert.NotAfter.UTC().Format("2006-01-02"))
}
