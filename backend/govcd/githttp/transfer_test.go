package githttp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/go-git/go-git/v5/plumbing"
)

// vast is a repository of one commit with as many folders of 1,000 files of
// noise as one likes. Nothing of it is kept: a name says what it names.
type vast struct {
	folders int
	size    int // of a file, in bytes
}

// The sorts of names.
const (
	vastCommit = 1 + iota
	vastRoot
	vastFolder
	vastFile
)

func vastName(kind byte, number int) (h Hash) {
	h[0] = kind
	binary.BigEndian.PutUint64(h[4:], uint64(number)) //nolint:gosec // it is small
	return h
}

func (vast) Head(context.Context) (string, Hash, error)  { return "main", vastName(vastCommit, 0), nil }
func (vast) Tags(context.Context) ([]gitrepo.Tag, error) { return nil, nil }
func (vast) Branches() ([]gitrepo.Branch, error) {
	return []gitrepo.Branch{{Name: "main", Tip: vastName(vastCommit, 0)}}, nil
}

func (vast) ReadCommit(_ context.Context, h Hash) (gitrepo.Commit, error) {
	if h[0] != vastCommit {
		return gitrepo.Commit{}, gitrepo.ErrNotFound
	}
	return gitrepo.Commit{Hash: h, Tree: vastName(vastRoot, 0), At: when}, nil
}

func (v vast) Object(ctx context.Context, h Hash) (plumbing.ObjectType, []byte, error) {
	number := int(binary.BigEndian.Uint64(h[4:])) //nolint:gosec // it is small
	switch h[0] {
	case vastCommit:
		return plumbing.CommitObject, []byte("tree " + vastName(vastRoot, 0).String() + "\n\n"), ctx.Err()
	case vastRoot:
		return plumbing.TreeObject, vastTree("40000", vastFolder, 0, v.folders), ctx.Err()
	case vastFolder:
		return plumbing.TreeObject, vastTree("100644", vastFile, 1000*number, 1000), ctx.Err()
	case vastFile:
		data := make([]byte, v.size)
		state := uint64(number)*0x9e3779b97f4a7c15 + 1 //nolint:gosec // noise
		for i := 0; i+8 <= len(data); i += 8 {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			binary.LittleEndian.PutUint64(data[i:], state)
		}
		return plumbing.BlobObject, data, ctx.Err()
	}
	return 0, nil, gitrepo.ErrNotFound
}

func vastTree(mode string, kind byte, from, n int) []byte {
	var b []byte
	for i := from; i < from+n; i++ {
		h := vastName(kind, i)
		b = append(append(b, fmt.Sprintf("%s %08d\x00", mode, i)...), h[:]...)
	}
	return b
}

var all = lines("command=fetch", delimiterLine, "want "+vastName(vastCommit, 0).String(), "ofs-delta", "done", flushLine)

// gauge is a client that looks at the heap as it receives.
type gauge struct {
	header   http.Header
	received int64
	most     uint64
}

func (g *gauge) Header() http.Header { return g.header }
func (g *gauge) WriteHeader(int)     {}
func (g *gauge) Write(b []byte) (int, error) {
	const often = 4 << 20
	if before := g.received; before/often != (before+int64(len(b)))/often {
		g.most = max(g.most, liveHeap())
	}
	g.received += int64(len(b))
	return len(b), nil
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestALargeTransferIsNotHeld: the heap has the names of 50,000 objects, and little
// of their 50 MB.
func TestALargeTransferIsNotHeld(t *testing.T) {
	objects, size := 50_000, 1024
	if raced || testing.Short() { // a tenth of the names, and nearly half of the bytes
		objects, size = 5_000, 4096
	}
	const mib = 1 << 20
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(all))
	r.Header.Set("Content-Type", requestType)
	r.Header.Set("Git-Protocol", "version=2")
	before := liveHeap()
	g := &gauge{header: http.Header{}}
	if err := New(Options{}).UploadPack(g, r, vast{folders: objects / 1000, size: size}, always); err != nil {
		t.Fatal(err)
	}
	if g.received < int64(objects*size) {
		t.Errorf("only %d bytes were sent", g.received)
	}
	t.Logf("the heap grew by %d KiB", (int64(g.most)-int64(before))>>10) //nolint:gosec // no heap is so large
	if grown := int64(g.most) - int64(before); grown > 12*mib {          //nolint:gosec // no heap is so large
		t.Errorf("the heap grew by %d MiB for an answer of %d MiB", grown/mib, g.received/mib)
	}
}

// piped serves one repository over pipes, with the limits on time of the real
// service, inside a bubble of synctest.
func piped(t *testing.T, s *Server, repo Repo) (ask func() (*http.Response, error), ended chan error) {
	t.Helper()
	ended = make(chan error, 8)
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := s.UploadPack(w, r, repo, always)
			if refused, ok := asRefusal(err); ok {
				http.Error(w, refused.Text, refused.Status)
			}
			ended <- err
		}),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // it ends with the test
	transport := &http.Transport{DisableKeepAlives: true, DialContext: l.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		serving.Wait()
	})
	return func() (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://pipe/", strings.NewReader(all))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", requestType)
		r.Header.Set("Git-Protocol", "version=2")
		return transport.RoundTrip(r)
	}, ended
}

// pipes listens in this process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// TestASlowTransferGoesOn as long as it moves, whatever the limits of the server
// on a request.
func TestASlowTransferGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ask, ended := piped(t, New(Options{}), vast{folders: 1, size: 1024})
		answer, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for err == nil {
			var part int64
			<-time.After(40 * time.Second) // of the bubble
			part, err = io.CopyN(io.Discard, answer.Body, 64<<10)
			n += part
		}
		if took := time.Since(begin); !errors.Is(err, io.EOF) || n < 1000*1024 || took < 10*time.Minute {
			t.Errorf("%d bytes in %v: %v", n, took, err)
		}
		if err := errors.Join(<-ended, answer.Body.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestAClientThatStalls is cut off, and gives its place to others. Until then
// those wait for a while, and are told to come again.
func TestAClientThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, ended := piped(t, New(Options{Transfers: 1}), vast{folders: 1, size: 1024})
		first, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		second, err := ask()
		if err != nil || second.StatusCode != http.StatusServiceUnavailable || time.Since(begin) != DefaultWait {
			t.Errorf("one too many: %v after %v", err, time.Since(begin))
		}
		if refused, ok := asRefusal(<-ended); !ok || refused.After == 0 {
			t.Errorf("one too many: %v", refused)
		}
		if err := <-ended; !errors.Is(err, ErrCut) || time.Since(begin) > DefaultStall {
			t.Errorf("a client that stalls: %v after %v", err, time.Since(begin))
		}
		third, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, third.Body); err != nil || n < 1000*1024 {
			t.Errorf("after it: %d bytes, %v", n, err)
		}
		if err := errors.Join(<-ended, first.Body.Close(), second.Body.Close(), third.Body.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestARightThatIsLost ends a transfer, and the client is told why.
func TestARightThatIsLost(t *testing.T) {
	clock := when
	s := New(Options{Now: func() time.Time { clock = clock.Add(20 * time.Millisecond); return clock }})
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(all))
	r.Header.Set("Content-Type", requestType)
	r.Header.Set("Git-Protocol", "version=2")
	w := httptest.NewRecorder()
	asked := 0
	err := s.UploadPack(w, r, vast{folders: 5, size: 1024}, func() bool { asked++; return asked < 3 })
	if got := w.Body.String(); err != nil || !strings.HasSuffix(got, "\x03this credential may not read the repository any more\n") || len(got) < 1<<17 {
		t.Errorf("%v, %d bytes that end in %q", err, len(got), got[max(0, len(got)-100):])
	}
}

// broken has an object that cannot be read.
type broken struct{ vast }

func (b broken) Object(ctx context.Context, h Hash) (plumbing.ObjectType, []byte, error) {
	if h == vastName(vastFile, 1234) {
		return 0, nil, fmt.Errorf("%w: /srv/objects/pack/x.pack", gitrepo.ErrCorrupt)
	}
	return b.vast.Object(ctx, h)
}

// TestARepositoryThatIsDamaged is never sent as if it was whole, and no more is
// told than that.
func TestARepositoryThatIsDamaged(t *testing.T) {
	repo := broken{vast{folders: 2, size: 100}}
	w, err := post(t, New(Options{}), repo, 2, all)
	if got := w.Body.String(); err != nil || !strings.HasSuffix(got, "says why\n") || strings.Contains(got, "/srv") {
		t.Errorf("%v %q", err, got[max(0, len(got)-200):])
	}
	want := "want " + vastName(vastCommit, 0).String()
	if _, err = post(t, New(Options{}), repo, 0, lines(want, flushLine, "done")); !errors.Is(err, ErrCut) {
		t.Errorf("without a side-band: %v", err)
	}
	if w, err = post(t, New(Options{}), vast{folders: 1, size: 9}, 0, lines(want, flushLine, "done")); err != nil || !strings.HasPrefix(w.Body.String(), "0008NAK\nPACK") {
		t.Errorf("without a side-band: %v %.20q", err, w.Body)
	}
}

// TestClonesBesideAWriter are whole, in memory and on a disk whose packs are
// merged all the time, by us and by git.
func TestClonesBesideAWriter(t *testing.T) {
	disk, folder := disked(t)
	for _, r := range []*gitrepo.Repo{gitrepo.NewMemory(gitrepo.Options{}), disk} {
		filled(t, r, 10, 30)
		url := serve(t, r, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		var working sync.WaitGroup
		failed := make(chan error, 2)
		working.Go(func() {
			pace := time.NewTicker(4 * time.Millisecond) // so that what is cloned stays small
			defer pace.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-pace.C
				changes := docs(t, i%50, i%50+3, 1000+i)
				_, err := r.Commit(ctx, gitrepo.CommitInput{Changes: changes, Message: "m", Author: ann, At: when.Add(time.Duration(i) * time.Second)})
				if err == nil && i%7 == 0 {
					err = r.CreateTag(ctx, gitrepo.TagInput{Name: fmt.Sprint("t", i), Commit: mustTip(t, r), Message: "m", Tagger: ann, At: when})
				}
				if err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
			}
		})
		working.Go(func() {
			for ctx.Err() == nil && r == disk {
				err := r.Settle(ctx)
				if err == nil {
					_, err = try(t, folder, "repack", "-adq")
				}
				if err != nil && ctx.Err() == nil {
					failed <- err
					return
				}
			}
		})
		dir := filepath.Join(t.TempDir(), "c")
		git(t, "", "clone", "-q", "--mirror", url, dir)
		for range 3 {
			git(t, dir, "fetch", "-q", "--prune")
		}
		cancel()
		working.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		git(t, dir, "fetch", "-q", "--prune")
		if got, want := git(t, dir, "rev-parse", "main"), mustTip(t, r).String(); got != want {
			t.Errorf("the clone is at %s, want %s", got, want)
		}
		fsck(t, dir)
	}
}
