package httpapi

import "time"

// SetGrace shortens the time that requests under way are given at the end.
func (s *Server) SetGrace(d time.Duration) { s.grace = d }
