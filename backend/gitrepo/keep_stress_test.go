package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// gitsOwn is what real git does to the packs, in turn. It gives up when packs go
// while it reads them: that is no loss.
func gitsOwn(i int) []string {
	return [][]string{{"repack", "-adq"}, {"gc", "-q", "--prune=now"}, {"repack", "-adq"}, {"prune", "--expire=now"}}[i%4]
}

// wantHistory lets real git say that main has all commits, and nothing is amiss.
func wantHistory(t testing.TB, dir string, acknowledged []string) {
	t.Helper()
	fsck(t, dir)
	history := strings.Fields(git(t, dir, "rev-list", "main"))
	slices.Sort(history)
	for _, h := range acknowledged {
		if _, ok := slices.BinarySearch(history, h); !ok {
			t.Fatalf("the acknowledged commit %s is lost", h)
		}
	}
}

// Real git repacks everything and prunes all garbage without a pause, while
// every second commit does not move its reference before a run of git has ended
// and another one has begun; and the maintenance consolidates meanwhile.
func TestGitRepacksBesideCommits(t *testing.T) {
	needGit(t)
	r, dir, hook := hookedOver(t, true)
	acknowledged := []string{commit(t, r, put(t, "doc", "0")).String()}
	var runs atomic.Int64
	named, waits := 0, 16
	if raced {
		waits = 8
	}
	if n := soakRounds(t); n > 0 {
		waits = 10 * n
	}
	ended := make(chan struct{}, 1)
	*hook = func(operation, name string) error {
		if operation != "rename" || !strings.HasSuffix(name, "heads/main") {
			return nil
		}
		if named++; named%2 == 0 {
			return nil
		}
		<-ended // one that may have begun before the pack had its name
		return nil
	}
	done := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-done:
				return nil
			default:
			}
			_, _ = tryGit(dir, gitsOwn(i)...)
			runs.Add(1)
			select {
			case ended <- struct{}{}:
			default:
			}
		}
	})
	group.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
				if err := r.Settle(context.Background()); err != nil {
					return err
				}
			}
		}
	})
	var failed error
	for i := 1; i <= 2*waits && failed == nil; i++ {
		var h Hash
		h, failed = r.Commit(t.Context(), CommitInput{
			Changes: []Change{put(t, "doc", fmt.Sprint(i)), put(t, fmt.Sprintf("d/%d", i%7), wordsOf(rand.New(rand.NewSource(int64(i))), 300))},
			Author:  ann, At: when.Add(secondsOf(i)),
		})
		if failed == nil {
			acknowledged = append(acknowledged, h.String())
		}
	}
	close(done)
	if err := errors.Join(failed, group.Wait()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d commits, git ran %d times", len(acknowledged), runs.Load())
	look(t, r, nil)
	wantNoKeeps(t, dir)
	closeRepo(t, r)
	wantHistory(t, dir, acknowledged)
}

// A process that commits is killed while git repacks everything, again and
// again: what it acknowledged is there, and what it kept is let go of.
func TestKilledWhileGitRepacks(t *testing.T) {
	needGit(t)
	dir := filepath.Join(t.TempDir(), "repo.git")
	rounds := 3
	if raced {
		rounds = 2
	}
	if n := soakRounds(t); n > 0 {
		rounds = n
	}
	var acknowledged []string
	stale := 0
	for round := range rounds {
		c := startChild(t, dir, "")
		done := make(chan struct{})
		var group errgroup.Group
		for n := 0; n <= 20+round*7%11 && c.lines.Scan(); n++ {
			acknowledged = append(acknowledged, c.lines.Text())
			if n == 0 { // now there is a repository
				group.Go(func() error {
					for i := 0; ; i++ {
						select {
						case <-done:
							return nil
						default:
							_, _ = tryGit(dir, gitsOwn(i)...)
						}
					}
				})
			}
		}
		acknowledged = append(acknowledged, c.kill(t)...)
		close(done)
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		stale += len(matches(t, dir, "objects/pack/*.keep"))
		wantHistory(t, dir, acknowledged)
	}
	r := opened(t, dir)
	wantNoKeeps(t, dir)
	if left := matches(t, dir, "objects/caiatop-keep*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	acknowledged = append(acknowledged, commit(t, r, put(t, "after", "crash")).String())
	closeRepo(t, r)
	wantHistory(t, dir, acknowledged)
	t.Logf("killed %d times after %d commits, %d packs were kept", rounds, len(acknowledged), stale)
}
