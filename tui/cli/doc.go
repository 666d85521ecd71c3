// Package cli is the console as commands: every action under the same name,
// for scripts and for people in a hurry. Data goes to stdout, messages go to
// stderr, and the exit code says what happened (see exit.go).
//
// A command works through a Session, which is a running engine's control
// socket or an engine opened for the occasion; it cannot tell them apart. What
// came from outside passes termsafe before it is shown as text, on a terminal
// or not; JSON and the content that get prints into a pipe or a file are exact.
//
// The commands read no configuration, open no state and install no signal
// handler: Deps brings all that, and Program is the Deps of the product.
package cli
