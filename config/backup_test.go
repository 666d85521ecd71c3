package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/config"
)

func TestBackup(t *testing.T) {
	if b := load(t, config.Input{Env: env(nil)}).Backup; b.Remote.IsSet() || b.Interval != 10*time.Second || b.SSHKey != "" {
		t.Errorf("defaults: %+v", b)
	}
	c := load(t, config.Input{Env: env(map[string]string{
		"CAIATOP_BACKUP_REMOTE": "https://bob:hunter2@host/x.git", "CAIATOP_BACKUP_TOKEN": "hunter3", "CAIATOP_BACKUP_INTERVAL": "0",
		"CAIATOP_BACKUP_SSH_KEY": "/keys/id", "CAIATOP_BACKUP_KNOWN_HOSTS": "~/hosts", "HOME": "/home/me",
	})})
	if b := c.Backup; b.Interval != 0 || b.SSHKey != "/keys/id" || b.KnownHosts != "/home/me/hosts" || b.Remote.Reveal() != "https://bob:hunter2@host/x.git" {
		t.Errorf("%+v", b)
	}
	if shown := fmt.Sprintf("%v %+v", c.Origins(), c.Backup); strings.Contains(shown, "hunter") || !strings.Contains(shown, "https://[redacted]@host/x.git") {
		t.Errorf("shown as %s", shown)
	}
	for remote, want := range map[string]string{
		"/backup/x.git": "/backup/x.git", "/b:c@d/x.git": "/b:c@d/x.git", "git@[::1]:x.git": "git@[::1]:x.git", "host:dir/a@b": "host:dir/a@b", "git@host:x.git": "git@host:x.git", "ssh://a@b@host/x": "ssh://[redacted]@host/x",
		"https://bob:hunter2%@host/x": "[redacted]", "https://host/x?token=hunter2": "[redacted]",
	} {
		c := load(t, config.Input{Env: env(map[string]string{"CAIATOP_BACKUP_REMOTE": remote})})
		for _, o := range c.Origins() {
			if o.Key == "backup.remote" && o.Value != want {
				t.Errorf("%q is shown as %q, want %q", remote, o.Value, want)
			}
		}
	}
	for interval, good := range map[string]bool{"1s": true, "24h": true, "0s": true, "999ms": false, "24h1s": false, "-1s": false, "5": false, "often": false} {
		_, err := config.Load(config.Input{Env: env(map[string]string{"CAIATOP_BACKUP_INTERVAL": interval})})
		if (err == nil) != good {
			t.Errorf("interval %q: %v", interval, err)
		}
	}
	for _, remote := range []string{
		"https://bob:hunter2@host/\x01", "git:hunter2@127.0.0.1:org/repo.git", "bob:hunter2@host/x.git", "https:/bob:hunter2@host/x", "bob@host:hunter2@other/x",
	} {
		if _, err := config.Load(config.Input{Env: env(map[string]string{"CAIATOP_BACKUP_REMOTE": remote})}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", remote, err)
		}
	}
}
