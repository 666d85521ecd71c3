// Package govcd is a document service that speaks the wire of govc, in its v2
// dialect, over repositories of package gitrepo in memory.
//
// What a client of govc can observe is kept: paths, status codes, error codes,
// texts, headers, a staging area that all clients share who name none of their
// own, reads that see staged content. What loses data there is mended here: a delete
// deletes, every commit's tree is complete, a listing can be recursive, paths
// are checked by every route, no mix of clients ends the process. What this
// service can do beyond govc it announces as capabilities in the answer of
// /version, so that a client never has to try.
//
// Who may do what is decided by package access before anything else, for every
// route of the table; what changes something is answered only once the audit,
// if there is one, has it.
//
// Repositories live in memory only: Stop drops them, and the service never
// claims otherwise. It never keeps a path that a git tree cannot hold, never
// answers with HTML but for redirects, and never logs content or keys.
package govcd
