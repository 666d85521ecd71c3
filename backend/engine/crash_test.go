package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// crashRounds is how often the writer is killed. `make soak` raises it.
const crashRounds = 20

// crashAcks is how many acknowledgements a writer gives before it is killed.
const crashAcks = 60

// crashWriter is the process that is killed: it writes documents without end
// and prints the identity of each one that was acknowledged.
func crashWriter(dir string) error {
	s := setup(dir)
	s.Strict = false
	h, err := Start(context.Background(), s)
	if err != nil {
		return err
	}
	if kind := os.Getenv(crashDrill); kind != "" {
		if err := h.waitFor(context.Background(), StatePrimary); err != nil {
			return err
		}
		if _, err := h.StartDrill(context.Background(), Drill{Kind: DrillKind(kind)}); err != nil {
			return err
		}
	}
	prefix := newID()
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%06d", prefix, i)
		if _, err := h.Put(context.Background(), doc(id, "text of "+id)); err != nil {
			return err
		}
		if _, err := fmt.Println(id); err != nil {
			return err
		}
	}
}

// killedWriter runs a writer, kills it in mid-flight after so many
// acknowledgements and returns what it had acknowledged.
func killedWriter(t *testing.T, dir string, acks int, env ...string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), crashWriterDir+"="+dir), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var acked []string
	for len(acked) < acks {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the writer ended after %d acknowledgements: %v\n%s", len(acked), err, stderr.String())
		}
		acked = append(acked, strings.TrimSpace(line))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(rest), "\n") {
		if len(line) == len(acked[0]) {
			acked = append(acked, line)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the writer was killed, yet ended well")
	}
	return acked
}

func TestKilledWritersLoseNoAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	rounds := crashRounds
	if n := os.Getenv("CAIATOP_SOAK_ROUNDS"); n != "" {
		if _, err := fmt.Sscan(n, &rounds); err != nil {
			t.Fatalf("CAIATOP_SOAK_ROUNDS=%q: %v", n, err)
		}
	}
	dir := t.TempDir()
	run(t, setup(dir), nothing) // from here on the embedded service has a folder
	var acked []string
	for range rounds {
		acked = append(acked, killedWriter(t, dir, crashAcks)...)
	}
	began := time.Now()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	for _, ev := range newEvents(h, began) {
		if ev.Kind == "reseed" {
			t.Errorf("the embedded service kept everything, yet: %s", ev.Text)
		}
	}
	if n := int64(len(texts(t, outside(t, h, dir)))); n != h.Stats().Documents {
		t.Errorf("the embedded service holds %d documents of %d", n, h.Stats().Documents)
	}
	for _, id := range acked {
		found, err := h.Get(t.Context(), mustID(id))
		if err != nil || found.Document.Content.Text != "text of "+id {
			t.Fatalf("%s was acknowledged: %v", id, err)
		}
	}
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	runGit(t, filepath.Join(dir, ServiceDir, "repositories", "caia-documents.git"), "fsck", "--strict", "--full")
	commits := gitOutput(t, dir, "log", "--format=%B")
	in := gitOutput(t, dir, "ls-tree", "-r", "-d", "--name-only", "main")
	for _, id := range acked {
		if !strings.Contains(in, id) {
			t.Errorf("%s is not in git", id)
		}
		if n := strings.Count(commits, "Put document "+id+"\n"); n > 1 {
			t.Errorf("%s was committed %d times", id, n)
		}
	}
}
