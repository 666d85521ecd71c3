// Package config gathers the settings of caiatop from flags, the environment, a
// YAML file and defaults, in that order of precedence, and keeps where each came
// from.
//
// A value that wins is valid, or Load fails with one line that says which key,
// from where, and what to write instead. The package never reads the process's
// environment by itself, never writes a file, and never shows a secret.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Phase says which stores are attached.
type Phase string

// The phases.
const (
	PhaseDual     Phase = "dual"
	PhasePrimary  Phase = "primary"
	PhaseGovcOnly Phase = "govc-only"
	PhaseGitOnly  Phase = "git-only"
)

// Layout says where new documents are placed.
type Layout string

// The layouts.
const (
	LayoutFanOut  Layout = "fanout"
	LayoutLibrary Layout = "library"
)

// Limits and defaults.
const (
	DefaultRepo    = "caia-documents"
	DefaultTimeout = 30 * time.Second
	MinTimeout     = 100 * time.Millisecond
	MaxTimeout     = 10 * time.Minute
	// DefaultInterval lies between two pushes of the backup.
	DefaultInterval = 10 * time.Second
	MinInterval     = time.Second
	MaxInterval     = 24 * time.Hour
	// MaxFile bounds the configuration file, in bytes.
	MaxFile = 1 << 20
	// MaxSecret bounds a token or key, in bytes.
	MaxSecret = 8 << 10
	// MaxRepo bounds the name of a repository, in bytes.
	MaxRepo = 64
	// DefaultServeAddr is where "caiatop serve" answers if nothing else is set.
	DefaultServeAddr = "127.0.0.1:8088"
	// DefaultGitCache bounds what the git repository keeps in memory, in bytes:
	// the trees of about 100,000 documents.
	DefaultGitCache = 64 << 20
	MinGitCache     = 1 << 20
	MaxGitCache     = 64 << 30
	// DefaultKeptBytes bounds the copies that the phase govc-only keeps, in bytes.
	DefaultKeptBytes = 4 << 30
	MinKeptBytes     = 1 << 20
	MaxKeptBytes     = 1 << 40
	// MaxHosts bounds the further host names of the HTTP server.
	MaxHosts = 64
)

// Config holds all settings, validated.
type Config struct {
	Govc  Govc
	Phase Phase
	// PhaseSet says that the phase is no default but was asked for.
	PhaseSet bool
	Engine   Engine
	Layout   Layout
	State    State
	Embedded Embedded
	Gitrepo  Gitrepo
	HTTP     HTTP
	Backup   Backup
	Log      Log
	// File is the configuration file that was read, "" if there was none.
	File string

	origins []Origin
}

// Govc says how to reach the govc service.
type Govc struct {
	// URL has the scheme http or https, a host, no credentials and no slash at
	// its end. "" starts an embedded service.
	URL string
	// Of Token, APIKey and User with Password the first that is set is shown to
	// the service; see package govc.
	Token    Secret // a JWT, or an API key
	APIKey   Secret
	User     string
	Password Secret
	// CA, Cert and Key are files, absolute or "": the certificates to trust, and
	// the client's own.
	CA, Cert, Key string
	ServerName    string // in the certificate of the service, "" is the host of URL
	// Insecure takes any certificate. It is never set without AllowInsecure.
	Insecure, AllowInsecure bool
	Repo                    string
	// Timeout bounds one request, MinTimeout to MaxTimeout. TimeoutSet says that
	// it is no default but was asked for.
	Timeout    time.Duration
	TimeoutSet bool
}

// Engine sets up the engine.
type Engine struct {
	// KeptBytes bounds the copies of documents that the phase govc-only keeps in
	// the state file, MinKeptBytes to MaxKeptBytes.
	KeptBytes int64
}

// State says where durable local state is kept.
type State struct {
	Dir string // absolute
}

// Embedded sets up the embedded govc service.
type Embedded struct {
	Port int // 0 is any free one
	// Memory makes it forget at its end what it holds.
	Memory bool
}

// Gitrepo sets up the git repository in the state folder.
type Gitrepo struct {
	// Cache bounds its cache of objects, in bytes, MinGitCache to MaxGitCache.
	Cache int64
}

// HTTP says whether and how the engine answers on TCP.
type HTTP struct {
	// Addr is host:port, "" if it does not answer there. AddrSet says that it
	// was asked for, off as well.
	Addr    string
	AddrSet bool
	// Token allows everything, ReadToken reading. An address that other
	// machines reach always comes with a Token.
	Token, ReadToken Secret
	// Hosts are names, lower case, by which a request may call us beside those
	// of Addr.
	Hosts []string
}

// Backup says where git is pushed to.
type Backup struct {
	// Remote is a secret because it may hold a password. Whether it can be used is
	// for package backup to say.
	Remote Secret
	// Interval lies between two pushes, MinInterval to MaxInterval; 0 pushes only
	// by command.
	Interval           time.Duration
	Token              Secret
	SSHKey, KnownHosts string // absolute, or ""
}

// Log says what goes into the log file.
type Log struct{ Level slog.Level }

// Origin is one setting with its value and where that came from.
type Origin struct {
	Key   string // as in the file: "govc.url"
	Value string // "[redacted]" for a secret that is set; unsanitised
	// From is "default", "environment GOVC_TIMEOUT", "config.yaml:12" or
	// "flag --repo".
	From string
	Help string
}

// Origins returns every setting, in the order of Keys.
func (c Config) Origins() []Origin {
	return append([]Origin(nil), c.origins...)
}

// IsEmbedded reports whether the service is to be started by us.
func (c Config) IsEmbedded() bool { return c.Govc.URL == "" }

// StatePath returns the folder for the state of this repository of this
// service: {state.dir}/{embedded or host-port}/{repo}.
func (c Config) StatePath() string {
	return filepath.Join(c.State.Dir, serviceFolder(c.Govc.URL), c.Govc.Repo)
}

// maxFolder bounds the name of a service's folder, in bytes, well below what
// file systems allow.
const maxFolder = 200

// serviceFolder names a service in one path segment that no other service has:
// host and port, and the path if the service has one.
func serviceFolder(address string) string {
	if address == "" {
		return "embedded"
	}
	u, err := url.Parse(address)
	if err != nil {
		// Load accepts no such URL; a hand-made Config still gets a folder of
		// its own.
		return hashed("invalid", address)
	}
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	name := escape(strings.ToLower(u.Hostname())) + "-" + port + escape(u.EscapedPath())
	if len(name) > maxFolder {
		return hashed(name[:maxFolder/2], address)
	}
	return name
}

func hashed(prefix, whole string) string {
	sum := sha256.Sum256([]byte(whole))
	return prefix + "-" + hex.EncodeToString(sum[:8])
}

// escape keeps what every file system and shell takes as it is, and writes
// other bytes as %XX.
func escape(s string) string {
	var out strings.Builder
	for _, b := range []byte(s) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '.', b == '_', b == '-':
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}
