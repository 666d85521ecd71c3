// Package powercut is a file system in memory that can be cut off: it gives
// tests the state that a machine may find after its power failed.
//
// A Disk behaves as package os does on Linux. Beside what programs see it
// knows what has reached the platter: the content of a file as of its last
// Sync, the names of a folder as of its last SyncDir. Cut returns a second
// Disk with what is left: everything that was synced, and of the rest any
// part, in any order. Bytes are lost or kept by sectors of 512, names one by
// one, a rename as two names of which either may be on the disk without the
// other. The file under a new name has what was synced of it, and no more for
// certain. Only the move of a folder is whole or undone, as in every journal.
//
// A Disk can also be told to fail (Fail). A Sync that failed drops what it was
// to write, as Linux does: programs go on reading it, the next Sync reports
// success, and after a cut it was never there.
//
// One source of random numbers is one cut. The package never touches the files
// of the machine, but for Export, and is for tests only: nothing here is
// durable.
package powercut
