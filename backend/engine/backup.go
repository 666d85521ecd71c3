package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
)

// ErrNoBackup: no place for a backup is set.
var ErrNoBackup = errors.New("no backup is set up: backup.remote is empty")

// metaBackup keeps what the backup is known to hold.
const metaBackup = "backup.last"

// backupKind is the kind of the events about the backup.
const backupKind = "backup"

// BackupOptions say where git's repository is pushed to.
type BackupOptions struct {
	Target *backup.Target // nil for no backup
	Repo   *gitrepo.Repo  // required with Target
	// Interval lies between two pushes; 0 pushes only by Backup.
	Interval time.Duration
	// Detached pushes only by Backup, whatever the interval: one-shot commands
	// must end when their work is done.
	Detached bool
}

// newBackup makes the runner of the backup, nil without a target.
func (e *Engine) newBackup(ctx context.Context) (*backup.Runner, error) {
	o := e.o.Backup
	if o.Target == nil {
		return nil, nil
	}
	if o.Repo == nil {
		return nil, errors.New("engine: a backup needs the repository")
	}
	var last backup.Done
	if kept := e.o.State.Meta(metaBackup); kept != "" {
		if err := json.Unmarshal([]byte(kept), &last); err != nil {
			// It is a hint: the target says what it holds.
			e.event(Warning, backupKind, fmt.Sprintf("What is known of the last backup cannot be read: %v", err), "Nothing need be done: the next push finds out")
		}
	}
	r := backup.New(backup.Options{
		Repo: o.Repo, Target: o.Target, Interval: o.Interval, Last: last, Keep: e.keepBackup,
		Tip: func(ctx context.Context) (gitrepo.Hash, error) { return backupTip(ctx, o.Repo) },
		Failed: func(err error, next string) {
			why := strings.TrimPrefix(err.Error(), "back up to "+o.Target.String()+": ")
			// The target comes last: it gives way where there is no room for all.
			e.event(Warning, backupKind, "The backup fails: "+why+" ("+o.Target.String()+")", next)
		},
		Recovered: func() { e.event(Info, backupKind, "The backup is made again, to "+o.Target.String(), "") },
		Changed:   e.touch, Now: e.o.Now, Rand: e.o.Rand,
	})
	if o.Detached {
		r.Look(ctx)
	}
	return r, nil
}

// backupTip is the commit that a backup is brought to: the last one that the
// index knows everything of, and the branch where there is no such mark yet.
// What others pushed is not backed up before it is taken over: until then they
// may take it away again, and a backup that never forces could not follow.
func backupTip(ctx context.Context, repo *gitrepo.Repo) (gitrepo.Hash, error) {
	last, err := repo.Ref(gitstore.LastRef)
	if err == nil {
		if _, err = repo.ReadCommit(ctx, last); err == nil {
			return last, nil
		}
	}
	if !errors.Is(err, gitrepo.ErrNotFound) && !errors.Is(err, gitrepo.ErrCorrupt) {
		return gitrepo.Hash{}, err
	}
	return repo.Tip(gitrepo.Main)
}

// keepBackup remembers over a restart what lies at the target. Without it
// nothing is lost but the time of the last push.
func (e *Engine) keepBackup(done backup.Done) {
	ctx, cancel := context.WithTimeout(context.Background(), second)
	defer cancel()
	data, err := json.Marshal(done)
	if err == nil {
		err = e.o.State.SetMeta(ctx, metaBackup, string(data))
	}
	if err != nil {
		e.setReplicaError("backup", fmt.Errorf("backup not recorded: %w", err))
	}
}

// startBackup pushes whenever git moved on, until run ends. An end of the engine
// waits for no push: what the target lacks follows after the next start, and
// until then Stats and the target itself say how far it is.
func (e *Engine) startBackup(run context.Context) {
	if e.backup == nil || e.o.Backup.Detached {
		return
	}
	e.start(func() { e.backup.Run(run) })
	e.start(func() {
		for {
			seq := e.gitMark.now()
			e.backup.Wake()
			if _, moved := e.gitMark.wait(run, seq+1); !moved {
				return
			}
		}
	})
}

// backupStats is what Stats shows of the backup.
func (e *Engine) backupStats() backup.Status {
	if e.backup == nil {
		return backup.Status{State: backup.Off}
	}
	return e.backup.Status()
}

// Backup pushes now what git holds now, and returns how far the target came,
// also with an error. anew begins a backup also where an earlier one is gone.
// Errors are those of package backup, or ErrNoBackup.
func (e *Engine) Backup(ctx context.Context, anew bool) (gitrepo.Copied, error) {
	if e.backup == nil {
		return gitrepo.Copied{}, ErrNoBackup
	}
	ctx, cancel := e.untilEnd(ctx)
	defer cancel()
	return e.backup.Now(ctx, anew)
}

// VerifyBackup reads all of the backup. Errors are those of package backup, or
// ErrNoBackup.
func (e *Engine) VerifyBackup(ctx context.Context) (backup.Report, error) {
	if e.backup == nil {
		return backup.Report{}, ErrNoBackup
	}
	ctx, cancel := e.untilEnd(ctx)
	defer cancel()
	return e.backup.Verify(ctx)
}

// untilEnd ends a context with the engine.
func (e *Engine) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	left := make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-e.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-left }
}
