// Package govcd is a document service that speaks the wire of govc, in its v2
// dialect, over repositories of package gitrepo: in memory, or on disk in a folder
// that one service at a time uses.
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
// On disk a repository is plain bare git at every moment. A commit is answered
// once it survives a power cut; commits that come at the same time are made upon
// each other and synced together, each as a commit of its own. Nobody is told
// anything that rests on a commit that is not on the disk yet, and where that
// fails everybody's files are staged again. What is staged is in memory, in
// either mode, and gone with the process. What is committed is bounded by the
// disk, and what is in memory by Options.MaxBytes.
//
// In memory Stop drops the repositories, and the service never claims
// otherwise. It never keeps a path that a git tree cannot hold, never answers
// with HTML but for redirects, never makes an empty repository of a folder that
// lost its files, and never logs content or keys.
package govcd
