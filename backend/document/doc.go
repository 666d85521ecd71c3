// Package document defines what a document is: its identity, its validation,
// the folder of files it is kept in, and its hash.
//
// Identities, types and paths are validated once, when they are made, into
// types that cannot hold anything a git repository, a file system or a URL
// would misread. Content is never validated: empty, binary and non-UTF-8 bytes
// are legal and come back byte for byte.
//
// The package does no I/O and imports no other package of caiatop.
package document
