package gitrepo

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const crashVariable = "CAIATOP_TEST_CRASH"

// commitForever is the body of the process that is killed: it says each commit
// once it is acknowledged.
func commitForever(dir string) {
	r, err := OpenDisk(dir, Options{})
	for i := 0; err == nil; i++ {
		var h Hash
		h, err = r.Commit(context.Background(), CommitInput{
			Changes: []Change{{Path: mustPath(fmt.Sprintf("d/%d/%d", os.Getpid(), i)), Data: []byte("x")}}, Author: ann, At: when,
		})
		if err == nil {
			fmt.Println(h)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process that is killed at any moment leaves plain git that holds every
// acknowledged commit, and the next one goes on.
func TestKilledWhileCommitting(t *testing.T) {
	needGit(t)
	dir := filepath.Join(t.TempDir(), "repo.git")
	var acknowledged []string
	for round := range 6 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashVariable+"="+dir)
		child.Stderr = os.Stderr
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
			if n == 7*round { // past a consolidation, too
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the killed process ended well")
		}
		fsck(t, dir)
		history := git(t, dir, "rev-list", "main")
		for _, h := range acknowledged {
			if !strings.Contains(history, h) {
				t.Fatalf("round %d: the acknowledged commit %s is lost", round, h)
			}
		}
	}
	r := opened(t, dir)
	if extra := matches(t, dir, "objects/pack/tmp*"); len(extra) != 0 {
		t.Errorf("left behind: %v", extra)
	}
	commit(t, r, put(t, "after", "crash"))
	fsck(t, dir)
}
