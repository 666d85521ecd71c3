package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

const memoryEnv = "GOVC_MEMORY_MODE"

// memoryMode is the flag --memory-mode, else GOVC_MEMORY_MODE.
func (o *serverOptions) memoryMode(given bool) error {
	text := os.Getenv(memoryEnv)
	if given || text == "" {
		o.kept = given && !o.memory
		return nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return usage(fmt.Sprintf("%s=%q is neither true nor false", memoryEnv, text), "set it to true, or leave it away")
	}
	o.memory, o.kept = on, !on
	return nil
}

// durable: the repositories are on disk.
func (o serverOptions) durable() bool { return o.data != "" && !o.memory }

// open opens the service, and its repositories if they are on disk.
func (o serverOptions) open(ctx context.Context, data serverData, with govcd.Options) (*govcd.Service, error) {
	if o.durable() {
		with.Data, with.Lock = o.data, data.lock
	}
	service, err := govcd.Open(ctx, with)
	if err != nil {
		return nil, &Fault{What: "the repositories in " + o.data + " cannot be opened", Why: err, Fix: "look at the disk of " + o.data}
	}
	return service, nil
}

// keyring reads the secrets of tokens, which need not be there unless a flag
// says where.
func (o serverOptions) keyring(log *slog.Logger) (access.Keyring, error) {
	if o.jwtSecret == "" {
		ring, from, err := readKeyring(o.jwtSecretFile, o.data)
		if errors.Is(err, fs.ErrNotExist) && o.jwtSecretFile == "" {
			return access.Keyring{}, nil
		}
		return ring, secretFault("mend it in "+from, err)
	}
	log.Warn("--jwt-secret can be seen by everybody who lists processes: use GOVC_JWT_SECRET or --jwt-secret-file")
	ring, err := access.NewKeyring(config.NewSecret(o.jwtSecret))
	return ring, secretFault("give another one with --jwt-secret-file", err)
}

func secretFault(fix string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, access.ErrWeak):
		return &Fault{What: "the JWT secret is not used", Why: coded{err, httpapi.ErrUnauthorized}, Fix: fix}
	}
	return &Fault{What: "the JWT secret is not used", Why: coded{err, ErrConfig}, Fix: fix}
}

// control decides about the requests to the service.
func (o serverOptions) control(key config.Secret, log *slog.Logger) (*access.Control, error) {
	ring, err := o.keyring(log)
	if err != nil {
		return nil, err
	}
	c, err := access.New(access.Options{Dir: o.data, AdminKey: key, Keyring: ring, Remote: !govcd.IsLoopback(o.host), Logger: log})
	lost, isLost := errors.AsType[*access.LostError](err)
	switch {
	case err == nil:
		return c, nil
	case isLost:
		return nil, o.lostFault(lost)
	case errors.Is(err, access.ErrWeak):
		secret := "set GOVC_API_KEY to a random key of at least 16 bytes"
		if ring.Weak() != "" {
			secret = "give it a random JWT secret"
		}
		return nil, &Fault{
			What: fmt.Sprintf("the service does not listen on %q", o.host), Why: coded{err, httpapi.ErrUnauthorized},
			Fix: secret + ", such as that of: openssl rand -hex 32; or leave --host away to answer this machine only",
		}
	}
	return nil, &Fault{What: "the service does not start without its access file", Why: coded{err, ErrConfig}, Fix: "mend the file, or give another folder with --data"}
}

// serverData is the folder of a service: what it holds while the service runs.
type serverData struct {
	lock  *durable.Lock
	audit *audit.Log
}

// checkData refuses a folder that cannot be one, or that another service has.
func (o serverOptions) checkData() error {
	info, err := os.Stat(o.data)
	switch {
	case o.data == "" || errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !info.IsDir():
		err = fmt.Errorf("it is no folder: %w", syscall.ENOTDIR)
	}
	if err == nil {
		held, pid, err := durable.Held(filepath.Join(o.data, govcd.LockName))
		if err == nil && held {
			return o.heldFault(pid)
		}
		return o.dataFault(err)
	}
	return o.dataFault(err)
}

func (o serverOptions) heldFault(pid int) error {
	return &Fault{
		What: fmt.Sprintf("the folder %s is in use by process %d", o.data, pid), Why: known{errHeld},
		Fix: "end that service, or give another folder with --data",
	}
}

// dataFault tells why the folder cannot be used, nil if it can.
func (o serverOptions) dataFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EROFS):
		err = coded{err, ErrCantCreate}
	}
	return &Fault{What: "the folder " + o.data + " cannot be used", Why: err, Fix: "give another folder with --data"}
}

// openData takes the folder --data; without one there is no audit.
func (o serverOptions) openData() (d serverData, err error) {
	if o.data == "" {
		return d, nil
	}
	d.lock, err = govcd.LockData(o.data)
	if locked, held := errors.AsType[*durable.LockedError](err); held {
		return d, o.heldFault(locked.PID)
	}
	if err != nil {
		return d, o.dataFault(err)
	}
	if d.audit, err = audit.Open(filepath.Join(o.data, access.AuditDir), audit.Options{}); err != nil {
		return serverData{}, &Fault{
			What: "the service does not start without its audit", Why: errors.Join(err, d.close()), Fix: "look at the disk of " + o.data,
		}
	}
	return d, nil
}

// close gives the folder back.
func (d serverData) close() (err error) {
	if d.audit != nil {
		err = d.audit.Close()
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Release())
	}
	return err
}

// certificate reads that of the service; nil is plain HTTP.
func (o serverOptions) certificate(now func() time.Time, log *slog.Logger) (*govcd.Certificate, error) {
	if o.tlsCert == "" && o.tlsKey == "" {
		return nil, nil //nolint:nilnil // no TLS is no fault
	}
	if o.tlsCert == "" || o.tlsKey == "" {
		return nil, usage("TLS needs a certificate and its key", "give both --tls-cert and --tls-key, or none")
	}
	c, err := govcd.LoadCertificate(o.tlsCert, o.tlsKey, now, log)
	if err != nil {
		f := &Fault{
			What: "the certificate cannot be used", Why: coded{err, ErrConfig},
			Fix: "give a certificate in PEM with --tls-cert, with its chain behind it, and with --tls-key the key that it was made for",
		}
		switch {
		case errors.Is(err, govcd.ErrNotValid):
			f.Fix = "renew it, and look at the clock of this machine"
		case errors.Is(err, fs.ErrNotExist):
			f.Fix = "give the files that there are with --tls-cert and --tls-key"
		case errors.Is(err, fs.ErrPermission):
			f.Why, f.Fix = coded{err, fs.ErrPermission}, "let the user that runs the service read the files of --tls-cert and --tls-key"
		}
		return nil, f
	}
	if info, err := os.Stat(o.tlsKey); err == nil && info.Mode().Perm()&0o007 != 0 {
		log.Warn("every user of this machine can read the key of the certificate: chmod 600 it", "file", o.tlsKey)
	}
	return c, nil
}
