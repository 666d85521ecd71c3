package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backups is what operators do with the copy of git at another place. Both
// take as long as they take.
type Backups interface {
	// Backup pushes what git holds now. With anew it also begins a backup where
	// an earlier one is gone.
	Backup(ctx context.Context, anew bool) (BackupRun, error)
	// VerifyBackup reads all that lies there.
	VerifyBackup(ctx context.Context) (BackupReport, error)
}

// Backup says how far the copy of git at another place is.
type Backup struct {
	Target string `json:"target,omitempty"` // without credentials
	State  string `json:"state"`            // "off", "idle", "pushing" or "failing"
	// LastSuccess is when a push ended well, LastCommit what the target holds.
	LastSuccess *time.Time `json:"last_success,omitempty"`
	LastCommit  string     `json:"last_commit,omitempty"`
	// Lag counts the commits that the target lacks, absent if nobody knows; Oldest
	// is when the oldest of them was made.
	Lag    *int64     `json:"lag,omitempty"`
	Oldest *time.Time `json:"oldest,omitempty"`
	Error  string     `json:"error,omitempty"` // of the last try, without credentials; unsanitised
	Next   string     `json:"next,omitempty"`  // what follows, or what to do
	Manual bool       `json:"manual"`          // pushed by command only
}

// BackupRun is what one push did.
type BackupRun struct {
	Target  string `json:"target"`
	Commit  string `json:"commit"` // of main at the target
	Commits int    `json:"commits"`
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"` // of objects, before compression
}

// BackupReport is what a verification found.
type BackupReport struct {
	// OK: everything is there, and is of this store's history.
	OK      bool   `json:"ok"`
	Target  string `json:"target"`
	Commit  string `json:"commit"` // of main at the target
	Commits int    `json:"commits"`
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"` // of objects, before compression
	// Behind counts the commits that the store has since; absent if the backup's
	// main is none of this store's history, and then Strange says what it is.
	Behind  *int   `json:"behind,omitempty"`
	Strange string `json:"strange,omitempty"`
	// Damaged counts the objects that are missing or not what their names say;
	// Damages names at most 20 of them.
	Damaged int      `json:"damaged"`
	Damages []string `json:"damages"`
	Seconds float64  `json:"seconds"`
}

// Backup implements Backups.
func (c *Client) Backup(ctx context.Context, anew bool) (BackupRun, error) {
	var query url.Values
	if anew {
		query = url.Values{"anew": {"true"}}
	}
	var run BackupRun
	err := c.exchange(ctx, http.MethodPost, "storage/backup", query, nil, nil, &run)
	return run, err
}

// VerifyBackup implements Backups.
func (c *Client) VerifyBackup(ctx context.Context) (BackupReport, error) {
	var report BackupReport
	err := c.exchange(ctx, http.MethodPost, "storage/backup/verify", nil, nil, nil, &report)
	return report, err
}

// backup accepts true and false only: a misspelt word must not decide.
func (s *Server) backup(c *call) (any, error) {
	values, err := c.query()
	if err != nil {
		return nil, err
	}
	anew := values.Get("anew")
	if anew != "" && anew != "true" && anew != "false" {
		return nil, fmt.Errorf("%w: anew=%q is neither true nor false", ErrInvalid, anew)
	}
	return s.engine.Backup(c.ctx, anew == "true")
}

func (s *Server) verifyBackup(c *call) (any, error) {
	report, err := s.engine.VerifyBackup(c.ctx)
	report.Damages = orEmpty(report.Damages)
	return report, err
}

var (
	backupFailingDesc = metric("backup_failing", "1 if the last push of the backup failed; absent without a backup.")
	backupSuccessDesc = metric("backup_last_success_timestamp_seconds", "When a push of the backup ended well last, as Unix time; absent if none did.")
	backupLagDesc     = metric("backup_lag_commits", "Commits that the backup lacks; absent if nobody knows.")
	backupOldestDesc  = metric("backup_oldest_timestamp_seconds", "When the oldest commit was made that the backup lacks, as Unix time; absent if it lacks none.")
)

// collect gives what monitoring reads of the backup.
func (b Backup) collect(gauge func(desc *prometheus.Desc, value float64, labels ...string)) {
	if b.Target == "" {
		return
	}
	gauge(backupFailingDesc, oneIf(b.State == "failing"))
	if b.LastSuccess != nil {
		gauge(backupSuccessDesc, unix(*b.LastSuccess))
	}
	if b.Lag != nil {
		gauge(backupLagDesc, float64(*b.Lag))
	}
	if b.Oldest != nil {
		gauge(backupOldestDesc, unix(*b.Oldest))
	}
}
