package httpapi

import (
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// SetGrace shortens the time that requests under way are given at the end.
func (s *Server) SetGrace(d time.Duration) { s.limits.grace = d }

// SetPace shortens how long a header, a body and the next part of a transfer
// may take.
func (s *Server) SetPace(header, body, pace time.Duration) {
	s.limits.header, s.limits.body, s.limits.pace = header, body, pace
}

// SetConnections lowers the number of connections.
func (s *Server) SetConnections(n int) { s.limits.connections = n }

// EdgeHandler returns the routes as ServeTCP offers them on a loopback address.
func (s *Server) EdgeHandler(opts TCPOptions) (http.Handler, error) {
	guard, err := newEdge(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, opts)
	return &serving{Server: s, edge: guard, left: make(chan struct{}, 1)}, err
}

// Routes lists the routes by method and path.
var Routes = func() (out [][2]string) {
	for _, r := range routes {
		out = append(out, [2]string{r.method, r.path})
	}
	return out
}()

// SetRequests lowers the number of requests under way.
func (s *Server) SetRequests(n int) { s.requests = make(chan struct{}, n) }

// SetHeld lowers the bytes of large bodies and of large replies that are held.
func (s *Server) SetHeld(bodies, replies int64) {
	s.bodies, s.replies = semaphore.NewWeighted(bodies), semaphore.NewWeighted(replies)
}
