// Package audit keeps a record of who did what, where, from where, with which
// result: one line of JSON an entry, only ever appended.
//
// An entry that Append reported as recorded is on the disk: its line and every
// line before it survive a kill of the process and a power cut. Entries of many
// goroutines share one fsync. An entry whose Append failed may be recorded or
// not.
//
// Lines are numbered ("seq") and each carries the CRC-32C of what stands before
// it ("sum"), so that a missing or changed line is found. That is no protection
// against somebody who may write the file. A crash can leave an unfinished line
// at the end: it is cut at the next Open, which says so in an entry of its own.
// A damaged line with an intact one behind it stays where it is; readers pass
// over it. Open never removes an intact line.
//
// The record is bounded: a file takes at most MaxFile bytes, Keep full files
// are kept beside the current one, and the oldest is deleted when there are
// more. A file is named after the number of its first line,
// audit-00000000000000000001.jsonl; the last by name is the current one. All files are 0600, the folder is 0700.
//
// An entry never holds content or credentials: it has no field for either, every
// field is cut at its limit, and whatever in one looks like an API key or a
// token is replaced by "[redacted]". Control characters and invisible ones are
// escaped, so that a line can be shown on a terminal.
//
// One process, and in it one Log, writes to the files of a name; the caller
// holds a lock that makes it so. Full files may be moved away while it runs. The
// current one may not: that is noticed, entries fail for a second, and then go
// on, with the numbers that come next, in a new file in the same place.
package audit
