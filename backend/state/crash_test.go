package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caiatech/caiatop/backend/store"
)

// The test binary runs itself as a child in one of two modes: "append" appends
// without end and prints what was acknowledged, "open" opens and says why not.
const (
	childMode = "CAIATOP_STATE_CHILD"
	childDir  = "CAIATOP_STATE_DIR"
)

func child(mode, dir string) int {
	db, err := Open(context.Background(), dir, Options{})
	if mode == "open" {
		fmt.Println("read only:", errors.Is(err, store.ErrReadOnly), err)
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var n atomic.Int64
	var out sync.Mutex
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for {
				op := fmt.Sprintf("op-%d-%08d", os.Getpid(), n.Add(1))
				// Few documents, so that rows are replaced and pages split.
				_, err := db.Append(context.Background(), []Operation{put(op, "doc-"+op[len(op)-3:], strings.Repeat(op, 50))})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				out.Lock()
				fmt.Println(op)
				out.Unlock()
			}
		})
	}
	writers.Wait()
	return 1
}

// A process that is killed loses nothing that it acknowledged, again and again.
func TestKilledProcessLosesNothing(t *testing.T) {
	const rounds, perRound = 10, 60
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), must(os.Executable()))
		cmd.Env = append(os.Environ(), childMode+"=append", childDir+"="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout := must(cmd.StdoutPipe())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			// The child goes on: what is read after the kill counts as well.
			if n == perRound+round*7 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
			t.Fatalf("round %d: the child ended by itself: %v %s", round, err, stderr.String())
		}
		verifyAcknowledged(t, dir, acknowledged)
	}
}

func verifyAcknowledged(t *testing.T, dir string, acknowledged map[string]bool) {
	t.Helper()
	db := must(Open(t.Context(), dir, Options{}))
	kept := map[string]bool{}
	newest := map[string]Outgoing{}
	for after := int64(0); ; {
		ops, err := db.Next(t.Context(), after, 1000, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if len(ops) == 0 {
			break
		}
		for _, op := range ops {
			if op.Seq != after+1 {
				t.Fatalf("operation %d follows %d", op.Seq, after)
			}
			after = op.Seq
			kept[op.OpID] = true
			newest[op.Key.ID.String()] = op
		}
	}
	for op := range acknowledged {
		if !kept[op] {
			t.Fatalf("%s was acknowledged and is missing", op)
		}
	}
	for id, op := range newest {
		if row, err := db.Lookup(t.Context(), idOf(id)); err != nil || row.Seq != op.Seq || row.Hash != op.Hash {
			t.Fatalf("the index has %+v of %s, the outbox %d, %v", row, id, op.Seq, err)
		}
	}
	if s := db.Summary(); s.Documents != int64(len(newest)) || s.MaxSeq != int64(len(kept)) {
		t.Fatalf("summary %+v, %d documents, %d operations", s, len(newest), len(kept))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
