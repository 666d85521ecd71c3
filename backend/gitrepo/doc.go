// Package gitrepo is the git core of caiatop: objects, trees that are rebuilt
// only along the path of a change, packs, references, history and merges, in
// memory or in a plain bare repository on disk.
//
// On disk a commit is one pack and one reference. The pack is on the disk
// before its index, the index before the reference, and the reference is
// replaced whole under git's own lock file; so the repository is plain git at
// every moment, also after a crash in between. Another program may push, fetch,
// repack and collect garbage at any time: the reference is read again at every
// commit, and what was pushed is built upon, never overwritten.
//
// Readers name the commit that they read and so see one state; they never wait
// for a writer. Memory is bounded by the object cache on disk; a repository in
// memory holds its whole history, because it is the only copy of it.
//
// The package never rewrites history, never drops an object that a reference
// reaches, never writes loose objects, and runs no hooks. It does not read
// repositories with SHA-256 names, reftables or alternates, and does not merge
// the lines of two versions of a file.
package gitrepo
