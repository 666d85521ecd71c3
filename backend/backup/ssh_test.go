package backup

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshServer runs git's services for those who have the key.
type sshServer struct {
	addr    string
	host    ssh.PublicKey
	key     ed25519.PrivateKey
	keyFile string
}

func newSigner(t testing.TB) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

func serveSSH(t testing.TB) *sshServer {
	t.Helper()
	_, host := newSigner(t)
	key, client := newSigner(t)
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	s := &sshServer{host: host.PublicKey(), key: key, keyFile: filepath.Join(t.TempDir(), "id")}
	if err := os.WriteFile(s.keyFile, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			if string(offered.Marshal()) != string(client.PublicKey().Marshal()) {
				return nil, errors.New("unknown key")
			}
			return &ssh.Permissions{}, nil
		},
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != secret {
				return nil, errors.New("wrong password")
			}
			return &ssh.Permissions{}, nil
		},
	}
	conf.AddHostKey(host)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serveConn(conn, conf) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return s
}

func serveConn(raw net.Conn, conf *ssh.ServerConfig) {
	defer func() { _ = raw.Close() }()
	conn, channels, requests, err := ssh.NewServerConn(raw, conf)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			for request := range requests {
				if request.Type != "exec" {
					_ = request.Reply(false, nil)
					continue
				}
				_ = request.Reply(true, nil)
				var payload struct{ Command string }
				_ = ssh.Unmarshal(request.Payload, &payload)
				cmd := exec.Command("sh", "-c", payload.Command)
				cmd.Env = isolated()
				all.Go(func() {
					status := struct{ Status uint32 }{0}
					if err := run(cmd, channel, channel.Stderr()); err != nil {
						status.Status = 1
					}
					_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
					_ = channel.Close()
				})
			}
		})
	}
}

// known writes a file of known hosts.
func (s *sshServer) known(t testing.TB, key ssh.PublicKey) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(name, []byte(knownhosts.Line([]string{knownhosts.Normalize(s.addr)}, key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSSH(t *testing.T) {
	dir := bare(t)
	s := serveSSH(t)
	repo := grown(t, 3, 100)
	address := "ssh://git@" + s.addr + dir
	target := parse(t, Settings{SSHKey: s.keyFile, KnownHosts: s.known(t, s.host)}, address)
	if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); err != nil {
		t.Fatal(err)
	}
	check(t, dir, tipOf(t, repo))
	report, err := target.Verify(context.Background(), repo, tipOf(t, repo), now)
	if err != nil || !report.Good() || report.Commits != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	withPassword := "ssh://git:" + strings.ReplaceAll(escaped, ":", "%3A") + "@" + s.addr + dir
	grow(t, repo, 3, 1, 100)
	target = parse(t, Settings{KnownHosts: s.known(t, s.host)}, withPassword)
	if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); err != nil {
		t.Fatal(err)
	}
	check(t, dir, tipOf(t, repo))
}

func TestSSHAgent(t *testing.T) {
	dir := bare(t)
	s := serveSSH(t)
	repo := grown(t, 2, 100)
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: s.key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_ = agent.ServeAgent(ring, conn) // until the client is gone
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	target := parse(t, Settings{Agent: socket, KnownHosts: s.known(t, s.host)}, "ssh://"+s.addr+dir)
	if _, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil); err != nil {
		t.Fatal(err)
	}
	check(t, dir, tipOf(t, repo))
}

// TestSSHTrustsNobody: neither unknown servers nor those with another key get
// anything, and the error says which key was shown.
func TestSSHTrustsNobody(t *testing.T) {
	dir := bare(t)
	s := serveSSH(t)
	repo := grown(t, 1, 10)
	_, other := newSigner(t)
	elsewhere := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(elsewhere, []byte(knownhosts.Line([]string{"example.org"}, s.host)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		settings Settings
		want     error
		says     string
	}{
		"unknown":            {Settings{SSHKey: s.keyFile, KnownHosts: elsewhere}, ErrHostKey, ssh.FingerprintSHA256(s.host)},
		"another key":        {Settings{SSHKey: s.keyFile, KnownHosts: s.known(t, other.PublicKey())}, ErrHostKey, "somebody may be in between"},
		"no known hosts":     {Settings{SSHKey: s.keyFile, Home: t.TempDir()}, ErrHostKey, ""},
		"no such file":       {Settings{SSHKey: s.keyFile, KnownHosts: "/nowhere"}, ErrInvalid, "backup.known_hosts"},
		"no key":             {Settings{KnownHosts: s.known(t, s.host)}, ErrRefused, "SSH_AUTH_SOCK"},
		"no such key":        {Settings{SSHKey: "/nowhere", KnownHosts: s.known(t, s.host)}, ErrInvalid, "backup.ssh_key"},
		"a key that is none": {Settings{SSHKey: elsewhere, KnownHosts: s.known(t, s.host)}, ErrInvalid, "backup.ssh_key"},
	} {
		t.Run(name, func(t *testing.T) {
			target := parse(t, c.settings, "ssh://"+s.addr+dir)
			_, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v that says %q", err, c.want, c.says)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		target := parse(t, Settings{KnownHosts: s.known(t, s.host)}, "ssh://bob:hunter2@"+s.addr+dir)
		_, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil)
		if !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want ErrRefused without the password", err)
		}
	})
	t.Run("no repository", func(t *testing.T) {
		target := parse(t, Settings{SSHKey: s.keyFile, KnownHosts: s.known(t, s.host)}, "ssh://"+s.addr+"/nowhere/o'clock!.git")
		_, err := target.Push(context.Background(), repo, tipOf(t, repo), zero, nil)
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "o'clock!.git") {
			t.Errorf("%v, want ErrMissing", err)
		}
	})
}
