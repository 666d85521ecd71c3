package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// shelf is a target in memory that fails when it is told to.
type shelf struct {
	repo  *gitrepo.Repo
	mu    sync.Mutex
	err   error
	times []time.Time // of the pushes
	known gitrepo.Hash
}

func (s *shelf) push(ctx context.Context, repo *gitrepo.Repo, tip, known gitrepo.Hash, progress func(gitrepo.Copied)) (gitrepo.Copied, error) {
	s.mu.Lock()
	s.times, s.known = append(s.times, time.Now()), known
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return gitrepo.Copied{}, err
	}
	return s.repo.ReceiveFrom(ctx, repo, tip, progress)
}

func (s *shelf) fetch(context.Context, string) (*gitrepo.Repo, gitrepo.Hash, func() error, error) {
	return nil, zero, nil, errors.New("not here")
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

type bench struct {
	*Runner
	repo   *gitrepo.Repo
	shelf  *shelf
	told   []string
	kept   Done
	cancel context.CancelFunc
	done   chan struct{}
}

func newBench(t *testing.T, interval time.Duration, last Done) *bench {
	b := &bench{repo: grown(t, 3, 10), shelf: &shelf{repo: grown(t, 0, 0)}, done: make(chan struct{})}
	b.Runner = New(Options{
		Repo: b.repo, Target: &Target{shown: "shelf", place: b.shelf}, Interval: interval, Last: last,
		Keep:      func(d Done) { b.kept = d },
		Failed:    func(err error, next string) { b.told = append(b.told, fmt.Sprintf("%v; %s", err, next)) },
		Recovered: func() { b.told = append(b.told, "recovered") },
		Now:       time.Now, Rand: func() float64 { return 0 },
	})
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { defer close(b.done); b.Run(ctx) }()
	return b
}

func (b *bench) end() { b.cancel(); <-b.done }

// TestARunnerPushesNotMoreOftenThanItsInterval and only when there is
// something.
func TestARunnerPushesNotMoreOftenThanItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10*time.Second, Done{})
		defer b.end()
		synctest.Wait()
		if s := b.Status(); len(b.shelf.times) != 1 || s.Lag != 0 || s.State != Idle || s.LastCommit != tipOf(t, b.repo).String() || s.LastSuccess.IsZero() {
			t.Fatalf("%d pushes at the start, %+v", len(b.shelf.times), s)
		}
		for i := range 20 { // more than one a second
			<-time.After(900 * time.Millisecond)
			grow(t, b.repo, 100+i, 1, 10)
			b.Wake()
			synctest.Wait()
		}
		if s := b.Status(); s.Lag != 1 && s.Lag != 0 {
			t.Errorf("%+v", s)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n := len(b.shelf.times); n != 3 || tipOf(t, b.shelf.repo) != tipOf(t, b.repo) {
			t.Errorf("%d pushes, want 3: %v", n, b.shelf.times)
		}
		for i := 1; i < len(b.shelf.times); i++ {
			if gap := b.shelf.times[i].Sub(b.shelf.times[i-1]); gap < 10*time.Second {
				t.Errorf("%s between two pushes", gap)
			}
		}
		if b.kept.Target != "shelf" || b.kept.Commit != tipOf(t, b.repo).String() || b.kept.At.IsZero() {
			t.Errorf("kept %+v", b.kept)
		}
		// What others push into the store's repository is seen without a word.
		grow(t, b.repo, 500, 1, 10)
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if tipOf(t, b.shelf.repo) != tipOf(t, b.repo) {
			t.Error("a commit that nobody told of was not pushed")
		}
	})
}

// TestAFailingRunnerTellsOnce and tries with growing pauses.
func TestAFailingRunnerTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10*time.Second, Done{})
		defer b.end()
		synctest.Wait()
		b.shelf.fail(fmt.Errorf("%w: down", ErrUnavailable))
		grow(t, b.repo, 10, 5, 10)
		b.Wake()
		<-time.After(30 * time.Second)
		synctest.Wait()
		s := b.Status()
		if s.State != Failing || s.Err == "" || s.Next == "" || s.Lag != 5 || !s.Oldest.Equal(when) {
			t.Errorf("%+v", s)
		}
		<-time.After(2 * time.Hour)
		synctest.Wait()
		if n := len(b.shelf.times); n < 10 || n > 20 {
			t.Errorf("%d tries in two hours", n)
		}
		b.shelf.fail(nil)
		<-time.After(retryMost)
		synctest.Wait()
		if s := b.Status(); s.State != Idle || s.Err != "" || s.Lag != 0 {
			t.Errorf("%+v", s)
		}
		if len(b.told) != 2 || b.told[1] != "recovered" {
			t.Errorf("told %q", b.told)
		}
	})
}

func TestARunnerThatWaitsToBeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, Done{Target: "shelf", Commit: "1234567890123456789012345678901234567890", At: when})
		defer b.end()
		<-time.After(time.Hour)
		synctest.Wait()
		s := b.Status()
		if len(b.shelf.times) != 0 || s.Lag != -1 || s.Next == "" || !s.LastSuccess.Equal(when) {
			t.Errorf("%d pushes, %+v", len(b.shelf.times), s)
		}
		if _, err := b.Now(context.Background(), false); err != nil || b.shelf.known.IsZero() {
			t.Errorf("%v, known %s: a backup that is gone would go unnoticed", err, b.shelf.known)
		}
		if _, err := b.Now(context.Background(), true); err != nil || !b.shelf.known.IsZero() {
			t.Errorf("anew: %v, known %s", err, b.shelf.known)
		}
		b.shelf.fail(ErrRefused)
		if _, err := b.Now(context.Background(), false); !errors.Is(err, ErrRefused) {
			t.Errorf("%v", err)
		}
		if s := b.Status(); s.State != Failing || s.Next != Advice(ErrRefused) {
			t.Errorf("%+v", s)
		}
	})
}

// TestAFailureIsKnownAfterARestart: a command that asks how the backup is must
// not call it well because another process failed at it.
func TestAFailureIsKnownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newBench(t, 0, Done{})
		first.shelf.fail(ErrRefused)
		if _, err := first.Now(context.Background(), false); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		first.end()
		b := newBench(t, 10*time.Second, first.kept)
		defer b.end()
		if s := New(Options{Repo: b.repo, Target: b.o.Target, Last: first.kept}).Status(); s.State != Failing || !strings.HasSuffix(s.Err, ErrRefused.Error()) || s.Next != Advice(ErrRefused) {
			t.Errorf("%+v", s)
		}
		if s := New(Options{Repo: b.repo, Target: &Target{shown: "another"}, Last: first.kept}).Status(); s.State != Idle || s.Err != "" {
			t.Errorf("another target: %+v", s)
		}
		synctest.Wait()
		if s := b.Status(); s.State != Idle || s.Err != "" || b.kept.Err != "" || len(b.told) != 1 || b.told[0] != "recovered" {
			t.Errorf("%+v, told %q", s, b.told)
		}
	})
}

// TestAFailureIsTriedAgainAlsoWithNothingNew, or it would be told forever.
func TestAFailureIsTriedAgainAlsoWithNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10*time.Second, Done{})
		defer b.end()
		synctest.Wait()
		b.shelf.fail(ErrUnavailable)
		if _, err := b.Now(context.Background(), false); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		b.shelf.fail(nil)
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if s := b.Status(); s.State != Idle || s.Lag != 0 {
			t.Errorf("%+v", s)
		}
	})
}
