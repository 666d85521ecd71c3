package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/store"
)

// step is one thing that happens to a world.
type step struct {
	Do   string
	Doc  int           // which document
	N    int           // how many, or which
	Wait time.Duration // how long it takes, or is waited for
}

// plan is a world and what happens to it.
type plan struct {
	Service string
	Settled bool // nothing happens before the service is attached
	Steps   []step
}

const (
	modelDocs = 6
	// modelPatience bounds, in the world's time, how long everything may take to
	// come to rest once no fault is left.
	modelPatience = 2 * time.Hour
)

// modelSteps are the steps with how often each is drawn.
var modelSteps = []struct {
	do     string
	weight int
}{
	{"put", 10},
	{"delete", 3},
	{"get", 3},
	{"burst", 4},
	{"wait", 5},
	{"crash", 3},
	{"restart", 2},
	{"service restarts", 3},
	{"stranger", 2},
	{linkDown, 2},
	{linkSlow, 2},
	{linkLost, 2},
	{linkFails, 2},
	{linkHole, 1},
	{linkWell, 6},
	{"flap", 1},
	{"fallback", 1},
	{"recover", 2},
}

// drawPlan draws everything before anything happens: a world runs on a clock of
// its own, on which nothing can be drawn.
func drawPlan(t *rapid.T) plan {
	var choices []string
	for _, s := range modelSteps {
		for range s.weight {
			choices = append(choices, s.do)
		}
	}
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			Do:   rapid.SampledFrom(choices).Draw(t, "do"),
			Doc:  rapid.IntRange(0, modelDocs-1).Draw(t, "doc"),
			N:    rapid.IntRange(1, modelDocs).Draw(t, "n"),
			Wait: time.Duration(rapid.SampledFrom([]int{0, 1, 20, 150, 700, 2500, 9000, 40_000}).Draw(t, "ms")) * time.Millisecond,
		}
	})
	return plan{
		Service: rapid.SampledFrom([]string{serviceMemory, serviceDurable, servicePlain, serviceLegacy}).Draw(t, "service"),
		Settled: rapid.Bool().Draw(t, "settled"),
		Steps:   rapid.SliceOfN(one, 4, 30).Draw(t, "steps"),
	}
}

// TestTheEngineKeepsItsPromisesWhateverHappens draws what happens to an engine
// and its service, lets it happen, takes every fault away, and looks.
func TestTheEngineKeepsItsPromisesWhateverHappens(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if given := checks.Value.String(); given == checks.DefValue { // nobody asked for a number
		fewer := "12"
		if raced {
			fewer = "4"
		}
		if err := checks.Value.Set(fewer); err != nil {
			t.Fatal(err)
		}
		defer checks.Value.Set(given) //nolint:errcheck // it was that a moment ago
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlan(rt)
		if err := p.run(t); err != nil {
			rt.Fatal(err)
		}
	})
}

// run lets the plan happen in a world of its own. An error says which promise
// was broken.
func (p plan) run(t *testing.T) (err error) {
	root, err := os.MkdirTemp("", "caiatop-model-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	m := &model{last: map[int]fact{}, theirs: map[int]fact{}, over: map[int]string{}, maybe: map[int][]fact{}}
	synctest.Test(t, func(*testing.T) {
		if m.w, err = newWorld(root, p.Service); err != nil {
			return
		}
		if p.Settled {
			err = m.rest()
		}
		if err == nil {
			err = m.happen(p.Steps)
		}
		if err == nil {
			err = m.rest()
		}
		if err == nil {
			err = m.look()
		}
		m.group.Wait()
		if err != nil {
			for _, ev := range m.w.host.Journal().Since(0) {
				m.tell("%s  %s %s: %s", ev.At.Format("04:05.000"), ev.Level, ev.Kind, ev.Text)
			}
		}
		err = errors.Join(err, m.w.close())
	})
	if err != nil {
		return fmt.Errorf("%s, settled %v: %w\n%s", p.Service, p.Settled, err, m.told.String())
	}
	return m.lookAtGit(t)
}

// fact is a version of a document: its text, or that it is deleted.
type fact struct {
	text string
	gone bool
	at   int // when, as a number that grows
	// forgotten: it may be gone, as the service is that had it.
	forgotten bool
}

func (f fact) String() string {
	if f.gone {
		return "deleted"
	}
	return fmt.Sprintf("%q", f.text)
}

// model is what must be true of a world.
type model struct {
	w     *world
	group sync.WaitGroup // bursts under way

	mu     sync.Mutex // guards what follows
	told   strings.Builder
	n      int
	last   map[int]fact   // acknowledged last
	maybe  map[int][]fact // tried after that, without an acknowledgement
	theirs map[int]fact   // what a stranger wrote last
	over   map[int]string // what that took the place of at the service
	dead   bool           // acknowledgements count no more
}

func docID(k int) string { return fmt.Sprintf("doc-%d", k) }

func (m *model) tell(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintf(&m.told, "%s  %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// pass lets time go by on the world's clock.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // fake time
}

func (m *model) next() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	return m.n
}

// happen lets the steps happen one after the other.
func (m *model) happen(steps []step) error {
	for i, s := range steps {
		m.tell("%d: %s doc %d, %d, %s", i, s.Do, s.Doc, s.N, s.Wait)
		if err := m.step(s); err != nil {
			return fmt.Errorf("step %d, %s: %w", i, s.Do, err)
		}
	}
	m.group.Wait()
	return nil
}

func (m *model) step(s step) error {
	switch s.Do {
	case "put", "delete", "get":
		m.group.Wait() // the order of what is acknowledged is then known
		return m.call(s.Do, s.Doc)
	case "burst":
		m.group.Wait()
		m.burst(s.N)
	case "wait":
		pass(s.Wait)
	case "crash":
		pass(s.Wait)
		err := m.w.crash(func() { m.kill(true) })
		m.group.Wait()
		m.kill(false)
		return err
	case "restart":
		m.group.Wait()
		return m.w.restart()
	case "service restarts":
		m.group.Wait()
		if m.w.kind != serviceDurable {
			m.forgive()
		}
		return m.w.startService()
	case "stranger":
		m.group.Wait()
		if m.w.host.o.State.Meta(metaLineage) == "" {
			return nil // else a person would have to decide whose repository it is
		}
		return m.strange(s.Doc)
	case linkDown, linkSlow, linkLost, linkFails, linkHole, linkWell:
		m.w.link.set(s.Do, s.Wait)
	case "flap":
		for range s.N {
			m.w.link.set(linkDown, 0)
			pass(s.Wait)
			m.w.link.set(linkWell, 0)
			pass(s.Wait)
		}
	case "fallback":
		return m.command(m.w.host.Fallback)
	case "recover":
		return m.command(func(ctx context.Context) error { return m.w.host.Recover(ctx, false) })
	}
	return nil
}

// command gives a command that may be refused, but must be answered.
func (m *model) command(give func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := give(ctx)
	m.tell("   answered %v", err)
	if ctx.Err() != nil {
		return fmt.Errorf("no answer within a minute: %w", err)
	}
	return nil
}

func (m *model) kill(dead bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = dead
}

// burst writes to n documents at once, and does not wait for them.
func (m *model) burst(n int) {
	for k := range n {
		m.group.Go(func() {
			if err := m.call("put", k); err != nil {
				m.tell("   %v", err)
			}
		})
	}
}

// call is one call of the engine, and what is to be remembered of it.
func (m *model) call(do string, k int) error {
	ctx := context.Background()
	began := time.Now()
	e, id := m.w.host.Engine, mustID(docID(k))
	if do == "get" {
		return m.read(k)
	}
	f := fact{at: m.next(), gone: do == "delete"}
	if !f.gone {
		f.text = fmt.Sprintf("%s, version %d", docID(k), f.at)
	}
	m.attempt(k, f)
	var ack Ack
	var err error
	if f.gone {
		ack, err = e.Delete(ctx, id)
	} else {
		ack, err = e.Put(ctx, doc(docID(k), f.text))
	}
	took := time.Since(began)
	acked := m.answered(k, f, err)
	if acked {
		m.tell("   %s is %s: %s after %s", docID(k), f, ack.Durability, took)
	}
	if took > DefaultBudget+time.Second {
		return fmt.Errorf("a caller waited %s", took)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrClosing) {
		return fmt.Errorf("%s of %s: %w", do, docID(k), err)
	}
	return nil
}

// attempt remembers what is tried.
func (m *model) attempt(k int, f fact) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maybe[k] = append(m.maybe[k], f)
}

// answered remembers the answer, and reports whether it was an acknowledgement.
func (m *model) answered(k int, f fact, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead || err != nil {
		if err != nil && errors.Is(err, store.ErrNotFound) {
			m.maybe[k] = m.maybe[k][:len(m.maybe[k])-1]
		}
		return false
	}
	m.last[k], m.maybe[k] = f, nil
	return true
}

// forgive lets go of what strangers wrote and a service forgets: nobody promised
// it to them.
func (m *model) forgive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, f := range m.theirs {
		f.forgotten = true
		m.theirs[k] = f
	}
}

// read is read-your-writes.
func (m *model) read(k int) error {
	found, err := m.w.host.Get(context.Background(), mustID(docID(k)))
	text := found.Document.Content.Text
	m.mu.Lock()
	defer m.mu.Unlock()
	last, written := m.last[k]
	switch _, strange := m.theirs[k]; {
	case strange || len(m.maybe[k]) > 0:
		return nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%s cannot be read: %w", docID(k), err)
	case (err != nil) != (!written || last.gone), err == nil && text != last.text:
		return fmt.Errorf("%s reads as %q, %w; acknowledged was %s", docID(k), text, err, last)
	}
	return nil
}

// strange writes a document behind the engine's back.
func (m *model) strange(k int) error {
	f := fact{at: m.next()}
	f.text = fmt.Sprintf("%s, a stranger's version %d", docID(k), f.at)
	d := doc(docID(k), f.text)
	d.CreatedAt, d.UpdatedAt = time.Now().UTC(), time.Now().UTC()
	key := store.NewKey(m.w.host.o.Layout, d)
	row, err := m.w.host.o.State.Lookup(context.Background(), d.ID)
	if err != nil || row.Deleted {
		return nil // one that the engine does not know is not looked for yet
	}
	key.Folder, d.CreatedAt = row.Folder, row.CreatedAt
	before, err := m.w.atService(context.Background(), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrIdentity) {
		return err
	}
	if err := m.w.stranger(context.Background(), key, d); err != nil {
		return err
	}
	m.tell("   a stranger wrote %s over %q", f, before)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.theirs[k], m.over[k] = f, before
	return nil
}
