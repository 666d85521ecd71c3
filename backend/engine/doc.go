// Package engine is the core of caiatop: it acknowledges writes once they are
// durable here, carries them to every store, and serves reads from whichever
// store can answer.
//
// The path of a write: Put validates, one transaction of the state file
// appends the operations to the outbox and updates the index (durable from
// here), and while the primary is healthy Put waits, within its budget, until
// the primary's replicator has passed them. Replicators, one a store, are the
// only code that writes to a store; each has a cursor in the outbox.
//
// The path of a read: operations that the primary lacks are served from the
// outbox, everything else from govc, git or memory, whichever answers first in
// that order, and whatever is served has the hash that the index knows.
//
// The state of the primary is owned by one goroutine, see machine.go. The
// package never touches a terminal and takes its clock, its randomness and its
// stores from outside.
package engine
