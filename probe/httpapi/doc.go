// Package httpapi is the API of a running engine: JSON over HTTP on a Unix
// socket that only its owner can open and, where asked for, over TCP for
// scripts, probes and monitoring. The server is given what it serves through
// small interfaces, the client implements the same ones, so that a caller
// cannot tell a running engine from one in its own process: the same values,
// the same errors.
//
// Content comes back byte for byte: text that JSON cannot carry travels as
// base64. Errors have one form and a code, and errors.Is finds the same
// sentinel on both sides. Clients that are slow or many are bounded and never
// shut others out.
//
// The package imports nothing of backend, keeps no data and never retries. The
// client only knows the Unix socket.
package httpapi
