// Package editor is a full-screen text editor for one text, byte for byte.
//
// It holds any bytes: tabs, CRLF, a byte order mark, NUL and what is not UTF-8
// stay what they are, and only what a key changed differs. A line ends at a
// newline, to which a carriage return before it belongs. What termsafe shows as
// one piece is one step for the caret and for deletion: a character with its
// combining marks, a control character, an invalid byte, a line end.
//
// The text is kept in chunks, so that a key and a View cost the same in a short
// and in a long text. Three things are bounded for lines of megabytes: a line
// is wrapped anew every 4 KiB, a step by word ends after 64 KiB, and past
// 64 KiB of a line the status counts bytes instead of characters. Only Text,
// New, Replace and a find that finds nothing look at the whole text; a find in a
// text of near misses stops after some ten milliseconds and says so.
//
// The package never reads a clipboard, a file or a clock, and shows nothing that
// did not pass termsafe. An Editor belongs to one goroutine.
package editor
