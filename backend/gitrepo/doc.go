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
// A commit may carry a mark: a reference of ours that stays where it is when
// somebody forces the branch elsewhere, and so keeps our history from garbage
// collection. Mark and branch are durable when the commit is acknowledged. A
// process that dies in between, or an error, may leave the mark ahead of the
// branch by the one commit that was being made; a power cut may leave either of
// them ahead by it. The mark is never behind an acknowledged commit.
//
// Readers name the commit that they read and so see one state; they never wait
// for a writer. Memory is bounded by the object cache on disk; a repository in
// memory holds its whole history, because it is the only copy of it.
//
// The package never rewrites history, never drops an object that a reference
// reaches, never writes loose objects, and runs no hooks. It never touches the
// files or the index of a worktree, and so writes to no repository that has
// one, nor to one that borrows objects. It does not read repositories with
// SHA-256 names or reftables, and does not merge the lines of two versions of a
// file.
package gitrepo
