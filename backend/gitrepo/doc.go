// Package gitrepo is the git core of caiatop: objects, trees that are rebuilt
// only along the path of a change, packs, references, history and merges, in
// memory or in a plain bare repository on disk.
//
// On disk a commit is one pack and one reference. The pack is on the disk
// before its index, the index before the reference, and the reference is
// replaced whole under git's own lock file; so the repository is plain git at
// every moment, also after a crash in between. Another program may push, fetch,
// repack and collect garbage at any time: the reference is read again at every
// commit, and what was pushed is built upon, never overwritten. A new pack is
// kept, as git calls it, from before it has its name until its reference has
// moved; see keeps.
//
// With Options.Journal the commits of a Chain are durable before that: as a
// record in a journal, from which a pack and the references are made a moment
// later, and after a crash when the repository is opened; see journal. Who reads
// by this package never sees the difference.
//
// A commit may carry a mark: a reference of ours that stays where it is when
// somebody forces the branch elsewhere, and so keeps our history from garbage
// collection. Mark and branch are durable when the commit is acknowledged. A
// process that dies in between, or an error, may leave the mark ahead of the
// branch by the one commit that was being made; a power cut may leave either of
// them ahead by it. The mark is never behind an acknowledged commit.
//
// Readers name the commit that they read and so see one state: objects never
// change, and they never wait for a writer. What was read and written lately
// lies in tables of objects by their names, in which a reader follows atomic
// pointers. A tree is kept as its bytes, and a large one with the places of its
// entries, so that a name is found by binary search; trees whose entries all
// have one size, as the folders of the fan-out, need not even those. A commit
// decodes no tree: it copies the bytes of those on the way from the root to
// what changed, each once, around the entries that it replaces.
//
// A repository in memory keeps its whole history in such a table, because it
// is the only copy of it. On disk Options.CacheBytes bounds the heap of two of
// them, three quarters for trees and commits and one for the content of files;
// a document takes about 250 bytes of the former. What was not used since the
// hand of a clock passed it goes. One tree may take half of its share; a larger
// one is read again each time.
//
// Branches that were merged into each other have several merge bases. Those
// are merged first, as git's recursive strategy does, into a tree that is never
// stored; where they conflict, the sides conflict too, unless they are equal.
//
// The package never rewrites history, never drops an object that a reference
// reaches, never writes loose objects, and runs no hooks. It never touches the
// files or the index of a worktree, and so writes to no repository that has
// one, nor to one that borrows objects. It does not read repositories with
// SHA-256 names or reftables, and does not merge the lines of two versions of a
// file.
package gitrepo
