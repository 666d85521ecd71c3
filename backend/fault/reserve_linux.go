package fault

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// Reserve binds address with a socket that never listens. It refuses every
// connection, and keeps the port ours while the listener is closed: without it
// any outgoing connection of this machine may be given the port in between. It
// returns the address with its port, and how to give it back.
func Reserve(address string) (bound string, release func() error, err error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", nil, err
	}
	var name syscall.Sockaddr
	family := syscall.AF_INET6
	switch {
	case resolved.IP.To4() != nil:
		family, name = syscall.AF_INET, &syscall.SockaddrInet4{Port: resolved.Port, Addr: [4]byte(resolved.IP.To4())}
	case resolved.IP != nil:
		name = &syscall.SockaddrInet6{Port: resolved.Port, Addr: [16]byte(resolved.IP)}
	default:
		return "", nil, errors.New("the host to listen on is missing")
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	fail := func(call string, err error) (string, func() error, error) {
		return "", nil, errors.Join(os.NewSyscallError(call, err), os.NewSyscallError("close", syscall.Close(fd)))
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return fail("setsockopt", err)
	}
	if err := syscall.Bind(fd, name); err != nil {
		return fail("bind", err)
	}
	got, err := syscall.Getsockname(fd)
	if err != nil {
		return fail("getsockname", err)
	}
	switch n := got.(type) {
	case *syscall.SockaddrInet4:
		resolved.Port = n.Port
	case *syscall.SockaddrInet6:
		resolved.Port = n.Port
	}
	return resolved.String(), func() error { return os.NewSyscallError("close", syscall.Close(fd)) }, nil
}
