package main

import "context"

// durable measures writes that are answered after their fsync.
func (s *site) durable(context.Context) error {
	s.rep.Missing = append(s.rep.Missing, "durable mode, 32 clients (target 5,000 documents/s)")
	return nil
}
