// Package state keeps the durable local truth of one repository in state.db:
// the outbox (every acknowledged operation that some store still lacks), the
// index of documents, the cursor of every store, parked operations, events and
// settings. Derived data (full text) lies apart in derived.db, which may be
// deleted at any time.
//
// Contract:
//   - What Append, Advance and the other writing calls returned without an
//     error is on disk: it survives a killed process and a power cut.
//   - All writes go through one goroutine, which puts whatever is waiting into
//     one transaction. A refused request never touches its neighbours.
//   - Sequence numbers rise by one an operation and are never issued twice.
//   - An operation leaves the outbox only after every attached store passed it.
//   - Reads never wait for writes.
//   - After a failed fsync nothing is written until the file is opened again,
//     because the kernel may have dropped the pages that it could not write.
//
// The package never talks to a store, never decides what an operation means,
// and never takes the process lock: whoever calls Open holds it.
package state
