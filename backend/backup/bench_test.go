package backup

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// BenchmarkBackup copies 10,000 documents of 2 KiB, 100 a commit, to a folder
// and to a git server over HTTP, beside git push of the same repository to the
// same places. One round is one whole backup:
//
//	go test -run - -bench Backup -benchtime 1x ./backend/backup
func BenchmarkBackup(b *testing.B) {
	const documents, batch = 10_000, 100
	src := filepath.Join(b.TempDir(), "src.git")
	repo, err := gitrepo.OpenDisk(src, gitrepo.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = repo.Close() }()
	fill(b, repo, documents, batch)
	tip := tipOf(b, repo)
	measure := func(name string, push func(b *testing.B, dir string)) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				dir := bare(b)
				git(b, dir, "config", "receive.fsckObjects", "false")
				b.StartTimer()
				started := time.Now()
				push(b, dir)
				took := time.Since(started)
				b.ReportMetric(documents/took.Seconds(), "docs/s")
				b.StopTimer()
				check(b, dir, tip)
				b.ReportMetric(float64(sizeOf(b, dir))/(1<<20), "MB")
			}
		})
	}
	ours := func(remote func(b *testing.B, dir string) string) func(*testing.B, string) {
		return func(b *testing.B, dir string) {
			target := parse(b, Settings{}, remote(b, dir))
			if _, err := target.Push(context.Background(), repo, tip, zero, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	theirs := func(remote func(b *testing.B, dir string) string) func(*testing.B, string) {
		return func(b *testing.B, dir string) {
			cmd := exec.Command("git", "-c", "core.fsync=all", "-c", "http.postBuffer=200m", "push", "-q", remote(b, dir), "main:main")
			cmd.Dir, cmd.Env = src, isolated()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
	}
	folder := func(_ *testing.B, dir string) string { return dir }
	overHTTP := func(b *testing.B, dir string) string {
		s := serveWeb(b, dir)
		s.open = true
		return s.with("")
	}
	measure("folder/caiatop", ours(folder))
	measure("folder/git", theirs(folder))
	measure("http/caiatop", ours(overHTTP))
	measure("http/git", theirs(overHTTP))
}

func fill(b *testing.B, repo *gitrepo.Repo, documents, batch int) {
	b.Helper()
	for first := 0; first < documents; first += batch {
		var changes []gitrepo.Change
		for i := first; i < first+batch; i++ {
			id := fmt.Sprintf("doc-%05d", i)
			x := fmt.Sprintf("%x", sha256.Sum256([]byte(id)))
			folder := fmt.Sprintf("documents/text/2026-11/%c/%c/%c/%s", x[0], x[1], x[2], id)
			for name, data := range map[string]string{"content.txt": text(i), "metadata.json": fmt.Sprintf(`{"id":"doc-%05d","source":{"type":"text"},"created_at":"2026-11-22T10:00:00Z","n":%d}`, i, i)} {
				p, err := document.ParsePath(folder + "/" + name)
				if err != nil {
					b.Fatal(err)
				}
				changes = append(changes, gitrepo.Change{Path: p, Data: []byte(data)})
			}
		}
		if _, err := repo.Commit(context.Background(), gitrepo.CommitInput{Changes: changes, Message: "import", Author: ann, At: when}); err != nil {
			b.Fatal(err)
		}
	}
}

// text is 2 KiB of words that compress as those of people do.
func text(seed int) string {
	words := [...]string{"the", "store", "keeps", "every", "document", "in", "git", "and", "serves", "it", "from", "memory", "while", "govc", "is", "away"}
	out := make([]byte, 0, 2048)
	for state := uint32(seed)*2654435761 + 1; len(out) < 2000; { //nolint:gosec // any number will do
		state = state*1664525 + 1013904223
		out = append(append(out, words[state>>28]...), ' ')
		if state>>20&7 == 0 {
			out = fmt.Appendf(out, "%d ", state>>8)
		}
	}
	return string(out)
}

func sizeOf(b *testing.B, dir string) (total int64) {
	b.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "objects"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	return total
}
