package gitrepo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The environment of a process that is killed, or whose system calls fail: the
// repository, and what it does there.
const (
	crashVariable  = "CAIATOP_TEST_CRASH"
	crashRole      = "CAIATOP_TEST_CRASH_ROLE"
	roleConsolider = "consolidate"
	roleFaulty     = "faulty"
)

// crashChild is the body of such a process.
func crashChild(dir string) {
	var err error
	switch os.Getenv(crashRole) {
	case roleConsolider:
		err = consolidateForever(dir)
	case roleFaulty:
		err = commitWithFaults(dir)
	default:
		err = commitForever(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// commitForever says each commit once it is acknowledged.
func commitForever(dir string) error {
	r, err := OpenDisk(dir, Options{})
	if err == nil {
		// Whoever held a lock here is dead. The test knows, and does not wait
		// until the lock is old enough to tell.
		if d, ok := r.refs.(*diskRefs); ok {
			d.now = func() time.Time { return time.Now().Add(staleAtOpen) }
		}
	}
	data := []byte(time.Now().String()) // in a long run the number of a process comes again
	for i := 0; err == nil; i++ {
		var h Hash
		h, err = r.Commit(context.Background(), CommitInput{
			Changes: []Change{{Path: mustPath(fmt.Sprintf("d/%d/%d", os.Getpid(), i)), Data: data}}, Author: ann, At: when,
		})
		if err == nil {
			fmt.Println(h)
		}
	}
	return err
}

// consolidateForever makes one pack of all that are there, over and over, and
// says so the first time.
func consolidateForever(dir string) error {
	r, err := OpenDisk(dir, Options{})
	if err != nil {
		return err
	}
	pause := time.NewTicker(time.Millisecond)
	for said := false; ; <-pause.C {
		did, err := consolidateOnce(r)
		if err != nil {
			return fmt.Errorf("consolidate: %w", err)
		}
		if did && !said {
			said = true
			fmt.Println("consolidating")
		}
	}
}

// consolidateOnce copies all packs into one, as the maintenance does with many.
func consolidateOnce(r *Repo) (bool, error) {
	s, ok := r.objects.(*packStore)
	if !ok {
		return false, errors.New("not on disk")
	}
	if err := s.rescan(); err != nil {
		return false, err
	}
	packs := *s.packs.Load()
	if len(packs) < 2 {
		return false, nil
	}
	indexPath, err := s.merge(context.Background(), packs)
	if err != nil {
		return false, err
	}
	return true, s.replace(packs, indexPath)
}

// A child is such a process and what it says.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
}

func startChild(t *testing.T, dir, role string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), crashVariable+"="+dir, crashRole+"="+role)
	c.Stderr = os.Stderr
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(stdout)
	return c
}

// kill ends the process at once and returns what it said meanwhile.
func (c *child) kill(t *testing.T) (said []string) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for c.lines.Scan() {
		said = append(said, c.lines.Text())
	}
	var ended *exec.ExitError
	if err := c.Wait(); !errors.As(err, &ended) || ended.Exited() {
		t.Fatalf("the process was to be killed, but ended itself: %v", err)
	}
	return said
}

// A process that is killed at any moment leaves plain git that holds every
// acknowledged commit, and the next one goes on. In some rounds a second
// process consolidates meanwhile, and is killed, too.
func TestKilledWhileCommitting(t *testing.T) {
	needGit(t)
	dir := filepath.Join(t.TempDir(), "repo.git")
	rounds, judged := 20, 7
	if raced {
		rounds = 6
	}
	if n := soakRounds(t); n > 0 {
		rounds, judged = n, 1
	}
	var acknowledged []string
	for round := range rounds {
		var other *child
		if round%3 == 2 {
			other = startChild(t, dir, roleConsolider)
		}
		c := startChild(t, dir, "")
		for n := 0; n <= round*7%11 && c.lines.Scan(); n++ {
			acknowledged = append(acknowledged, c.lines.Text())
		}
		if other != nil {
			if !other.lines.Scan() {
				t.Fatal("the second process did not consolidate")
			}
			other.kill(t)
		}
		acknowledged = append(acknowledged, c.kill(t)...)
		if round%judged != 0 && round != rounds-1 {
			continue
		}
		fsck(t, dir)
		history := strings.Fields(git(t, dir, "rev-list", "main"))
		slices.Sort(history)
		for _, h := range acknowledged {
			if _, ok := slices.BinarySearch(history, h); !ok {
				t.Fatalf("round %d: the acknowledged commit %s is lost", round, h)
			}
		}
	}
	t.Logf("killed %d times after %d commits", rounds, len(acknowledged))
	r := opened(t, dir)
	if extra := matches(t, dir, "objects/pack/tmp*"); len(extra) != 0 {
		t.Errorf("left behind: %v", extra)
	}
	commit(t, r, put(t, "after", "crash"))
	closeRepo(t, r) // git fsck does not like packs that the maintenance takes away meanwhile
	fsck(t, dir)
}
