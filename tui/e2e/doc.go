// Package e2e holds the end-to-end tests of caiatop: the real program, built
// once, in a real terminal (tmux) with a home folder of its own, driven by keys
// and judged by what stands on the screen, by real git and by the service's own
// API. The pictures in screenshots/ are drawn from the same runs.
//
// The package has no code of its own that a program could import. Its tests
// never touch the home, the configuration or the tmux server of whoever runs
// them, and end only processes that they started.
package e2e
