//go:build !linux

package fault

import "net"

// Reserve finds out which port an address stands for. Only on Linux can it
// also be kept while the listener is closed.
func Reserve(address string) (bound string, release func() error, err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, err
	}
	return listener.Addr().String(), func() error { return nil }, listener.Close()
}
