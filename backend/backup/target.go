package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/config"
)

// Settings say where a backup goes, and with which credentials.
type Settings struct {
	// Remote is a folder, or a URL with the scheme file, git, ssh, http or https,
	// or user@host:path. It may hold user and password.
	Remote config.Secret
	// Token is sent to http and https, as the password of the user in Remote,
	// else of "git".
	Token config.Secret
	// SSHKey and KnownHosts are files; "" takes the agent, and the user's and the
	// system's known hosts.
	SSHKey, KnownHosts string
	// Agent is the socket of the ssh agent, "" for none; Home the user's folder.
	Agent, Home string
	// Store is the folder of the repository that is backed up.
	Store string
	// Temp is the folder where a verification keeps what it fetched.
	Temp string
	// Volume is the file system of a folder; the zero value is this machine's.
	Volume durable.Volume
}

// Target is a place for a backup.
type Target struct {
	shown  string
	redact redactor
	place  place
	temp   string
}

// place is a sort of target.
type place interface {
	// push copies repo up to tip; known is what lay there before, zero if
	// nothing did or it does not matter.
	push(ctx context.Context, repo *gitrepo.Repo, tip, known gitrepo.Hash, progress func(gitrepo.Copied)) (gitrepo.Copied, error)
	// fetch opens a repository with all that the target's main is made of.
	fetch(ctx context.Context, temp string) (repo *gitrepo.Repo, tip gitrepo.Hash, done func() error, err error)
}

// scpLike is user@host:path and host:path, as git knows them: the colon comes
// before the first slash.
var scpLike = regexp.MustCompile(`\A(?:([^@/:\s]+)@)?(\[[^\]/]+\]|[^:/\[\]@\s]+):([^\s].*)\z`)

// Parse returns the target of the settings. The errors wrap ErrInvalid and show
// no credentials.
func Parse(s Settings) (*Target, error) {
	remote := s.Remote.Reveal()
	if remote == "" {
		return nil, fmt.Errorf("%w: backup.remote is not set", ErrInvalid)
	}
	if strings.ContainsFunc(remote, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("%w: backup.remote holds a control character", ErrInvalid)
	}
	if scheme, _, isURL := strings.Cut(remote, "://"); isURL && !strings.ContainsAny(scheme, "/.@:") {
		return parseURL(s, remote)
	}
	if m := scpLike.FindStringSubmatch(remote); m != nil {
		return newSSH(s, m[1], "", net.JoinHostPort(strings.Trim(m[2], "[]"), sshPort), m[3], remote)
	}
	return newFolder(s, remote)
}

func parseURL(s Settings, remote string) (*Target, error) {
	u, err := url.Parse(remote)
	if err != nil {
		// The parser quotes what it was given, the password, too.
		return nil, fmt.Errorf("%w: the value is no URL; write a password with %%XX for other than letters and digits", ErrInvalid)
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme == "file" {
		if u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%w: a file URL is file:///path and nothing more", ErrInvalid)
		}
		return newFolder(s, u.Path)
	}
	password, _ := u.User.Password()
	switch {
	case u.Hostname() == "":
		return nil, fmt.Errorf("%w: the URL names no host", ErrInvalid)
	case strings.Trim(u.Path, "/") == "":
		return nil, fmt.Errorf("%w: the URL names no repository", ErrInvalid)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%w: the URL has a query or a fragment", ErrInvalid)
	}
	switch scheme {
	case "http", "https":
		return newHTTP(s, u)
	case "ssh", "git+ssh", "ssh+git":
		path := u.Path
		if strings.HasPrefix(path, "/~") {
			path = path[1:] // below a home folder, as git has it
		}
		return newSSH(s, u.User.Username(), password, hostPort(u, sshPort), path, clean(u))
	case "git":
		if u.User != nil {
			return nil, fmt.Errorf("%w: git:// knows no users", ErrInvalid)
		}
		return &Target{shown: u.String(), place: &server{dialer: &gitDialer{addr: hostPort(u, "9418"), path: u.Path}}, temp: s.Temp}, nil
	}
	return nil, fmt.Errorf("%w: unknown scheme %q; known are file, git, ssh, http and https", ErrInvalid, scheme)
}

func hostPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// clean is a URL without its credentials.
func clean(u *url.URL) string {
	shown := *u
	if u.User != nil {
		shown.User = nil
		return strings.Replace(shown.String(), "://", "://"+redacted+"@", 1)
	}
	return shown.String()
}

// newFolder makes a target of a folder, which need not exist; its parent must,
// so that a disk that is not mounted is noticed.
func newFolder(s Settings, dir string) (*Target, error) {
	if strings.HasPrefix(dir, "~/") && s.Home != "" {
		dir = filepath.Join(s.Home, dir[2:])
	}
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("%w: %q is neither a URL nor an absolute path", ErrInvalid, dir)
	}
	dir = filepath.Clean(dir)
	if s.Store != "" {
		ours, there := resolved(s.Store), resolved(dir)
		if within(there, ours) || within(ours, there) {
			return nil, fmt.Errorf("%w: %s is the store's own folder, or lies in it or around it", ErrInvalid, dir)
		}
	}
	return &Target{shown: dir, place: &folder{dir, s.Volume}, temp: s.Temp}, nil
}

// resolved follows links as far as a path exists.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}

func within(path, folder string) bool {
	rest, err := filepath.Rel(folder, path)
	return err == nil && rest != ".." && !strings.HasPrefix(rest, "../")
}

// String is the target without credentials, to be shown.
func (t *Target) String() string { return t.shown }

// Push brings main at the target forward to tip and returns how far it came,
// also with an error. known is the commit that a backup there reached before:
// then a target with nothing is ErrEmptied; zero lets it begin.
func (t *Target) Push(ctx context.Context, repo *gitrepo.Repo, tip, known gitrepo.Hash, progress func(gitrepo.Copied)) (gitrepo.Copied, error) {
	done, err := t.place.push(ctx, repo, tip, known, progress)
	return done, t.safe("back up to", err)
}

// safe names the target in an error that may be shown.
func (t *Target) safe(doing string, err error) error {
	if err == nil {
		return nil
	}
	return t.redact.error(fmt.Errorf("%s %s: %w", doing, t.shown, err))
}

// folder is a target that is a bare repository on a file system.
type folder struct {
	dir    string
	volume durable.Volume
}

func (f *folder) push(ctx context.Context, repo *gitrepo.Repo, tip, known gitrepo.Hash, progress func(gitrepo.Copied)) (done gitrepo.Copied, err error) {
	if err := f.aFolder(); err != nil {
		return gitrepo.Copied{}, err
	}
	if !known.IsZero() {
		if err := f.there(known); err != nil {
			return gitrepo.Copied{}, err
		}
	}
	if _, err := f.volume.Stat(filepath.Dir(f.dir)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoParent
		}
		return gitrepo.Copied{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	to, err := gitrepo.OpenDisk(f.dir, gitrepo.Options{Volume: f.volume, CacheBytes: 4 << 20})
	if err != nil {
		return gitrepo.Copied{}, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if _, err := to.Tip(gitrepo.Main); errors.Is(err, gitrepo.ErrNotFound) && !known.IsZero() {
		return gitrepo.Copied{}, fmt.Errorf("%w: it was at %.12s, and has no %s now", ErrEmptied, known, gitrepo.Main)
	}
	return to.ReceiveFrom(ctx, repo, tip, progress)
}

// aFolder fails if something other than a folder lies there.
func (f *folder) aFolder() error {
	if info, err := f.volume.Stat(f.dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%w: it is a file, not a folder", ErrInvalid)
	}
	return nil
}

// there fails if the folder has nothing in it.
func (f *folder) there(known gitrepo.Hash) error {
	entries, err := f.volume.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return fmt.Errorf("%w: it was at %.12s, and the folder is missing or empty", ErrEmptied, known)
	}
	return err
}

func (f *folder) fetch(_ context.Context, _ string) (*gitrepo.Repo, gitrepo.Hash, func() error, error) {
	if err := f.aFolder(); err != nil {
		return nil, gitrepo.Hash{}, nil, err
	}
	if err := f.there(gitrepo.Hash{}); errors.Is(err, ErrEmptied) {
		return nil, gitrepo.Hash{}, nil, fmt.Errorf("%w: the folder is missing or empty", ErrMissing)
	}
	repo, err := gitrepo.OpenDisk(f.dir, gitrepo.Options{Volume: f.volume})
	if err != nil {
		return nil, gitrepo.Hash{}, nil, err
	}
	tip, err := repo.Tip(gitrepo.Main)
	if err != nil {
		return nil, gitrepo.Hash{}, nil, errors.Join(err, repo.Close())
	}
	return repo, tip, repo.Close, nil
}

// readable says why a file of the settings cannot be used.
func readable(key, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, key, err)
	}
	return data, nil
}
