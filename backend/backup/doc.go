// Package backup copies the git repository of the store to another place, and
// verifies what lies there.
//
// A Target is parsed once from the settings: a folder becomes a bare repository
// of our own kind, written durably; git://, ssh:// and http(s):// are spoken
// here, without the git program. Either way a history is given commit by commit,
// the oldest first, in parts of about 8 MiB, and the branch main at the target
// moves forward after each part. So a backup that was interrupted goes on where
// the target's branch is, and what lies there is a whole repository at every
// moment.
//
// A Runner pushes when the tip moved, but not more often than its interval,
// and with growing pauses while that fails. That is the one place where
// anything is tried again.
//
// The package only reads the store's repository and holds up no commit. It
// never forces: where the target's main is not an earlier commit of ours, it
// says what lies there and changes nothing. It never follows a redirect, never
// talks to an ssh server whose key is not known, and never lets a password or a
// token into an error, a log or a status: they leave this package in requests
// only.
package backup
