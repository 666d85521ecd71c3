// Package process has the tests of the commands as processes: scripts, and what
// several processes do to one another. It has no code of its own.
package process
