// Package govc is the client of a govc document service: a store.Store over its
// HTTP interface, in both dialects of real services (NEW, API v2, and LEGACY,
// API v1) and in that of ours, which is NEW with capabilities. Describe tells
// them apart; one repository is never used in two of them.
//
// One writer a repository works in a process at a time: a batch is read,
// staged, committed and read back under one lock, because staging is shared by
// all clients of a service. What a service announces decides how: one of ours
// (package govcd) is asked for whole folders as one commit has them, and takes
// a batch as one request that is made against what was read, may be repeated,
// and answers the hashes of what it stored. Of any other govc nothing is
// assumed beyond what was observed of it: one connection writes, and where
// nothing can be deleted a delete is a record and a tombstone.
//
// Retries live here and nowhere below: reads, additions and batches with a
// key, within a budget that all calls share. A commit is never sent twice.
// Texts of the service are bounded and handed on as they came: whoever shows
// them sanitises them.
//
// One credential is shown to a service, see Options; a token is renewed before
// it ends, once for all callers, and kept in memory only. What is refused with
// 401, or for its CSRF token, was not done: it is repeated once with a new one.
// Credentials are sent to the one service, never printed. The package follows
// no redirects, reads at no ref, and never calls checkout or merge, which lose
// files, nor status, which can end a service.
package govc
