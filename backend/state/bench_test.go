package state

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// The floor of a durable write on this disk: the same bytes appended to a plain
// file and synced. BenchmarkAppend is published as a multiple of it.
func BenchmarkAppendFsyncFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	}()
	payload := must(encodePayload(docOf("doc-000000", kibibyte)))
	for b.Loop() {
		if _, err := f.Write(payload); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// One caller, documents of 1 KiB, one durable operation each. Making and
// hashing the document is part of it.
func BenchmarkAppend(b *testing.B) {
	db := open(b, b.TempDir())
	n := 0
	for b.Loop() {
		id := fmt.Sprintf("doc-%06d", n)
		if _, err := db.Append(background, []Operation{put(id, id, kibibyte)}); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkAppend32Writers(b *testing.B) {
	db := open(b, b.TempDir())
	var n atomic.Int64
	b.SetParallelism(16) // times GOMAXPROCS of 2
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprintf("doc-%06d", n.Add(1))
			if _, err := db.Append(background, []Operation{put(id, id, kibibyte)}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkAppendBatch500(b *testing.B) {
	db := open(b, b.TempDir())
	n := 0
	for b.Loop() {
		ops := make([]Operation, 500)
		for i := range ops {
			id := fmt.Sprintf("doc-%06d", n)
			ops[i] = put(id, id, kibibyte)
			n++
		}
		if _, err := db.Append(background, ops); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "us/doc")
}

// filled returns a state file with n documents.
func filled(tb testing.TB, dir string, n int) *DB {
	tb.Helper()
	db := open(tb, dir)
	ops := numbered(n, kibibyte)
	for len(ops) > 0 {
		k := min(len(ops), 1000)
		mustAppend(tb, db, ops[:k]...)
		ops = ops[k:]
	}
	return db
}

func BenchmarkRead(b *testing.B) {
	db := filled(b, b.TempDir(), 10_000)
	b.Run("Lookup", func(b *testing.B) {
		n := 0
		for b.Loop() {
			if _, err := db.Lookup(background, idOf(fmt.Sprintf("doc-%06d", n*7919%10_000))); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
	for _, q := range []PageQuery{{Limit: 50}, {Offset: 5000, Limit: 50}, {Offset: 9950, Limit: 50}, {Contains: "99", Limit: 50}, {Type: "text", Offset: 9000, Limit: 50}} {
		b.Run(fmt.Sprintf("Page/%q/%s/%d", q.Contains, q.Type, q.Offset), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := db.Page(background, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Next100", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Next(background, 500, 100, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkIndexText(b *testing.B) {
	dir := b.TempDir()
	d, err := OpenDerived(background, dir, "s")
	if err != nil {
		b.Fatal(err)
	}
	words := strings.Fields("lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua")
	n := 0
	for b.Loop() {
		ops := make([]TextOp, 500)
		for i := range ops {
			var text strings.Builder
			for k := 0; text.Len() < 1000; k++ {
				fmt.Fprintf(&text, "%s%d ", words[(n*31+k*k)%len(words)], (n*17+k*13)%2000)
			}
			ops[i] = TextOp{ID: idOf(fmt.Sprintf("doc-%06d", n)), Text: text.String(), Meta: "https://example.org text"}
			n++
		}
		if err := d.Index(background, ops, int64(n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "docs/s")
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, derivedFile))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(n), "B/doc")
}

func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	db := filled(b, dir, n)
	crashed := b.TempDir()
	for _, name := range []string{stateFile, stateFile + "-wal"} {
		copyFile(b, filepath.Join(dir, name), filepath.Join(crashed, name))
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	reopen := func(b *testing.B, dir string) {
		db, err := Open(background, dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if db.Summary().Documents != n {
			b.Fatalf("summary %+v", db.Summary())
		}
		b.StopTimer()
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.Run("closed", func(b *testing.B) {
		for b.Loop() {
			reopen(b, dir)
		}
	})
	b.Run("killed", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			again := b.TempDir()
			for _, name := range []string{stateFile, stateFile + "-wal"} {
				copyFile(b, filepath.Join(crashed, name), filepath.Join(again, name))
			}
			b.StartTimer()
			reopen(b, again)
		}
	})
}

// One store with commits passes operations and trims behind itself.
func BenchmarkAdvance(b *testing.B) {
	db := open(b, b.TempDir())
	mustAttach(b, db, "git")
	n := 0
	for b.Loop() {
		b.StopTimer()
		ops := numbered(1000, kibibyte)
		mustAppend(b, db, ops...)
		n += len(ops)
		b.StartTimer()
		mustAdvance(b, db, Advance{Store: "git", Seq: int64(n), Commit: "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"})
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "us/op")
}
