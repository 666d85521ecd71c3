package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// backupTarget is where the configuration sends the backup, nil if nowhere. The
// error is a *config.Error.
func (w wiring) backupTarget(cfg config.Config) (*backup.Target, error) {
	if !cfg.Backup.Remote.IsSet() {
		return nil, nil
	}
	home, _ := w.env("HOME")
	agent, _ := w.env("SSH_AUTH_SOCK")
	target, err := backup.Parse(backup.Settings{
		Remote: cfg.Backup.Remote, Token: cfg.Backup.Token, SSHKey: cfg.Backup.SSHKey, KnownHosts: cfg.Backup.KnownHosts,
		Agent: agent, Home: home, Store: filepath.Join(cfg.StatePath(), engine.GitDir), Temp: cfg.StatePath(),
	})
	if err == nil {
		return target, nil
	}
	const key = "backup.remote"
	e := &config.Error{
		Key: key, Problem: strings.TrimPrefix(err.Error(), backup.ErrInvalid.Error()+": "), Cause: err,
		Fix: "name a folder like /mnt/backup/documents.git, or a URL like ssh://git@host/documents.git",
	}
	for _, o := range cfg.Origins() {
		if o.Key == key {
			e.Origin = o.From
		}
	}
	return nil, e
}

// Backup implements httpapi.Backups.
func (l Local) Backup(ctx context.Context, anew bool) (httpapi.BackupRun, error) {
	done, err := l.engine.Backup(ctx, anew)
	run := httpapi.BackupRun{
		Target: l.engine.Stats().Backup.Target, Commits: done.Commits, Objects: done.Objects, Bytes: done.Bytes,
	}
	if !done.Tip.IsZero() {
		run.Commit = done.Tip.String()
	}
	return run, backupError(err)
}

// VerifyBackup implements httpapi.Backups.
func (l Local) VerifyBackup(ctx context.Context) (httpapi.BackupReport, error) {
	found, err := l.engine.VerifyBackup(ctx)
	if err != nil {
		return httpapi.BackupReport{}, backupError(err)
	}
	report := httpapi.BackupReport{
		OK: found.Good(), Target: l.engine.Stats().Backup.Target, Commit: found.Tip.String(), Commits: found.Commits,
		Objects: found.Objects, Bytes: found.Bytes, Strange: found.Strange,
		Damaged: found.Damaged, Damages: append([]string{}, found.Damages...), Seconds: found.Took.Round(time.Millisecond).Seconds(),
	}
	if found.Behind >= 0 {
		report.Behind = &found.Behind
	}
	return report, nil
}

// backupError gives an error of the backup its place in the API, and the advice
// that belongs to it.
func backupError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	for _, known := range []struct{ is, as error }{
		{engine.ErrNoBackup, httpapi.ErrInvalid},
		{durable.ErrDiskFull, httpapi.ErrDiskFull},
		{durable.ErrReadOnly, httpapi.ErrReadOnly},
		{backup.ErrInvalid, httpapi.ErrInvalid},
		{gitrepo.ErrInvalid, httpapi.ErrInvalid},
		{backup.ErrRefused, httpapi.ErrUnauthorized},
		{backup.ErrHostKey, httpapi.ErrUnauthorized},
		{gitrepo.ErrNotForward, httpapi.ErrIdentity},
		{backup.ErrEmptied, httpapi.ErrIdentity},
		{backup.ErrMissing, httpapi.ErrNotFound},
		{gitrepo.ErrNotFound, httpapi.ErrNotFound},
		{gitrepo.ErrCorrupt, httpapi.ErrCorrupt},
		{backup.ErrUnavailable, httpapi.ErrUnavailable},
		{backup.ErrRejected, httpapi.ErrUnavailable},
	} {
		if !errors.Is(err, known.is) {
			continue
		}
		next := backup.Advice(err)
		switch known.is {
		case engine.ErrNoBackup:
			next = "set backup.remote or CAIATOP_BACKUP_REMOTE"
		case gitrepo.ErrNotFound:
			next = "write a document first"
		}
		return httpapi.NewError(coded{err, known.as}, next)
	}
	return apiError(err)
}

func toBackup(s backup.Status) httpapi.Backup {
	out := httpapi.Backup{
		Target: s.Target, State: string(s.State), LastCommit: s.LastCommit, Error: s.Err, Next: withoutKeys(s.Next), Manual: s.Manual,
	}
	if !s.LastSuccess.IsZero() {
		out.LastSuccess = &s.LastSuccess
	}
	if s.Lag >= 0 && s.State != backup.Off {
		out.Lag = &s.Lag
	}
	if !s.Oldest.IsZero() {
		out.Oldest = &s.Oldest
	}
	return out
}
