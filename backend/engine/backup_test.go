package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/config"
)

// backedUp is a setup whose git is pushed to dir.
func backedUp(t *testing.T, state, dir string) Setup {
	t.Helper()
	s := setup(state)
	s.Phase, s.BackupInterval = PhaseGitOnly, time.Second
	target, err := backup.Parse(backup.Settings{Remote: config.NewSecret(dir), Store: filepath.Join(state, GitDir), Temp: state})
	if err != nil {
		t.Fatal(err)
	}
	s.Backup = target
	return s
}

func inBackup(s *Stats) bool {
	return s.Outbox.Pending == 0 && s.Backup.State == backup.Idle && s.Backup.Lag == 0 && !s.Backup.LastSuccess.IsZero()
}

func TestTheBackupFollowsTheStore(t *testing.T) {
	t.Parallel()
	state, dir := t.TempDir(), filepath.Join(t.TempDir(), "backup.git")
	h := start(t, backedUp(t, state, dir))
	put(t, h, doc("a", "one"))
	put(t, h, doc("b", "two"))
	first := await(t, h, "a backup of both", inBackup)
	ours := gitOutput(t, state, "rev-parse", "main")
	if theirs := gitOutput(t, state, "--git-dir="+dir, "rev-parse", "main"); theirs != ours || first.Backup.LastCommit != strings.TrimSpace(ours) {
		t.Errorf("main is at %s there, %s here, %+v", theirs, ours, first.Backup)
	}
	report, err := h.VerifyBackup(t.Context())
	if err != nil || !report.Good() || report.Behind != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	stop(t, h)
	// A one-shot engine knows what was done, and does nothing by itself.
	s := backedUp(t, state, dir)
	s.Detached = true
	h = start(t, s)
	put(t, h, doc("c", "three"))
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := h.Stats().Backup; !b.LastSuccess.Equal(first.Backup.LastSuccess) || b.LastCommit != first.Backup.LastCommit {
		t.Errorf("%+v, before the restart %+v", b, first.Backup)
	}
	done, err := h.Backup(t.Context(), false)
	if err != nil || done.Commits != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestAFailingBackupHoldsUpNothing and is told once, and again when it is made.
func TestAFailingBackupHoldsUpNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	away := filepath.Join(root, "away")
	h := start(t, backedUp(t, t.TempDir(), filepath.Join(away, "backup.git")))
	put(t, h, doc("a", "one"))
	s := await(t, h, "a failure", func(s *Stats) bool { return s.Backup.State == backup.Failing })
	if s.Backup.Err == "" || s.Backup.Next == "" || s.Backup.Lag != -1 {
		t.Errorf("%+v", s.Backup)
	}
	put(t, h, doc("b", "two"))
	await(t, h, "git in step", func(s *Stats) bool { return s.Outbox.Pending == 0 })
	if err := os.Mkdir(away, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Backup(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s = await(t, h, "a backup", inBackup)
	var told []string
	for _, ev := range s.Events {
		if ev.Kind == backupKind {
			told = append(told, ev.Text)
		}
	}
	if len(told) != 2 || !strings.Contains(told[1], "fails") {
		t.Errorf("told %q", told)
	}
}

func TestWithoutABackup(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	if s := h.Stats().Backup; s.State != backup.Off {
		t.Errorf("%+v", s)
	}
	if _, err := h.Backup(t.Context(), false); !errors.Is(err, ErrNoBackup) {
		t.Errorf("%v", err)
	}
	if _, err := h.VerifyBackup(t.Context()); !errors.Is(err, ErrNoBackup) {
		t.Errorf("%v", err)
	}
}

// TestAPushThatIsTakenBackLeavesTheBackupAlone: what others push and take away
// before it is looked at never gets into the backup, which could not go on from
// there; and a branch that they moved back or deleted is no failure of it.
func TestAPushThatIsTakenBackLeavesTheBackupAlone(t *testing.T) {
	t.Parallel()
	state, dir := t.TempDir(), filepath.Join(t.TempDir(), "backup.git")
	h := start(t, detached(state))
	put(t, h, doc("a", "one"))
	if err := h.Sync(t.Context()); err != nil { // a commit of its own
		t.Fatal(err)
	}
	put(t, h, doc("b", "two"))
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, h) // nobody looks at what is pushed now
	git := filepath.Join(state, GitDir)
	first, ours := runGit(t, git, "rev-parse", "main~1"), runGit(t, git, "rev-parse", "main")
	theirs := runGit(t, git, "commit-tree", "-p", ours, "-m", "theirs", "main^{tree}")
	repo, err := gitrepo.OpenDisk(git, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := repo.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := backup.New(backup.Options{
		Repo: repo, Target: backedUp(t, state, dir).Backup, Now: time.Now,
		Tip: func(ctx context.Context) (gitrepo.Hash, error) { return backupTip(ctx, repo) },
	})
	for _, at := range []string{ours, theirs, first, ""} {
		if at == "" {
			runGit(t, git, "update-ref", "-d", "refs/heads/main")
		} else {
			runGit(t, git, "update-ref", "refs/heads/main", at)
		}
		if _, err := r.Now(t.Context(), false); err != nil {
			t.Errorf("main at %q: %v", at, err)
		}
		if there := runGit(t, dir, "rev-parse", "main"); there != ours {
			t.Errorf("main at %q: the backup is at %s, not %s", at, there, ours)
		}
		if report, err := r.Verify(t.Context()); err != nil || !report.Good() || report.Behind != 0 {
			t.Errorf("main at %q: %+v, %v", at, report, err)
		}
	}
}
