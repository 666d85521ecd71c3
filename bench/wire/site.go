package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	repoName = "bench"
	// fillBatch is how many documents are put at once while a repository is
	// filled: as many as the engine sends.
	fillBatch = 256
	// sectionTime bounds what one racer may take.
	sectionTime = 2 * time.Second
)

// site is a service with a repository of n documents, and who asks it.
type site struct {
	n       int
	samples int
	rep     *report
	echo    *echo

	service *govcd.Service
	url     string
	client  *govc.Client
	meter   *meter
	bare    *http.Client
	next    int // number of the next document that is new
}

// meter counts what the client sends and gets.
type meter struct {
	http.RoundTripper
	requests  atomic.Int64
	sent, got atomic.Int64 // bytes of the bodies of the last exchange
}

// RoundTrip implements http.RoundTripper.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.requests.Add(1)
	m.sent.Store(max(r.ContentLength, 0))
	in, err := m.RoundTripper.RoundTrip(r)
	if err == nil {
		m.got.Store(max(in.ContentLength, 0))
		if in.ContentLength < 0 { // only its end tells
			in.Body = counted{in.Body, &m.got}
		}
	}
	return in, err
}

// counted is a body whose bytes are counted.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// CloseIdleConnections drops those that wait.
func (m *meter) CloseIdleConnections() {
	if t, ok := m.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// start starts the service, which keeps its repositories in data, or in memory
// if that is "".
func (s *site) start(ctx context.Context, data string) (err error) {
	if s.service, err = govcd.Open(ctx, govcd.Options{Data: data}); err != nil {
		return err
	}
	if s.url, err = s.service.Start("127.0.0.1:0"); err != nil {
		return err
	}
	s.bare = &http.Client{Transport: newPool()}
	s.meter = &meter{RoundTripper: newPool()}
	s.client, err = newClient(ctx, s.url, s.meter)
	return err
}

// fill puts documents until there are n.
func (s *site) fill(ctx context.Context) error {
	for s.next < s.n {
		n := min(fillBatch, s.n-s.next)
		if _, err := s.client.Apply(ctx, putOf(s.next, n, author)); err != nil {
			return err
		}
		s.next += n
	}
	return nil
}

// open starts a service in memory, fills the repository, and measures what that
// takes of the memory.
func (s *site) open(ctx context.Context) error {
	s.rep.progress.Step(s.n, "fill")
	before := liveHeap()
	if err := s.start(ctx, ""); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	s.rep.add(row{
		What: "memory a document", Docs: s.n, Unit: inBytes, Ours: beside.Once(float64(liveHeap()-before) / float64(s.n)),
		Note: fmt.Sprintf("live heap of the service after a collection, client included; batches of %d, so that one document in %d brings a commit", fillBatch, fillBatch),
	}, ifTarget(s.n, target{most: 3 << 10}))
	return nil
}

// ifTarget is the target where it was set.
func ifTarget(n int, t target) target {
	if n < targetDocs {
		return target{}
	}
	return t
}

func newClient(ctx context.Context, url string, transport http.RoundTripper) (*govc.Client, error) {
	c, err := govc.New(govc.Options{URL: url, Repo: repoName, Transport: transport})
	if err != nil {
		return nil, err
	}
	_, err = c.EnsureRepo(ctx)
	return c, err
}

// liveHeap is what is left of the heap after a collection, in bytes.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // the first one only empties what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // no machine has that much
}

func (s *site) close(ctx context.Context) error {
	if s.client != nil {
		s.client.Close()
	}
	if s.meter != nil {
		s.meter.CloseIdleConnections()
	}
	if s.bare != nil {
		s.bare.CloseIdleConnections()
	}
	if s.service == nil {
		return nil
	}
	err := s.service.Stop(ctx)
	s.service = nil
	return err
}

// api is the address of something in the repository.
func (s *site) api(rest string) string { return s.url + "/api/v2/repos/" + repoName + rest }

// fresh makes batches of n new documents. What is measured is made beforehand: a
// pause between requests costs both sides a wake-up, and the echo makes none.
func (s *site) fresh(n, many int) []store.Batch {
	out := make([]store.Batch, s.few(many))
	for i := range out {
		out[i] = putOf(s.next, n, author)
		s.next += n
	}
	return out
}

// few is how many samples are taken at most.
func (s *site) few(most int) int {
	if s.samples > 0 {
		return min(most, s.samples)
	}
	return most
}

// applied puts documents through the client and returns how long that took.
func (s *site) applied(ctx context.Context, b store.Batch) (time.Duration, error) {
	return beside.Clock(func() error {
		got, err := s.client.Apply(ctx, b)
		if err == nil && got.Commit == "" {
			err = fmt.Errorf("%w: a put made no commit", errBroken)
		}
		return err
	})
}

// bareItem and bareBatch are what a client sends in JSON that writes no more than
// it must.
type bareItem struct {
	Op      string `json:"op"`
	Path    string `json:"path"`
	Content string `json:"content"`
}

type bareBatch struct {
	Message string     `json:"message"`
	Items   []bareItem `json:"items"`
}

// form is one of the two forms in which the service takes and answers contents.
type form struct {
	kind, accept string
	encode       func(b store.Batch) ([]byte, error)
}

var (
	inFrames = form{frame.Type, frame.Accept, encodeFrame}
	inJSON   = form{"application/json", "application/json", encodeJSON}
)

// encoded are the bodies of batches.
func (f form) encoded(batches []store.Batch) (bodies [][]byte, err error) {
	bodies = make([][]byte, len(batches))
	for i, b := range batches {
		if bodies[i], err = f.encode(b); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

const putMessage = "Put documents"

// eachFile calls do with every file of a batch.
func eachFile(b store.Batch, do func(path string, data []byte)) error {
	for _, op := range b.Ops {
		files, err := op.Doc.Files(document.TextOnly)
		if err != nil {
			return err
		}
		for _, f := range files {
			do(op.Key.Folder.String()+"/"+f.Name, f.Data)
		}
	}
	return nil
}

func encodeFrame(b store.Batch) ([]byte, error) {
	in := frame.Batch{Message: putMessage}
	err := eachFile(b, func(path string, data []byte) {
		in.Items = append(in.Items, frame.Item{Op: frame.Put, Match: frame.Anything, Path: path, Data: data})
	})
	return in.Append(nil), err
}

func encodeJSON(b store.Batch) ([]byte, error) {
	in := bareBatch{Message: putMessage}
	if err := eachFile(b, func(path string, data []byte) {
		in.Items = append(in.Items, bareItem{"put", path, string(data)})
	}); err != nil {
		return nil, err
	}
	return json.Marshal(in)
}

// posted puts documents by bare HTTP.
func (s *site) posted(ctx context.Context, f form, body []byte) (time.Duration, error) {
	return beside.Clock(func() error {
		_, err := send(ctx, s.bare, http.MethodPost, s.api("/batch"), body, f)
		return err
	})
}

// measured returns what the client's last exchange sent and got, and how many
// requests do makes.
func (s *site) measured(do func() error) (sent, got, requests int, err error) {
	before := s.meter.requests.Load()
	err = do()
	return int(s.meter.sent.Load()), int(s.meter.got.Load()), int(s.meter.requests.Load() - before), err
}

// existing are documents that were put when the repository was filled, in an
// order that is none of the repository.
func (s *site) existing(many int) []document.Document {
	out := make([]document.Document, min(s.few(many), s.n))
	for i := range out {
		out[i] = makeDoc(i * stride % s.n)
	}
	return out
}

// got reads a document through the client and looks at what it is.
func (s *site) got(ctx context.Context, want document.Document) (time.Duration, error) {
	key := keyOf(want)
	var d document.Document
	took, err := beside.Clock(func() (err error) { d, err = s.client.Get(ctx, key); return err })
	if err == nil && (d.ID != want.ID || d.Content.Text != want.Content.Text) {
		err = fmt.Errorf("%w: %s is not what was put", errBroken, want.ID)
	}
	return took, err
}

// fetched reads a document's folder by bare HTTP.
func (s *site) fetched(ctx context.Context, f form, want document.Document) (time.Duration, error) {
	at := s.api("/folder?" + url.Values{"path": {keyOf(want).Folder.String()}}.Encode())
	var body []byte
	took, err := beside.Clock(func() (err error) { body, err = send(ctx, s.bare, http.MethodGet, at, nil, f); return err })
	if err == nil && !bytes.Contains(body, []byte(want.Content.Text)) {
		err = fmt.Errorf("%w: the folder of %s lacks its text", errBroken, want.ID)
	}
	return took, err
}
