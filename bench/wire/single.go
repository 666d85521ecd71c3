package main

import (
	"context"
	"time"

	"github.com/caiatech/caiatop/bench/beside"
)

const (
	echoByResty = "floor is an echo of net/http with bodies of the same size, asked through resty"
	echoByHTTP  = "floor is an echo of net/http with bodies of the same size, asked through net/http"

	whatPut       = "put of one document, client"
	whatBarePut   = "put of one document, bare HTTP"
	whatGet       = "get of one document, client"
	whatBareGet   = "get of one document, bare HTTP"
	whatBatch     = "batch of 100, client"
	whatBareBatch = "batch of 100, bare HTTP"

	asJSON = ", JSON" // which other clients speak; the client of ours speaks frames
)

const (
	singles   = 3000 // samples of one document
	hundreds  = 200  // samples of a batch
	batchDocs = 100
)

func (s *site) racer(n int, do func(i int) (time.Duration, error)) *racer {
	return &racer{Count: n, Time: sectionTime, Do: do}
}

// puts measures writing one document.
func (s *site) puts(ctx context.Context) error {
	f, requests, err := s.writes(ctx, "put", 1, singles)
	if err != nil {
		return err
	}
	s.rep.add(row{What: whatPut, Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1], FloorIs: echoByResty}, target{within: 4})
	s.rep.add(row{What: whatBarePut, Docs: s.n, Unit: inMicros, Ours: f[2], Floor: &f[3], FloorIs: echoByHTTP}, target{within: 4})
	s.rep.add(row{What: whatBarePut + asJSON, Docs: s.n, Unit: inMicros, Ours: f[4], Floor: &f[3], FloorIs: echoByHTTP}, target{})
	s.rep.add(row{What: "requests a put", Docs: s.n, Unit: inRequests, Ours: beside.Once(float64(requests))}, target{most: 1})
	return nil
}

// batches measures writing 100 documents at once.
func (s *site) batches(ctx context.Context) error {
	f, _, err := s.writes(ctx, "batch", batchDocs, hundreds)
	if err != nil {
		return err
	}
	for i := range f {
		f[i] = f[i].Rate(batchDocs)
	}
	s.rep.add(row{What: whatBatch, Docs: s.n, Unit: inRate, Ours: f[0], Floor: &f[1], FloorIs: echoByResty}, target{least: 40_000})
	s.rep.add(row{What: whatBareBatch, Docs: s.n, Unit: inRate, Ours: f[2], Floor: &f[3], FloorIs: echoByHTTP}, target{least: 40_000})
	s.rep.add(row{What: whatBareBatch + asJSON, Docs: s.n, Unit: inRate, Ours: f[4], Floor: &f[3], FloorIs: echoByHTTP}, target{})
	return nil
}

// writes races batches of n documents through the client and by bare HTTP, each
// beside its echo, and by bare HTTP in JSON.
func (s *site) writes(ctx context.Context, what string, n, many int) (f []figure, requests int, err error) {
	s.rep.progress.Step(s.n, what)
	ours := s.fresh(n, many)
	frames, err := inFrames.encoded(s.fresh(n, many))
	if err != nil {
		return nil, 0, err
	}
	texts, err := inJSON.encoded(s.fresh(n, many))
	if err != nil {
		return nil, 0, err
	}
	sample := s.fresh(n, 1)[0]
	sent, got, requests, err := s.measured(func() error { _, err := s.applied(ctx, sample); return err })
	if err != nil {
		return nil, 0, err
	}
	f, err = beside.Rules{Samples: s.samples, Processor: true}.Race(ctx,
		s.racer(many, func(i int) (time.Duration, error) { return s.applied(ctx, ours[i]) }),
		s.racer(many, s.echo.viaResty(ctx, sent, got)),
		s.racer(many, func(i int) (time.Duration, error) { return s.posted(ctx, inFrames, frames[i]) }),
		s.racer(many, s.echo.viaHTTP(ctx, sent, got)),
		s.racer(many, func(i int) (time.Duration, error) { return s.posted(ctx, inJSON, texts[i]) }))
	return f, requests, err
}

// gets measures reading one document.
func (s *site) gets(ctx context.Context) error {
	s.rep.progress.Step(s.n, "get")
	docs := s.existing(singles)
	_, got, requests, err := s.measured(func() error { _, err := s.got(ctx, docs[0]); return err })
	if err != nil {
		return err
	}
	f, err := beside.Rules{Samples: s.samples, Processor: true}.Race(ctx,
		s.racer(singles, func(i int) (time.Duration, error) { return s.got(ctx, docs[i%len(docs)]) }),
		s.racer(singles, s.echo.viaResty(ctx, 0, got)),
		s.racer(singles, func(i int) (time.Duration, error) { return s.fetched(ctx, inFrames, docs[i%len(docs)]) }),
		s.racer(singles, s.echo.viaHTTP(ctx, 0, got)),
		s.racer(singles, func(i int) (time.Duration, error) { return s.fetched(ctx, inJSON, docs[i%len(docs)]) }))
	if err != nil {
		return err
	}
	s.rep.add(row{What: whatGet, Docs: s.n, Unit: inMicros, Ours: f[0], Floor: &f[1], FloorIs: echoByResty}, target{within: 2})
	s.rep.add(row{What: whatBareGet, Docs: s.n, Unit: inMicros, Ours: f[2], Floor: &f[3], FloorIs: echoByHTTP}, target{within: 2})
	s.rep.add(row{What: whatBareGet + asJSON, Docs: s.n, Unit: inMicros, Ours: f[4], Floor: &f[3], FloorIs: echoByHTTP}, target{})
	s.rep.add(row{What: "requests a get", Docs: s.n, Unit: inRequests, Ours: beside.Once(float64(requests))}, target{most: 1})
	return nil
}

// growth compares the cost at the largest size with that at the smallest one,
// both in turn.
func growth(ctx context.Context, rep *report, sites []*site) error {
	small, large := sites[0], sites[len(sites)-1]
	if small == large {
		return nil
	}
	rep.progress.Step(large.n, "beside "+beside.Count(small.n))
	for _, g := range []struct {
		what  string
		count int
		ready func(s *site, many int) func(i int) (time.Duration, error)
	}{
		{"get", 1500, func(s *site, many int) func(int) (time.Duration, error) {
			docs := s.existing(many)
			return func(i int) (time.Duration, error) { return s.got(ctx, docs[i%len(docs)]) }
		}},
		{"put", 600, func(s *site, many int) func(int) (time.Duration, error) {
			ready := s.fresh(1, many)
			return func(i int) (time.Duration, error) { return s.applied(ctx, ready[i]) }
		}},
		{"batch of 100", 40, func(s *site, many int) func(int) (time.Duration, error) {
			ready := s.fresh(batchDocs, many)
			return func(i int) (time.Duration, error) { return s.applied(ctx, ready[i]) }
		}},
	} {
		f, err := beside.Rules{Samples: large.samples, Processor: true}.Race(ctx, small.racer(g.count, g.ready(small, g.count)), large.racer(g.count, g.ready(large, g.count)))
		if err != nil {
			return err
		}
		rep.add(row{
			What: g.what + ": cost(" + beside.Count(large.n) + ")/cost(" + beside.Count(small.n) + ")", Docs: large.n, Unit: inRatio, Ours: beside.Once(f[1].Median / f[0].Median),
		}, target{most: 1.5})
	}
	return nil
}
