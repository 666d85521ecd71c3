// Package gitstore keeps documents in a git repository: the folder of files
// that package document describes, on one branch, one commit a batch.
//
// It reads and edits documents where they lie, in the layout of caiatop and in
// that of the CAIA Library. Somebody else may push to the branch at any time:
// a batch is built upon what is there.
//
// The package knows nothing of the outbox, of phases or of other stores; it
// does not open or close the repository, and never rewrites history.
package gitstore
