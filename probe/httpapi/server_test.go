package httpapi_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// blocked is an engine whose Sync waits for its context or for release.
type blocked struct {
	httpapitest.Engine
	entered chan struct{}
	left    chan error
	release chan struct{}
}

func newBlocked() *blocked {
	return &blocked{entered: make(chan struct{}, 100), left: make(chan error, 100), release: make(chan struct{})}
}

func (b *blocked) Sync(ctx context.Context) error {
	b.entered <- struct{}{}
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-b.release:
	}
	b.left <- err
	return err
}

func TestClientThatLeavesEndsItsRequest(t *testing.T) {
	b := newBlocked()
	client := start(t, t.TempDir(), b)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-b.entered
		cancel()
	}()
	if err := client.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("sync: %v", err)
	}
	if err := <-b.left; !errors.Is(err, context.Canceled) {
		t.Errorf("the engine was not told: %v", err)
	}
}

func TestServerEndsGracefully(t *testing.T) {
	dir := t.TempDir()
	ln, err := httpapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := newBlocked()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- httpapi.NewServer(b, nil).Serve(ctx, ln) }()
	client, err := httpapi.New(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	synced := make(chan error, 1)
	go func() { synced <- client.Sync(t.Context()) }()
	<-b.entered
	cancel()
	close(b.release)
	if err := <-synced; err != nil {
		t.Errorf("a request under way was cut off: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, httpapi.ErrNotRunning) {
		t.Errorf("a request after the end: %v", err)
	}
}

func TestServerEndsThoughARequestDoesNot(t *testing.T) {
	dir := t.TempDir()
	ln, err := httpapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := newBlocked()
	server := httpapi.NewServer(b, nil)
	server.SetGrace(100 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	client, err := httpapi.New(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	synced := make(chan error, 1)
	go func() { synced <- client.Sync(t.Context()) }()
	<-b.entered
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	select {
	case err := <-b.left:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the engine was not told: %v", err)
		}
	default:
		t.Error("the server ended before its request had")
	}
	if err := <-synced; !errors.Is(err, httpapi.ErrUnavailable) {
		t.Errorf("the client: %v", err)
	}
}

func TestTooManyRequestsAreTold(t *testing.T) {
	b := newBlocked()
	client := start(t, t.TempDir(), b)
	const most = 64
	var wg sync.WaitGroup
	for range most {
		wg.Go(func() {
			if err := client.Sync(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for range most {
		<-b.entered
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, httpapi.ErrUnavailable) {
		t.Errorf("one more: %v", err)
	}
	close(b.release)
	wg.Wait()
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("after they are gone: %v", err)
	}
}

// panicking is an engine with a fault.
type panicking struct{ httpapitest.Engine }

func (*panicking) Status(context.Context) (httpapi.Status, error) { panic("the fault") }

func TestPanicIsAnError(t *testing.T) {
	client := start(t, t.TempDir(), &panicking{})
	if _, err := client.Status(t.Context()); !errors.Is(err, httpapi.ErrInternal) || !strings.Contains(err.Error(), "the fault") {
		t.Errorf("status: %v", err)
	}
	if err := client.Sync(t.Context()); err != nil {
		t.Errorf("the server did not go on: %v", err)
	}
}

// deaf is an engine whose Sync does not listen to its context.
type deaf struct {
	httpapitest.Engine
	entered, release chan struct{}
}

func (d *deaf) Sync(context.Context) error {
	close(d.entered)
	<-d.release
	return nil
}

func TestServerTellsOfARequestThatNeverEnds(t *testing.T) {
	dir := t.TempDir()
	ln, err := httpapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{entered: make(chan struct{}), release: make(chan struct{})}
	defer close(d.release)
	server := httpapi.NewServer(d, nil)
	server.SetGrace(10 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	client, err := httpapi.New(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	synced := make(chan error, 1)
	go func() { synced <- client.Sync(t.Context()) }()
	<-d.entered
	cancel()
	if err := <-ended; !errors.Is(err, httpapi.ErrInternal) || !strings.Contains(err.Error(), "requests that do not end: 1") {
		t.Errorf("serve: %v", err)
	}
	if err := <-synced; !errors.Is(err, httpapi.ErrUnavailable) {
		t.Errorf("the client: %v", err)
	}
}
