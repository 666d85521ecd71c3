package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/probe"
)

// changeDB changes the state file of an engine that does not run.
func changeDB(t *testing.T, dir string, change func(db *state.DB) error) {
	t.Helper()
	db, err := state.Open(t.Context(), dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = change(db)
	if closed := db.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

// TestAChangeGoesOnFromEachPointAtWhichItMayBeKilled: what is recorded before
// the first effect of each step leads back into it.
func TestAChangeGoesOnFromEachPointAtWhichItMayBeKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to Phase
		step     string
		crash    func(db *state.DB) error
	}{
		// The copies are held in the outbox, and none was made.
		{PhaseDual, PhaseGovcOnly, stepAttaching, func(db *state.DB) error { return db.Attach(context.Background(), keptReplica, 2) }},
		// It was recorded that everything is attached, and nothing is any more.
		{PhaseDual, PhaseGovcOnly, stepDraining, nil},
		{PhaseGovcOnly, PhaseGitOnly, stepAttaching, func(db *state.DB) error { return db.Attach(context.Background(), gitReplica, 2) }},
		// Nothing is attached yet.
		{PhaseGitOnly, PhaseDual, stepAttaching, nil},
	} {
		t.Run(fmt.Sprintf("%s to %s, %s", c.from, c.to, c.step), func(t *testing.T) {
			dir := t.TempDir()
			s := forgetful(dir)
			s.Phase = c.from
			h := start(t, s)
			if c.from.stores().govc {
				awaitState(t, h, StatePrimary)
			}
			put(t, h, doc("a", "one"), doc("b", "two"))
			await(t, h, "everything in step", settled)
			stop(t, h)
			changeDB(t, dir, func(db *state.DB) error {
				p := db.Phase()
				p.Wanted, p.Step, p.Asked = string(c.to), c.step, askedByOperator
				if c.crash != nil {
					if err := c.crash(db); err != nil {
						return err
					}
				}
				return db.SetPhase(t.Context(), p, state.With{})
			})
			h = start(t, s)
			put(t, h, doc("b", "two changed"), doc("c", "three"))
			awaitPhase(t, h, c.to)
			for id, text := range map[string]string{"a": "one", "b": "two changed", "c": "three"} {
				wantText(t, h, id, text)
			}
			await(t, h, "everything in step", settled)
		})
	}
}

// TestCopiesThatAKillLeftBehindAreDropped: the change was through, and the tidying
// was not.
func TestCopiesThatAKillLeftBehindAreDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one")) })
	d := doc("stale", "copy")
	hash, err := d.Hash()
	if err != nil {
		t.Fatal(err)
	}
	changeDB(t, dir, func(db *state.DB) error {
		return db.Keep(t.Context(), state.Keep{Put: []state.KeptCopy{{ID: d.ID, Seq: 1, Hash: hash, Doc: &d}}})
	})
	h := start(t, setup(dir))
	await(t, h, "no copies", func(s *Stats) bool { return s.Kept.Documents == 0 })
}

// writesPerChange is how much it writes during one change of the phase.
const writesPerChange = 100

// changingWriter is the process that is killed: it changes the phase without end
// while it writes, and prints what was acknowledged.
func changingWriter(dir string) error {
	s := forgetful(dir)
	s.Strict, s.Phase = false, ""
	h, err := Start(context.Background(), s)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	may := make(chan struct{}, writesPerChange) // so that it does not write without end
	go func() {
		for i := 0; ; i++ {
			for len(may) < cap(may) {
				may <- struct{}{}
			}
			// A change that goes on from the life before may be in the way.
			if err := h.SetPhase(context.Background(), Phases()[(i+os.Getpid())%4]); err != nil && h.Stats().Change.Wanted == "" {
				failed <- err
				return
			}
		}
	}()
	prefix := newID()
	for i := 0; ; i++ {
		select {
		case err := <-failed:
			return err
		case <-may:
		}
		id := fmt.Sprintf("%s-%06d", prefix, i)
		if _, err := h.Put(context.Background(), doc(id, "text of "+id)); err != nil {
			return err
		}
		if _, err := fmt.Printf("%s %s\n", id, h.Stats().Phase); err != nil {
			return err
		}
	}
}

// TestKilledInTheMiddleOfAChangeLosesNothing: each life begins where the one
// before was killed, in whatever phase and step, with a service that forgot all.
func TestKilledInTheMiddleOfAChangeLosesNothing(t *testing.T) {
	t.Parallel()
	rounds, dir := 4, t.TempDir()
	if n := os.Getenv("CAIATOP_SOAK_ROUNDS"); n != "" {
		if _, err := fmt.Sscan(n, &rounds); err != nil {
			t.Fatalf("CAIATOP_SOAK_ROUNDS=%q: %v", n, err)
		}
	}
	var acked []string
	phases := map[string]int{}
	for round := range rounds {
		for _, line := range killedAfter(t, dir, changingWriterDir, 15+10*(round%4), 1+round%2) {
			id, phase, _ := strings.Cut(line, " ")
			acked = append(acked, id)
			phases[phase]++
		}
	}
	s := forgetful(dir)
	s.Phase = ""
	h := start(t, s)
	await(t, h, "a phase in effect", func(s *Stats) bool { return s.Change.Wanted == "" && s.State != StateProbing })
	setPhase(t, h, PhaseDual)
	await(t, h, "every store in step", healthyAndInStep)
	for _, id := range acked {
		found, err := h.Get(t.Context(), mustID(id))
		if err != nil || found.Document.Content.Text != "text of "+id {
			t.Fatalf("%s was acknowledged: %v (phases %v)", id, err, phases)
		}
		wantText(t, h, id, "text of "+id, probe.Govc)
	}
	if n := int64(len(texts(t, outside(t, h, dir)))); n != h.Stats().Documents {
		t.Errorf("the service holds %d documents of %d", n, h.Stats().Documents)
	}
	stop(t, h)
	in := gitOutput(t, dir, "ls-tree", "-r", "-d", "--name-only", "main")
	for _, id := range acked {
		if !strings.Contains(in, id) {
			t.Errorf("%s is not in git", id)
		}
	}
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if len(phases) < 2 {
		t.Errorf("only these phases were met: %v", phases)
	}
}

// killedAfter runs the test binary in a mode, kills it after as many lines in as
// many phases, and returns all that it wrote.
func killedAfter(t *testing.T, dir, mode string, n, phases int) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), mode+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var all []string
	met := map[string]bool{}
	for len(all) < n || len(met) < phases {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended after %d lines: %v\n%s", len(all), err, stderr.String())
		}
		all = append(all, strings.TrimSpace(line))
		_, phase, _ := strings.Cut(strings.TrimSpace(line), " ")
		met[phase] = true
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(rest), "\n") {
		if id, phase, whole := strings.Cut(line, " "); whole && Phase(phase).Valid() {
			all = append(all, id+" "+phase)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was killed, yet ended well")
	}
	return all
}
