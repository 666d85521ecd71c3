// Package durable writes files that survive a power cut.
//
// Whatever a function of this package reported as done is on the disk: the
// bytes of the file, its name, and the entry in its folder. A file appears
// under its final name complete or not at all. A write or a sync that failed
// is never repeated on the same descriptor and never followed by a rename,
// because after a failed fsync the kernel may have dropped the pages and call
// the next one a success.
//
// The package never deletes a lock file, never follows a failed step by the
// next one, and never leaves a temporary file behind where it can remove it.
package durable
