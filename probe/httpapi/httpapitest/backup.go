package httpapitest

import (
	"context"
	"strconv"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// SetBackup sets what Backup and VerifyBackup return.
func (e *Engine) SetBackup(run httpapi.BackupRun, report httpapi.BackupReport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run, e.report = run, report
}

// Backup implements httpapi.Backups.
func (e *Engine) Backup(ctx context.Context, anew bool) (httpapi.BackupRun, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.run, e.enter(ctx, "backup "+strconv.FormatBool(anew))
}

// VerifyBackup implements httpapi.Backups.
func (e *Engine) VerifyBackup(ctx context.Context) (httpapi.BackupReport, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.report, e.enter(ctx, "verify backup")
}
