package main

import (
	"time"

	"github.com/caiatech/caiatop/bench/beside"
)

type (
	figure = beside.Figure
	racer  = beside.Racer
)

// group is how many of the shortest operations are timed together: reading the
// clock costs a tenth of one.
const group = 32

// grouped times group calls of do and returns the time of one.
func grouped(first int, do func(i int) error) (time.Duration, error) {
	took, err := beside.Clock(func() error {
		for i := range group {
			if err := do(first*group + i); err != nil {
				return err
			}
		}
		return nil
	})
	return took / group, err
}
