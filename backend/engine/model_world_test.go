package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Services of the world.
const (
	serviceMemory  = "ours in memory"
	serviceDurable = "ours on disk"
	servicePlain   = "plain"
	serviceLegacy  = "legacy"
)

const worldURL = "http://service.test:8080"

// world is an engine, the service, and the way between them, all in this
// process and on its clock.
type world struct {
	root    string
	kind    string
	runs    int // folders that engines had
	service *govcd.Service
	plain   *wiretest.Emulator
	handler http.Handler
	door    *door // of service

	link *link
	host *Host
	dir  string
	ours *govc.Client // the engine's
}

func newWorld(root, kind string) (*world, error) {
	w := &world{root: root, kind: kind, dir: filepath.Join(root, "state-0")}
	if err := w.startService(); err != nil {
		return nil, err
	}
	return w, w.startEngine()
}

// startService starts the service anew: with what its disk has, or with nothing.
func (w *world) startService() error {
	switch w.kind {
	case servicePlain, serviceLegacy:
		if w.plain == nil {
			w.plain = wiretest.NewEmulator(wiretest.EmulatorOptions{Legacy: w.kind == serviceLegacy, Fragile: true})
		} else {
			w.plain.Restart()
		}
		w.handler = w.plain
	default:
		if err := w.stopService(); err != nil {
			return err
		}
		o := govcd.Options{Key: "k"}
		if w.kind == serviceDurable {
			o.Data = filepath.Join(w.root, "service")
		}
		s, err := govcd.Open(context.Background(), o)
		if err != nil {
			return err
		}
		w.door = &door{inside: s.Handler()}
		w.service, w.handler = s, w.door
	}
	if w.link != nil {
		w.link.lead(w.handler)
	}
	return nil
}

func (w *world) stopService() error {
	if w.service == nil {
		return nil
	}
	w.door.shut()
	defer func() { w.service = nil }()
	return w.service.Stop(context.Background())
}

// door lets requests in until it is shut, and waits for those inside, as the
// server does whose place it takes.
type door struct {
	inside http.Handler
	mu     sync.RWMutex
	closed bool
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		panic(http.ErrAbortHandler)
	}
	d.inside.ServeHTTP(w, r)
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

func worldClient(through http.RoundTripper) (*govc.Client, error) {
	return govc.New(govc.Options{URL: worldURL, Repo: "caia-documents", APIKey: "k", Transport: through})
}

// startEngine starts an engine on the present folder, as host.go does, but for
// the way to the service.
func (w *world) startEngine() (err error) {
	w.link = &link{target: w.handler, fault: linkWell}
	h := &Host{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.closeParts(context.Background()))
		}
	}()
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return err
	}
	o := Options{
		Phase: PhaseDual, Author: store.Author{Name: "caiatop", Email: "caiatop@example.org"}, Now: time.Now, Strict: true,
		Recorder: probe.New(time.Now), Repository: "caia-documents", StateDir: w.dir, GitDir: filepath.Join(w.dir, GitDir),
		Memory: memstore.New(cacheBytes), URL: worldURL, Rand: func() float64 { return 0.5 },
	}
	if err := h.openStores(context.Background(), Setup{}, &o); err != nil {
		return err
	}
	if w.ours, err = worldClient(w.link); err != nil {
		return err
	}
	h.onClose(func(context.Context) error { w.ours.Close(); return nil })
	o.Primary, o.Checker = w.ours, health{w.ours}
	if h.Engine, err = Open(context.Background(), o); err != nil {
		return err
	}
	w.host = h
	return nil
}

// restart ends the engine as an operator does, and starts it again.
func (w *world) restart() error {
	if err := w.stopEngine(time.Minute); err != nil {
		return err
	}
	return w.startEngine()
}

func (w *world) stopEngine(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.host.Close(ctx)
}

// crash ends the engine at this moment: the next one starts with the files as
// they are now, and nothing that the old one does from now on has any effect.
// ended is called in between.
func (w *world) crash(ended func()) error {
	synctest.Wait()
	ended()
	w.link.die()
	w.runs++
	next := filepath.Join(w.root, fmt.Sprintf("state-%d", w.runs))
	if err := copyOfState(w.dir, next); err != nil {
		return err
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.host.Close(gone); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if err := os.RemoveAll(w.dir); err != nil {
		return err
	}
	w.dir = next
	return w.startEngine()
}

// copyOfState leaves out what SQLite shares between processes: after a crash of
// the last one it is made anew.
func copyOfState(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch at := filepath.Join(to, rel); {
		case d.IsDir():
			return os.MkdirAll(at, 0o700)
		case strings.HasSuffix(path, "-shm"):
			return nil
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(at, data, 0o600)
		}
	})
}

// stranger writes one document at the service, by a program that knows nothing
// of the engine.
func (w *world) stranger(ctx context.Context, key store.Key, d document.Document) error {
	c, err := worldClient(&link{target: w.handler, fault: linkWell})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Describe(ctx); err != nil {
		return err
	}
	if _, err := c.EnsureRepo(ctx); err != nil {
		return err
	}
	_, err = c.Apply(ctx, store.Batch{
		Ops: []store.Op{{Key: key, Doc: &d}}, Author: store.Author{Name: "Stranger", Email: "s@example.org"}, At: d.UpdatedAt,
	})
	return err
}

// atService returns the text of a document at the service.
func (w *world) atService(ctx context.Context, key store.Key) (string, error) {
	c, err := worldClient(&link{target: w.handler, fault: linkWell})
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Describe(ctx); err != nil {
		return "", err
	}
	d, err := c.Get(ctx, key)
	return d.Content.Text, err
}

// close ends everything.
func (w *world) close() error {
	return errors.Join(w.stopEngine(time.Minute), w.stopService())
}
