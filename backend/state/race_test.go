//go:build race

package state

import "flag"

// The race detector makes the model 12 times slower and looks for something
// else than the model does: the run without it has all the checks.
func init() {
	if err := flag.Set("rapid.checks", "8"); err != nil {
		panic(err)
	}
}
