package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

const (
	// SocketName is the name of the socket in its folder.
	SocketName = "control.sock"
	// bindName is where the socket is made before it has its mode. It is not
	// longer than SocketName, so it fits where that does.
	bindName = "control.new"
	// maxSocketPath bounds the path of a socket, in bytes. The system's limit
	// is 108 with the closing zero on Linux and 104 elsewhere.
	maxSocketPath = 100
)

// SocketPath returns where the engine with the state folder dir listens: in
// the folder itself, or, where that path is too long for a socket, in a
// private folder named after it below $XDG_RUNTIME_DIR or the folder for
// temporary files.
func SocketPath(dir string) (string, error) {
	abs, err := resolved(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(abs, SocketName)
	if len(path) <= maxSocketPath {
		return path, nil
	}
	path = filepath.Join(privateFolder(abs), SocketName)
	if len(path) > maxSocketPath {
		return "", advised(fmt.Errorf("%w: the path of the control socket %q has %d bytes, the limit is %d",
			ErrInvalid, path, len(path), maxSocketPath), "set XDG_RUNTIME_DIR or TMPDIR to a folder with a shorter name")
	}
	return path, nil
}

// resolved names dir in the one way that all who name it agree on. A folder
// that does not exist yet has only its own name.
func resolved(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("socket of %q: %w", dir, err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", fmt.Errorf("socket of %q: %w", dir, err)
	}
	return real, nil
}

func privateFolder(abs string) string {
	sum := sha256.Sum256([]byte(abs))
	name := hex.EncodeToString(sum[:8])
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		return filepath.Join(runtime, "caiatop-"+name)
	}
	return filepath.Join(os.TempDir(), "caiatop-"+strconv.Itoa(os.Getuid())+"-"+name)
}

// Listen makes the control socket of the state folder dir, with mode 0600,
// over one that a crash left behind. The caller holds the lock of the folder
// until after the listener is closed; closing removes the socket.
func Listen(dir string) (net.Listener, error) {
	path, err := SocketPath(dir)
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the control socket %q: %w", path, err)
	}
	if err := checkOwned(dir, folder); err != nil {
		return nil, err
	}
	// Made aside and renamed, over a stale one, when it has its mode: at no
	// moment can another user open it, whatever the umask.
	fresh := filepath.Join(folder, bindName)
	for _, old := range []string{fresh, path} {
		if err := checkStale(old); err != nil {
			return nil, err
		}
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("stale control socket: %w", err)
	}
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket %q: %w", path, err)
	}
	inner.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket %q: %w", path, err), inner.Close(), os.Remove(fresh))
	}
	l := &listener{UnixListener: inner, path: path}
	if l.private, err = isPrivate(dir, folder); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// checkStale refuses anything but a socket where a socket is to be.
func checkStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return advised(fmt.Errorf("%w: %q is in the way of the control socket and is not a socket", ErrInvalid, path), "move it away")
	}
	return nil
}

// checkOwned refuses a private folder that another user owns or can write to:
// he could put a socket of his own there. The state folder itself is the
// caller's business.
func checkOwned(dir, folder string) error {
	private, err := isPrivate(dir, folder)
	if err != nil || !private {
		return err
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return fmt.Errorf("folder of the control socket: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return advised(fmt.Errorf("%w: the folder %q of the control socket is not yours alone", ErrInvalid, folder),
			"make it a folder of your own with mode 0700, or set XDG_RUNTIME_DIR to one")
	}
	return nil
}

func isPrivate(dir, folder string) (bool, error) {
	abs, err := resolved(dir)
	return abs != folder, err
}

// listener removes its socket when it is closed.
type listener struct {
	*net.UnixListener
	path    string
	private bool // the folder was made for the socket alone
	once    sync.Once
	err     error
}

// Close stops listening and removes the socket, and its folder where that was
// made for it and holds nothing else. Closing twice is no error.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.err = l.UnixListener.Close()
		if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.err = errors.Join(l.err, fmt.Errorf("control socket: %w", err))
		}
		if !l.private {
			return
		}
		err := os.Remove(filepath.Dir(l.path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
			l.err = errors.Join(l.err, fmt.Errorf("folder of the control socket: %w", err))
		}
	})
	return l.err
}
