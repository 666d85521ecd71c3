package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	writers   = 32
	eachRound = 20 // documents a writer puts in a round
	rounds    = 8
	// batchWriters send batches at once: more would only wait for the processors.
	batchWriters = 4
)

// written is a put that was acknowledged.
type written struct {
	doc    int
	commit string
	by     store.Author
}

// crowd is a number of clients with connections of their own.
type crowd struct {
	clients []*govc.Client
	authors []store.Author
}

func (s *site) gather(ctx context.Context, url string, n int) (*crowd, error) {
	c := &crowd{}
	for i := range n {
		client, err := newClient(ctx, url, nil)
		if err != nil {
			c.close()
			return nil, err
		}
		c.clients = append(c.clients, client)
		c.authors = append(c.authors, store.Author{Name: fmt.Sprintf("writer %02d", i), Email: fmt.Sprintf("writer%02d@caiatop.invalid", i)})
	}
	return c, nil
}

func (c *crowd) close() {
	for _, client := range c.clients {
		client.Close()
	}
}

// round lets every client apply its batches, all at once, and returns how long
// that took and what was acknowledged. Making the documents does not count.
func (c *crowd) round(ctx context.Context, s *site, each, docs int) (took time.Duration, done []written, err error) {
	batches := make([][]store.Batch, len(c.clients))
	first := make([][]int, len(c.clients))
	for w := range batches {
		for range each {
			batches[w] = append(batches[w], putOf(s.next, docs, c.authors[w]))
			first[w] = append(first[w], s.next)
			s.next += docs
		}
	}
	acked := make([][]written, len(c.clients))
	errs := make([]error, len(c.clients))
	took, err = beside.Clock(func() error {
		var group sync.WaitGroup
		for w, client := range c.clients {
			group.Go(func() {
				for i, b := range batches[w] {
					got, err := client.Apply(ctx, b)
					if err != nil {
						errs[w] = fmt.Errorf("%s: %w", c.authors[w].Name, err)
						return
					}
					acked[w] = append(acked[w], written{first[w][i], got.Commit, c.authors[w]})
				}
			})
		}
		group.Wait()
		return errors.Join(errs...)
	})
	for _, a := range acked {
		done = append(done, a...)
	}
	return took, done, err
}

// echoRound is round of the echo.
func (s *site) echoRound(ctx context.Context, n, each, sent, got int) (time.Duration, error) {
	errs := make([]error, n)
	return beside.Clock(func() error {
		var group sync.WaitGroup
		for w := range n {
			group.Go(func() {
				ask := s.echo.viaResty(ctx, sent, got)
				for i := range each {
					if _, err := ask(i); err != nil {
						errs[w] = err
						return
					}
				}
			})
		}
		group.Wait()
		return errors.Join(errs...)
	})
}

// crowds measures many clients at once, and looks whether each got what it was
// told.
func (s *site) crowds(ctx context.Context) error {
	s.rep.progress.Step(s.n, "32 clients")
	before, err := s.commits(ctx, 0, 1)
	if err != nil {
		return err
	}
	done, err := s.crowd(ctx, writers, eachRound, 1, fmt.Sprintf("put, %d clients", writers), target{})
	if err != nil {
		return err
	}
	s.rep.progress.Step(s.n, "look at every commit of the 32 clients")
	wrong, err := s.judge(ctx, before[0].Hash, done)
	if err != nil {
		return err
	}
	s.rep.add(row{
		What: "lost, merged or misattributed commits", Docs: s.n, Unit: inCommits, Ours: figure{Median: float64(wrong), Count: len(done)},
		Note: "of the puts of 32 clients: each commit's place in the log, author, message, parent and changes, and each document read back",
	}, target{none: true})
	if wrong > 0 {
		return fmt.Errorf("%w: %d commits of %d are not what was acknowledged", errBroken, wrong, len(done))
	}
	_, err = s.crowd(ctx, batchWriters, 4, batchDocs, fmt.Sprintf("batch of 100, %d clients", batchWriters), target{least: 40_000})
	return err
}

// crowd races n clients against as many of the echo.
func (s *site) crowd(ctx context.Context, n, each, docs int, what string, t target) (done []written, err error) {
	c, err := s.gather(ctx, s.url, n)
	if err != nil {
		return nil, err
	}
	defer c.close()
	sample := s.fresh(docs, 1)[0]
	sent, got, _, err := s.measured(func() error { _, err := s.applied(ctx, sample); return err })
	if err != nil {
		return nil, err
	}
	// What the client of this site put itself.
	own, err := s.commits(ctx, 0, 1)
	if err != nil {
		return nil, err
	}
	done = append(done, written{s.next - docs, own[0].Hash, author})
	f, err := beside.Rules{Samples: s.samples, Processor: true}.Race(ctx,
		s.racer(rounds, func(int) (time.Duration, error) {
			took, acked, err := c.round(ctx, s, each, docs)
			done = append(done, acked...)
			return took, err
		}),
		s.racer(rounds, func(int) (time.Duration, error) { return s.echoRound(ctx, n, each, sent, got) }))
	if err != nil {
		return nil, err
	}
	ours, floor := f[0].Rate(n*each*docs), f[1].Rate(n*each*docs)
	s.rep.add(row{What: what, Docs: s.n, Unit: inRate, Ours: ours, Floor: &floor, FloorIs: echoByResty + ", by as many clients"}, t)
	return done, nil
}

// logged is a commit as the log of the service has it.
type logged struct {
	Hash    string `json:"hash"`
	Parent  string `json:"parent"`
	Author  string `json:"author"`
	Email   string `json:"email"`
	Message string `json:"message"`
}

// commits reads the log, the newest first.
func (s *site) commits(ctx context.Context, offset, limit int) ([]logged, error) {
	body, err := send(ctx, s.bare, http.MethodGet, s.api(fmt.Sprintf("/commits?limit=%d&offset=%d", limit, offset)), nil, inJSON)
	if err != nil {
		return nil, err
	}
	var told struct {
		Commits []logged `json:"commits"`
	}
	if err := json.Unmarshal(body, &told); err != nil || len(told.Commits) == 0 {
		return nil, errors.Join(fmt.Errorf("%w: the log has no commits", errBroken), err)
	}
	return told.Commits, nil
}

// judge counts the acknowledged puts whose commit is not in the history after
// before, or is not what was acknowledged, and commits that nobody was told of.
func (s *site) judge(ctx context.Context, before string, done []written) (wrong int, err error) {
	var history []logged
	for found := false; !found; {
		page, err := s.commits(ctx, len(history), 5000)
		if err != nil {
			return 0, err
		}
		for _, c := range page {
			if found = c.Hash == before; found {
				break
			}
			history = append(history, c)
		}
	}
	byHash := make(map[string]logged, len(history))
	for i, c := range history {
		parent := before
		if i+1 < len(history) {
			parent = history[i+1].Hash
		}
		if c.Parent != parent {
			wrong++
			beside.Say(s.rep.progress.To, "commit %s has the parent %s, not %s\n", c.Hash, c.Parent, parent)
		}
		byHash[c.Hash] = c
	}
	for _, w := range done {
		c, ok := byHash[w.commit]
		if ok {
			delete(byHash, w.commit) // so that no two puts were told the same one
			ok, err = s.holds(ctx, c, w)
		}
		if err != nil {
			return wrong, err
		}
		if !ok {
			wrong++
			beside.Say(s.rep.progress.To, "the put of document %d by %s was acknowledged as %s, which is %+v\n", w.doc, w.by.Name, w.commit, c)
		}
	}
	return wrong + len(byHash), nil
}

// holds reports whether a commit is that of one put and nothing else, and the
// document can be read.
func (s *site) holds(ctx context.Context, c logged, w written) (bool, error) {
	d := makeDoc(w.doc)
	if c.Author != w.by.Name || c.Email != w.by.Email || !strings.Contains(c.Message, d.ID.String()) {
		return false, nil
	}
	body, err := send(ctx, s.bare, http.MethodGet, s.api("/diff?"+url.Values{"from": {c.Parent}, "to": {c.Hash}}.Encode()), nil, inJSON)
	if err != nil {
		return false, err
	}
	var diff struct {
		Files []struct {
			Path string `json:"path"`
		} `json:"files"`
	}
	if err := json.Unmarshal(body, &diff); err != nil {
		return false, err
	}
	for _, f := range diff.Files {
		if !strings.HasPrefix(f.Path, keyOf(d).Folder.String()+"/") {
			return false, nil
		}
	}
	got, err := s.client.Get(ctx, keyOf(d))
	if err != nil {
		return false, err
	}
	return len(diff.Files) == 2 && got.Content.Text == d.Content.Text, nil
}
