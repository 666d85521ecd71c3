// Package gitimport brings the documents of a git repository into another one
// with their history: each commit of the source's branch that changed documents
// becomes a commit with the same author, times and message, with the documents
// in the folders of this repository's layout, on a reference of its own; one
// merge commit then joins them with the main branch.
//
// Contract:
//   - The source is only read. Its first parents are followed: what a merge
//     brought there is one commit here.
//   - Every commit names the one that it was made of (Imported-From). A run that
//     was interrupted, and one after the source has grown, goes on behind the
//     newest of them; no commit is made twice.
//   - A document that exists here with other content keeps its content; what the
//     source has of it is in the history of the merge only, and is reported.
//   - Commits that the main branch holds itself are never made again: a clone of
//     this repository brings what was committed on top of them.
//   - A document that lies in several folders leads where it was changed last, in
//     one commit where the month is the latest. It is deleted when the last of
//     them goes.
//   - A folder that cannot be read as a document is reported, and so is a document
//     at the tip in a folder that none may have; the rest goes on.
//   - What commit messages say to engines (Outbox-Seq, Op-Id) is marked as
//     imported: it is not said of this repository.
//   - Everything else (files, symbolic links, submodules) is left out, counted,
//     and the first of it named.
//   - Memory holds one batch of commits, and for each document where it lies.
//
// The package knows nothing of the index and of other stores: whoever keeps
// them notices the merge as any other push. It never moves the main branch but
// by that merge.
package gitimport
