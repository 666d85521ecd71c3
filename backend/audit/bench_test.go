package audit

import (
	"os"
	"path/filepath"
	"testing"
)

var benchEntry = Entry{Time: noon, Who: "ann", Via: "api_key 1f2e3d4c5b6a", From: "192.0.2.1", What: "commit", Repo: "docs", Path: "documents/a/2026-11/0/1/2/id", Ref: "0123456789abcdef0123456789abcdef01234567", Result: OK}

// BenchmarkAppend is an entry by one and by 64 goroutines, beside its floor: the
// same line appended to a file and synced.
func BenchmarkAppend(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		body, err := encode(benchEntry)
		must(b, err)
		line := appendLine(nil, 1, body)
		file, err := os.OpenFile(filepath.Join(b.TempDir(), "floor"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		must(b, err)
		for b.Loop() {
			_, err := file.Write(line)
			must(b, err)
			must(b, file.Sync())
		}
		must(b, file.Close())
	})
	b.Run("one", func(b *testing.B) {
		l := open(b, b.TempDir(), Options{})
		for b.Loop() {
			must(b, l.Append(benchEntry))
		}
	})
	b.Run("many", func(b *testing.B) {
		l := open(b, b.TempDir(), Options{})
		b.SetParallelism(32) // times the cores
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := l.Append(benchEntry); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
