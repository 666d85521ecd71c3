package gitrepo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"golang.org/x/sync/errgroup"
)

// wordsOf makes a text that no delta helps, but compression does.
func wordsOf(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%x ", r.Intn(4096))
	}
	return b.String()
}

// docFiles is a document as caiatop lays them out.
func docFiles(t testing.TB, i, version int) []Change {
	t.Helper()
	r := rand.New(rand.NewSource(int64(1000*i + version)))
	changes := benchDoc(i, version)
	meta := fmt.Sprintf("{\n  \"id\": \"doc-%d\",\n  \"created\": \"2026-11-22T10:00:%02dZ\",\n  \"updated\": \"2026-11-22T11:00:%02dZ\",\n"+
		"  \"metadata\": {\"title\": %q, \"source\": \"import\"}\n}\n", i, i%60, version%60, wordsOf(r, 60))
	changes[0].Data, changes[1].Data = []byte(meta), []byte(wordsOf(r, 900))
	return changes
}

func settle(t testing.TB, r *Repo) Maintenance {
	t.Helper()
	if err := r.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r.Maintenance()
}

func packBytes(t testing.TB, dir string) (n int64) {
	t.Helper()
	for _, file := range matches(t, dir, "objects/pack/*.pack") {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// repacked is what the history takes when git packs all of it anew.
func repacked(t testing.TB, dir string) int64 {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "repacked.git")
	git(t, dir, "clone", "-q", "--bare", "--no-local", dir, clone)
	git(t, clone, "repack", "-adfq")
	return packBytes(t, clone)
}

// What settled takes at most 1.3 times the bytes of what git makes of it.
func TestSettledPacksAreAsSmallAsGits(t *testing.T) {
	needGit(t)
	histories := map[string]func(r *Repo){
		"one document a commit": func(r *Repo) {
			for i := range 90 {
				commit(t, r, docFiles(t, i%40, i/40)...)
			}
		},
		"batches": func(r *Repo) {
			for batch := range 3 {
				var changes []Change
				for i := range 100 {
					changes = append(changes, docFiles(t, 100*batch+i, 0)...)
				}
				commit(t, r, changes...)
			}
		},
	}
	for name, history := range histories {
		t.Run(name, func(t *testing.T) {
			r, dir := disked(t)
			history(r)
			m := settle(t, r)
			after := packBytes(t, dir)
			theirs := repacked(t, dir)
			t.Logf("settled %d bytes in %d packs, git %d: %.2f", after, m.Packs, theirs, float64(after)/float64(theirs))
			if 10*after > 13*theirs {
				t.Errorf("%d bytes, git repack makes %d", after, theirs)
			}
			if m.Err != nil || m.Bytes <= after || m.Packs > 10 {
				t.Errorf("%+v", m)
			}
			for _, index := range matches(t, dir, "objects/pack/*.idx") {
				if n := chainLength(t, dir, index); n > maxDeltaDepth {
					t.Errorf("a chain of %d deltas", n)
				}
			}
			fsck(t, dir)
		})
	}
}

// A large batch is written as it is; what settled is no larger than what git
// imports the same into. A repository that is opened later goes on with it.
func TestStoredBatchesAreCompressedLater(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	var changes []Change
	var stream bytes.Buffer
	fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter A <a@example.org> 1 +0000\ndata 1\nx\n")
	for i := range 250 {
		for _, c := range docFiles(t, i, 0) {
			changes = append(changes, c)
			fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", c.Path, len(c.Data), c.Data)
		}
	}
	tip := commit(t, r, changes...)
	stored := packBytes(t, dir)
	closeRepo(t, r)
	r = opened(t, dir)
	if m := settle(t, r); m.Runs != 1 || m.Packs != 1 {
		t.Errorf("%+v", m)
	}
	imported := filepath.Join(t.TempDir(), "imported.git")
	git(t, dir, "init", "-q", "--bare", imported)
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = imported, &stream
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	settled, theirs := packBytes(t, dir), packBytes(t, imported)
	if settled >= stored || settled > theirs {
		t.Errorf("stored %d bytes, settled %d, fast-import %d", stored, settled, theirs)
	}
	if m := settle(t, r); m.Runs != 1 {
		t.Errorf("settled twice: %+v", m)
	}
	for _, c := range changes {
		wantFile(t, r, tip, c.Path.String(), string(c.Data))
	}
	fsck(t, dir)
}

// While batches come in, what is stored is joined as it is, and nothing waits
// to be compressed before it is quiet.
func TestABulkLoadIsJoinedAsItIs(t *testing.T) {
	r, dir := disked(t)
	p := r.objects.(*packStore)
	p.keeper.turn <- struct{}{} // nobody else maintains
	large := strings.Repeat("x", 256<<10)
	var tip Hash
	for n := range softPacks/2 + 1 {
		tip = commit(t, r, put(t, fmt.Sprint("large ", n), fmt.Sprint(n, large)))
	}
	for n := range softPacks / 2 {
		tip = commit(t, r, put(t, "small", fmt.Sprint(n)))
	}
	before := packBytes(t, dir)
	if did, err := p.maintain(t.Context(), written); !did || err != nil {
		t.Fatal(did, err)
	}
	stored := 0
	for _, p := range *p.packs.Load() {
		if p.unfinished {
			stored++
		}
	}
	if now := packBytes(t, dir); stored != 1 || now < before*9/10 {
		t.Errorf("%d unfinished packs, %d bytes of %d", stored, now, before)
	}
	<-p.keeper.turn
	if m := settle(t, r); m.Packs != 1 || m.Bytes > before/10 {
		t.Errorf("%+v", m)
	}
	wantFile(t, r, tip, "large 3", "3"+large)
	fsck(t, dir)
}

// While nobody consolidates, a writer stops before the 65th pack. Packs that
// git marked do not count.
func TestAWriterWaitsRatherThanMakeTooManyPacks(t *testing.T) {
	r, dir := disked(t)
	p := r.objects.(*packStore)
	commit(t, r, put(t, "kept", "by git"))
	write(t, strings.TrimSuffix(matches(t, dir, "objects/pack/*.pack")[0], ".pack")+".keep", "")
	p.keeper.turn <- struct{}{} // the maintenance is slow
	var err error
	n := 0
	for ; err == nil && n <= maxPacks; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if n < busyPacks {
			ctx = t.Context()
		}
		_, err = r.Commit(ctx, CommitInput{Changes: []Change{put(t, "doc", fmt.Sprint(n))}, Author: ann, At: when})
		cancel()
	}
	if !errors.Is(err, context.DeadlineExceeded) || n != busyPacks+1 {
		t.Fatalf("the commit %d: %v", n, err)
	}
	if packs := matches(t, dir, "objects/pack/*.pack"); len(packs) != busyPacks+1 {
		t.Fatalf("%d packs", len(packs))
	}
	<-p.keeper.turn
	tip := commit(t, r, put(t, "doc", "last"))
	if packs := matches(t, dir, "objects/pack/*.pack"); len(packs) > maxPacks {
		t.Fatalf("%d packs", len(packs))
	}
	wantFile(t, r, tip, "doc", "last")
	settle(t, r)
	fsck(t, dir)
}

// Real git collects garbage while we commit, consolidate and read.
func TestMaintenanceBesideGitsOwn(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	all := []Hash{commit(t, r, put(t, "doc", "0"))}
	done := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		for i := 0; ; i++ {
			select {
			case <-done:
				return nil
			default:
			}
			// Git gives up when packs go while it reads them: that is no loss.
			_, _ = tryGit(dir, [][]string{{"gc", "-q"}, {"repack", "-dq"}, {"repack", "-Adq"}}[i%3]...)
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
	for i := 1; i < 100; i++ {
		all = append(all, commit(t, r, put(t, "doc", fmt.Sprint(i)), put(t, fmt.Sprintf("d/%d", i%7), wordsOf(rand.New(rand.NewSource(int64(i))), 300))))
		at := i * 7 % len(all)
		wantFile(t, r, all[at], "doc", fmt.Sprint(at))
	}
	close(done)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	look(t, r, nil)
	closeRepo(t, r)
	r = opened(t, dir)
	for i, h := range all {
		wantFile(t, r, h, "doc", fmt.Sprint(i))
	}
	fsck(t, dir)
}

// Another process commits and consolidates in the same folder.
func TestMaintenanceBesideAnotherProcess(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "doc", "0"))
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashVariable+"="+dir)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var theirs []string
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			theirs = append(theirs, lines.Text())
		}
	}()
	var ours []Hash
	for i := 1; len(ours) < 2*softPacks; i++ {
		h, err := r.Commit(t.Context(), CommitInput{Changes: []Change{put(t, "doc", fmt.Sprint(i))}, Author: ann, At: when})
		switch {
		case errors.Is(err, ErrMoved), errors.Is(err, ErrBusy):
			continue
		case err != nil:
			t.Fatal(err)
		}
		ours = append(ours, h)
		if i%25 == 0 {
			settle(t, r)
		}
	}
	if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-read
	_ = child.Wait() // it was killed, or found the branch moved too often
	look(t, r, nil)
	settle(t, r)
	history := git(t, dir, "rev-list", "main")
	for _, h := range ours {
		if !strings.Contains(history, h.String()) {
			t.Fatalf("our commit %s is lost", h)
		}
	}
	for _, h := range theirs {
		if !strings.Contains(history, h) {
			t.Fatalf("their commit %s is lost", h)
		}
	}
	fsck(t, dir)
}

// While another process has the lock, nothing is done twice, and Settle waits.
func TestTheMaintenanceLockIsRespected(t *testing.T) {
	r, dir := disked(t)
	commit(t, r, put(t, "doc", "0"))
	commit(t, r, put(t, "doc", "1"))
	lock, err := durable.AcquireLock(filepath.Join(dir, "objects", lockName))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.Settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if m := r.Maintenance(); m.Packs != 2 || m.Err != nil {
		t.Fatalf("%+v", m)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if m := settle(t, r); m.Packs != 1 {
		t.Fatalf("%+v", m)
	}
}

func TestSettleInMemoryAndAfterClose(t *testing.T) {
	if err := NewMemory(Options{}).Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, _ := disked(t)
	closeRepo(t, r)
	if err := r.Settle(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
}
