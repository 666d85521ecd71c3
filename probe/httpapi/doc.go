// Package httpapi is the control API of a running engine: JSON over HTTP on a
// Unix socket that only its owner can open. The server is given what it serves
// through two small interfaces, the client implements the same two, so that a
// caller cannot tell a running engine from one in its own process: the same
// values, the same errors.
//
// Content comes back byte for byte: text that JSON cannot carry travels as
// base64. Errors carry a code, and errors.Is finds the same sentinel on both
// sides.
//
// The package imports nothing of backend, keeps no data, never listens on a
// network and never retries.
package httpapi
