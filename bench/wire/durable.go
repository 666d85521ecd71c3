package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caiatech/caiatop/bench/beside"
)

const (
	durableDocs   = 1000 // in the repository on disk before it is measured
	durableRounds = 6
	fsyncIs       = "floor is an append of as many bytes to one file and its fsync, one after the other"
)

// durable measures writes that are answered after their fsync, and looks after a
// restart whether all are there.
func (s *site) durable(ctx context.Context) (err error) {
	d := &site{n: durableDocs, samples: s.samples, rep: s.rep, echo: s.echo}
	d.rep.progress.Step(d.n, "durable mode")
	dir, err := os.MkdirTemp("", "caiatop-bench-wire-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(context.WithoutCancel(ctx)), os.RemoveAll(dir)) }()
	if err := d.start(ctx, dir); err != nil {
		return err
	}
	if err := d.fill(ctx); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "floor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	before, err := d.commits(ctx, 0, 1)
	if err != nil {
		return err
	}
	sample := d.fresh(1, 1)[0]
	sent, _, _, err := d.measured(func() error { _, err := d.applied(ctx, sample); return err })
	if err != nil {
		return err
	}
	last, err := d.commits(ctx, 0, 1)
	if err != nil {
		return err
	}
	done := []written{{d.next - 1, last[0].Hash, author}}
	floor := func(int) (time.Duration, error) { return appended(file, sent) }
	c, err := d.gather(ctx, d.url, writers)
	if err != nil {
		return err
	}
	defer c.close()
	f, err := beside.Rules{Samples: d.samples, Processor: true}.Race(ctx,
		&racer{Count: durableRounds, Time: 3 * sectionTime, Do: func(int) (time.Duration, error) {
			took, acked, err := c.round(ctx, d, eachRound, 1)
			done = append(done, acked...)
			return took, err
		}},
		d.racer(500, floor))
	if err != nil {
		return err
	}
	ours, raw := f[0].Rate(writers*eachRound), f[1].Rate(1)
	d.rep.add(row{
		What: fmt.Sprintf("durable put, %d clients", writers), Docs: d.n, Unit: inRate, Ours: ours, Floor: &raw, FloorIs: fsyncIs,
		Note: "each answer after its fsync; commits of several clients may share one",
	}, target{least: 5000})
	if err := d.singles(ctx, floor, &done); err != nil {
		return err
	}
	return d.restart(ctx, dir, before[0].Hash, done)
}

// singles measures durable writes of one client.
func (s *site) singles(ctx context.Context, floor func(int) (time.Duration, error), done *[]written) error {
	f, err := beside.Rules{Samples: s.samples, Processor: true}.Race(ctx,
		s.racer(500, func(int) (time.Duration, error) {
			b := putOf(s.next, 1, author)
			s.next++
			return beside.Clock(func() error {
				got, err := s.client.Apply(ctx, b)
				*done = append(*done, written{s.next - 1, got.Commit, author})
				return err
			})
		}),
		s.racer(500, floor))
	if err != nil {
		return err
	}
	s.rep.add(row{What: "durable put, one client", Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1], FloorIs: fsyncIs}, target{})
	return nil
}

// restart stops the service, starts it anew and looks at every commit.
func (s *site) restart(ctx context.Context, dir, before string, done []written) error {
	s.rep.progress.Step(s.n, "look at every durable commit after a restart")
	if err := s.close(ctx); err != nil {
		return err
	}
	if err := s.start(ctx, dir); err != nil {
		return err
	}
	wrong, err := s.judge(ctx, before, done)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "durable: lost, merged or misattributed commits", Docs: s.n, Unit: inCommits, Ours: figure{Median: float64(wrong), Count: len(done)},
		Note: "as those in memory, looked for after a restart of the service",
	}, target{none: true})
	if wrong > 0 {
		return fmt.Errorf("%w: %d durable commits of %d are not what was acknowledged", errBroken, wrong, len(done))
	}
	return nil
}

// appended writes to the end of a file and syncs it.
func appended(file *os.File, size int) (time.Duration, error) {
	data := make([]byte, size)
	for i := range data {
		data[i] = words[0][i%len(words[0])]
	}
	return beside.Clock(func() error {
		if _, err := file.Write(data); err != nil {
			return err
		}
		return file.Sync()
	})
}
