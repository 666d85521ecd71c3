// Package frame is the binary form in which a govc service of ours and our client
// may exchange the contents of files: what JSON says, but for contents that are
// neither escaped nor encoded, and hashes as they are. docs/wire.md describes it.
//
// A message is the letters "CF", the version, the kind, and the fields of that
// kind, one after the other, with nothing behind the last. A number is an unsigned
// varint in its shortest form, a text a number of bytes and that many bytes of
// UTF-8, a content the same with any bytes, a hash 20 bytes.
//
// What is read points into what was given, so whoever keeps it keeps that, too,
// and nobody may change it. Reading never panics, and never takes more than a few
// times as much memory as the message has bytes, whatever it claims.
//
// The package does not know what a path, an author or a condition may be: that is
// for those who use it.
package frame
