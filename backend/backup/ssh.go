package backup

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

const sshPort = "22"

// newSSH makes a target of an ssh address.
func newSSH(s Settings, user, password, addr, path, shown string) (*Target, error) {
	if user == "" {
		user = "git"
	}
	if s.Token.IsSet() {
		return nil, fmt.Errorf("%w: backup.token is for http and https; for ssh there are an agent and backup.ssh_key", ErrInvalid)
	}
	if strings.HasPrefix(path, "-") {
		return nil, fmt.Errorf("%w: the path of the repository begins with a dash", ErrInvalid)
	}
	d := &sshDialer{
		addr: addr, path: path, user: user, password: password,
		key: s.SSHKey, agent: s.Agent, known: []string{s.KnownHosts}, named: s.KnownHosts != "",
	}
	if !d.named {
		d.known = []string{"/etc/ssh/ssh_known_hosts"}
		if s.Home != "" {
			d.known = append([]string{filepath.Join(s.Home, ".ssh", "known_hosts")}, d.known...)
		}
	}
	d.redact = newRedactor(user, password)
	return &Target{shown: shown, redact: d.redact, place: &server{dialer: d, redact: d.redact}, temp: s.Temp}, nil
}

// sshDialer runs git's services over ssh.
type sshDialer struct {
	addr, path, user, password string
	key, agent                 string
	redact                     redactor
	known                      []string
	named                      bool // by the operator: it must be there
}

func (d *sshDialer) dial(ctx context.Context, service string) (c conversation, err error) {
	verify, algorithms, err := d.hostKeys()
	if err != nil {
		return nil, err
	}
	auth, end, err := d.credentials(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	raw, err := (&net.Dialer{Timeout: connectTime}).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	s := &stream{words: &bounded{hide: d.redact}, closers: []func() error{raw.Close}}
	s.stop = context.AfterFunc(ctx, func() { _ = s.hangUp() })
	conn, channels, requests, err := ssh.NewClientConn(raw, d.addr, &ssh.ClientConfig{
		User: d.user, Auth: auth, HostKeyCallback: verify, HostKeyAlgorithms: algorithms,
	})
	if err != nil {
		s.stop()
		return nil, errors.Join(d.why(err), s.hangUp())
	}
	client := ssh.NewClient(conn, channels, requests)
	if err := d.run(client, s, service); err != nil {
		s.stop()
		return nil, errors.Join(err, s.hangUp())
	}
	return s, nil
}

// run starts a service of git.
func (d *sshDialer) run(client *ssh.Client, s *stream, service string) error {
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	if s.in, err = session.StdinPipe(); err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = bufio.NewReader(out)
	session.Stderr = s.words
	quoted := "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(d.path) + "'"
	return session.Start(service + " " + quoted)
}

// why tells a refusal from a connection that broke.
func (d *sshDialer) why(err error) error {
	if strings.Contains(err.Error(), "unable to authenticate") {
		return fmt.Errorf("%w: user %s: %w", ErrRefused, d.user, err)
	}
	return err
}

// hostKeys returns how the key of the server is checked, and the sorts of keys
// that are known of it: a server has several, and would show another one.
func (d *sshDialer) hostKeys() (ssh.HostKeyCallback, []string, error) {
	var files []string
	for _, name := range d.known {
		if _, err := os.Stat(name); err == nil {
			files = append(files, name)
		} else if d.named {
			return nil, nil, fmt.Errorf("%w: backup.known_hosts: %w", ErrInvalid, err)
		}
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("%w: there is no file of known hosts (%s)", ErrHostKey, strings.Join(d.known, ", "))
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: known hosts: %w", ErrInvalid, err)
	}
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil, nil, err
	}
	var algorithms []string
	var key *knownhosts.KeyError
	if errors.As(check(d.addr, &net.TCPAddr{}, nobody), &key) {
		for _, want := range key.Want {
			algorithms = append(algorithms, algorithmsOf(want.Key.Type())...)
		}
	}
	return func(host string, remote net.Addr, shown ssh.PublicKey) error {
		err := check(host, remote, shown)
		var key *knownhosts.KeyError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &key) && len(key.Want) == 0:
			return fmt.Errorf("%w: %s is not in %s; it shows %s %s", ErrHostKey, host, strings.Join(files, ", "), shown.Type(), ssh.FingerprintSHA256(shown))
		case errors.As(err, &key):
			return fmt.Errorf("%w: %s shows %s %s, which is not the key in %s: somebody may be in between", ErrHostKey, host, shown.Type(), ssh.FingerprintSHA256(shown), key.Want[0].Filename)
		}
		return fmt.Errorf("%w: %w", ErrHostKey, err)
	}, slices.Compact(algorithms), nil
}

// algorithmsOf returns the signatures that a sort of key makes.
func algorithmsOf(sort string) []string {
	if sort == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{sort}
}

// credentials returns the ways to say who we are; end lets go of the agent.
func (d *sshDialer) credentials(ctx context.Context) (auth []ssh.AuthMethod, end func(), err error) {
	end = func() {}
	if d.password != "" {
		return []ssh.AuthMethod{ssh.Password(d.password)}, end, nil
	}
	if d.key != "" {
		data, err := readable("backup.ssh_key", d.key)
		if err != nil {
			return nil, end, err
		}
		signer, err := ssh.ParsePrivateKey(data)
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, end, fmt.Errorf("%w: backup.ssh_key: the key has a passphrase; load it into an ssh agent instead", ErrInvalid)
		}
		if err != nil {
			return nil, end, fmt.Errorf("%w: backup.ssh_key: %w", ErrInvalid, err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, end, nil
	}
	if d.agent == "" {
		return nil, end, fmt.Errorf("%w: there is no ssh agent (SSH_AUTH_SOCK) and no backup.ssh_key", ErrRefused)
	}
	conn, err := (&net.Dialer{Timeout: connectTime}).DialContext(ctx, "unix", d.agent)
	if err != nil {
		return nil, end, fmt.Errorf("%w: the ssh agent does not answer: %w", ErrRefused, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return []ssh.AuthMethod{ssh.PublicKeysCallback(agent.NewClient(conn).Signers)}, func() { stop(); _ = conn.Close() }, nil
}
