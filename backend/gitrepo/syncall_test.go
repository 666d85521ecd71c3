package gitrepo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A store that git clone made says nothing of syncing, and another program would
// not sync what it writes there.
func TestAClonedStoreSyncsWhatGitWrites(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "1"))
	for name, c := range map[string]struct{ config, want string }{
		"nothing said":   {"", "all"},
		"another value":  {"[CORE]\n\tfSync = none\n", "none"},
		"another key":    {"[core]\n\tfsyncMethod = batch", "all"},
		"something else": {"[include]\n\tpath = /nowhere\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			clone := filepath.Join(t.TempDir(), "clone.git")
			git(t, dir, "clone", "-q", "--bare", dir, clone)
			path := filepath.Join(clone, "config")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before := string(data) + c.config
			write(t, path, before)
			opened(t, clone) // of somebody else
			if data, err = os.ReadFile(path); err != nil || string(data) != before {
				t.Fatalf("%s, %v", data, err)
			}
			for range 2 {
				r, err := OpenDisk(clone, Options{SyncAll: true})
				if err != nil {
					t.Fatal(err)
				}
				wantRef(t, r, "refs/heads/main", tip)
				closeRepo(t, r)
			}
			got, _ := tryGit(clone, "config", "--local", "core.fsync")
			if strings.TrimSpace(got) != c.want {
				t.Errorf("core.fsync is %q", got)
			}
			if data, err = os.ReadFile(path); err != nil || !strings.HasPrefix(string(data), before) || strings.Count(string(data), "fsync = all") > 1 {
				t.Errorf("%s, %v", data, err)
			}
			if left := matches(t, clone, "config.lock"); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
