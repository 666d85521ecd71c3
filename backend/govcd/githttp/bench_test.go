package githttp

import (
	"context"
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// BenchmarkClone clones 10,000 documents of 1 KiB, in one commit and the versions
// of a thousand of them in a hundred more, from here and from git's own servers
// beside each other: over a pipe (file://), and its CGI program.
//
//	go test -run '^$' -bench '^BenchmarkClone$' -benchtime 3x ./backend/govcd/githttp
func BenchmarkClone(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "r.git")
	disk, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := disk.Close(); err != nil {
			b.Error(err)
		}
	})
	memory := gitrepo.NewMemory(gitrepo.Options{})
	for _, r := range []*gitrepo.Repo{disk, memory} {
		commitOn(b, r, "", when, bigDocs(b, 0, 10_000, 0)...)
		for i := range 100 {
			commitOn(b, r, "", when, bigDocs(b, i*97, i*97+10, i+1)...)
		}
	}
	if err := disk.Settle(context.Background()); err != nil {
		b.Fatal(err)
	}
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		b.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(string(core[:len(core)-1]), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1"},
		// Without it the program answers in the oldest version.
		InheritEnv: []string{"PATH"},
	}
	peer := httptest.NewServer(backend)
	b.Cleanup(peer.Close)
	for _, from := range []struct{ name, url string }{
		{"memory", serve(b, memory, Options{})},
		{"disk", serve(b, disk, Options{})},
		{"file", "file://" + dir},
		{"http-backend", peer.URL + "/r.git"},
	} {
		b.Run(from.name, func(b *testing.B) {
			for range b.N {
				git(b, b.TempDir(), "clone", "-q", "--bare", from.url, "c")
			}
		})
	}
}

func bigDocs(t testing.TB, from, to, version int) []gitrepo.Change {
	t.Helper()
	var out []gitrepo.Change
	for i := from; i < to; i++ {
		text := fmt.Sprintf("{\"id\":%d,\"version\":%d,\"text\":\"", i, version)
		for n := range 60 {
			text += fmt.Sprintf("%x ", uint32(i*60+n)*2654435761)
		}
		out = append(out, put(t, fmt.Sprintf("docs/%02x/%02x/%05d/content.json", i%16, i/16%16, i), text+"\"}\n"))
	}
	return out
}
