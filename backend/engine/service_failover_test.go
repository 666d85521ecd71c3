package engine_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/fault"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// failover takes the service away under a writer, in each way that a proxy
// can, and brings it back. No acknowledged write is lost and none is applied
// twice.
func failover(t *testing.T, s target) {
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "http" {
		t.Skipf("%s: a proxy in front of it would break its certificate; give the plain http:// address", s.url)
	}
	s.dropAtEnd(t)
	direct := s.client(t)
	info, err := direct.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := u.Host
	if u.Port() == "" {
		address += ":80"
	}
	proxy := fault.New(fault.Options{Target: address})
	if err := proxy.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	behind := s
	behind.url = "http://" + proxy.Addr() + u.Path
	h := behind.start(t)
	await(t, h, "the service as primary", healthy)
	story := &outages{h: h, proxy: proxy, direct: direct, once: map[string]document.Document{}}
	for _, mode := range []fault.Mode{fault.Down(), fault.Reset()} {
		story.run(t, mode)
	}
	story.wantAll(t, info)
}

// outages is what was written through them.
type outages struct {
	h      *engine.Host
	proxy  *fault.Proxy
	direct *govc.Client

	mu     sync.Mutex
	once   map[string]document.Document // written once, and acknowledged
	edited document.Document            // written many times, the newest version
}

const (
	beforeOutage = 10
	duringOutage = 10
	// maxUnder bounds the writes of the writer under which the service goes.
	maxUnder = 400
)

func (o *outages) write(t *testing.T, id string, want engine.Durability) {
	t.Helper()
	d := newDoc(t, id, document.Content{Text: "text of " + id})
	put(t, o.h, want, d)
	o.mu.Lock()
	o.once[id] = d
	o.mu.Unlock()
}

func (o *outages) edit(t *testing.T, text string, want engine.Durability) {
	t.Helper()
	o.edited = newDoc(t, "edited", document.Content{Text: text})
	put(t, o.h, want, o.edited)
}

// run is one outage, from a healthy service to a healthy service.
func (o *outages) run(t *testing.T, mode fault.Mode) {
	t.Helper()
	for i := range beforeOutage {
		o.write(t, numbered(mode.String()+"-before", i), engine.PrimaryAndLocal)
	}
	o.edit(t, mode.String()+" before", engine.PrimaryAndLocal)

	o.takeAway(t, mode)
	for i := range duringOutage {
		o.write(t, numbered(mode.String()+"-during", i), engine.Local)
		o.edit(t, numbered(mode.String()+" during", i), engine.Local)
	}
	if state := o.h.Stats().State; state != engine.StateFallback {
		t.Fatalf("%s: the state is %s, want %s", mode, state, engine.StateFallback)
	}
	o.wantEach(t, nil, "")
	for id := range o.once {
		if found, err := o.h.Get(t.Context(), mustID(t, id)); err != nil || found.ServedBy == probe.Govc {
			t.Errorf("%s: %s was served by %q (%v)", mode, id, found.ServedBy, err)
		}
	}
	if pending := o.h.Stats().Outbox.Pending; pending < duringOutage {
		t.Errorf("%s: %d operations are pending, want at least %d", mode, pending, duringOutage)
	}

	if err := o.proxy.Set(fault.Pass()); err != nil {
		t.Fatal(err)
	}
	recovered(t, o.h)
	if pending := o.h.Stats().Outbox.Pending; pending != 0 {
		t.Errorf("%s: %d operations are pending after the way back", mode, pending)
	}
	o.wantEach(t, o.direct, probe.Govc)
	o.edit(t, mode.String()+" after", engine.PrimaryAndLocal)
}

// takeAway lets the service go while a writer is at work. Whatever that writer
// was told is written down.
func (o *outages) takeAway(t *testing.T, mode fault.Mode) {
	t.Helper()
	some, left := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range maxUnder {
			select {
			case <-left:
				return
			default:
			}
			id := numbered(mode.String()+"-under", i)
			d := newDoc(t, id, document.Content{Text: "text of " + id})
			if _, err := o.h.Put(t.Context(), d); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			o.mu.Lock()
			o.once[id] = d
			o.mu.Unlock()
			if i == 3 {
				close(some)
			}
		}
	})
	<-some
	if err := o.proxy.Set(mode); err != nil {
		t.Error(err)
	}
	await(t, o.h, "fallback", func(s *engine.Stats) bool { return s.State == engine.StateFallback })
	close(left)
	writer.Wait()
}

// wantEach reads every document.
func (o *outages) wantEach(t *testing.T, direct *govc.Client, from probe.Store) {
	t.Helper()
	for _, d := range o.once {
		wantThere(t, o.h, direct, d, from)
	}
	wantThere(t, o.h, direct, o.edited, from)
}

// wantAll compares the whole set: nothing lost, nothing twice.
func (o *outages) wantAll(t *testing.T, info govc.Info) {
	t.Helper()
	await(t, o.h, "every store in step", healthy)
	o.wantEach(t, o.direct, probe.Govc)
	want := len(o.once) + 1
	page, err := o.h.List(t.Context(), engine.Query{Limit: 1000})
	if err != nil || page.Total != int64(want) {
		t.Errorf("%d documents are listed (%v), want %d", page.Total, err, want)
	}
	for _, row := range page.Rows {
		if strings.Contains(row.ID.String(), ".conflict-") {
			t.Errorf("our own write came back as the conflict copy %s", row.ID)
		}
	}
	if s := o.h.Stats(); s.Parked != 0 || s.Switches != 2 {
		t.Errorf("%d operations were set aside, %d switches, want 0 and 2", s.Parked, s.Switches)
	}
	if info.Has("tree.recursive") {
		listed := 0
		for _, err := range o.direct.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			listed++
		}
		if listed != want {
			t.Errorf("the service lists %d documents, want %d", listed, want)
		}
	}
	if !info.Has("log.path") {
		return
	}
	for _, row := range page.Rows {
		if row.ID == o.edited.ID {
			continue
		}
		revisions, err := o.direct.History(t.Context(), store.Key{ID: row.ID, Folder: row.Folder}, 10)
		if err != nil || len(revisions) != 1 {
			t.Errorf("%s was written once, the service has %d versions of it (%v)", row.ID, len(revisions), err)
		}
	}
}
