package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func openText(tb testing.TB, dir, stateID string) *Derived {
	tb.Helper()
	d, err := OpenDerived(tb.Context(), dir, stateID)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func mustIndex(tb testing.TB, d *Derived, cursor int64, ops ...TextOp) {
	tb.Helper()
	if err := d.Index(tb.Context(), ops, cursor); err != nil {
		tb.Fatal(err)
	}
}

// found returns the ids found, sorted.
func found(tb testing.TB, d *Derived, query string) []string {
	tb.Helper()
	hits, total, err := d.Search(tb.Context(), query, MaxHits)
	if err != nil || total != int64(len(hits)) {
		tb.Fatalf("search %q: %d of %d, %v", query, len(hits), total, err)
	}
	ids := []string{}
	for _, h := range hits {
		ids = append(ids, h.ID.String())
	}
	slices.Sort(ids)
	return ids
}

// searches are queries of TestSearch and the ids that they find.
var searches = map[string][]string{
	"quick":              {"b", "report-2024.txt"},
	"QUICK brown":        {"b", "report-2024.txt"},
	"fox":                {"b", "report-2024.txt"}, // the last term may be a beginning
	"fox quick":          {"report-2024.txt"},      // another one may not
	`"fox"`:              {"report-2024.txt"},
	`"quick brown"`:      {"report-2024.txt"},
	`"brown quick"`:      {},
	`"quick brown" fo`:   {"report-2024.txt"},
	`fo"quick brown"`:    {},
	`"quick bro`:         {"b", "report-2024.txt"}, // a quote without its fellow means nothing
	"report-2024.txt":    {"report-2024.txt"},
	"2024":               {"report-2024.txt"},
	"repor":              {"report-2024.txt"},
	"zoo":                {"report-2024.txt"},
	"cafe naive":         {"b"},
	"CAFÉ":               {"b"},
	"AND":                {"c"},
	"NOT OR":             {"c"},
	"NEAR(a b)":          {"c"},
	"quick OR needle":    {},
	"id:b":               {},
	"quick*":             {"b", "report-2024.txt"},
	"- * quick ...":      {"b", "report-2024.txt"},
	"*":                  {},
	"qui\x00ck":          {},
	"quick\x00":          {"b", "report-2024.txt"},
	"needle":             {"d"},
	"absent":             {},
	"quick\u00a0brown":   {"b", "report-2024.txt"},
	"\U0001F600":         {},
	"\U0001F600 quick":   {"b", "report-2024.txt"},
	"\xff":               {},
	"quick \U0001E900":   {},
	"needle needle need": {"d"},
}

func TestSearch(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	mustIndex(t, d, 4,
		TextOp{ID: idOf("report-2024.txt"), Text: "The quick brown fox", Meta: "pdf https://example.org/zoo"},
		TextOp{ID: idOf("b"), Text: "quick foxes are BROWN; café naïve"},
		TextOp{ID: idOf("c"), Text: "AND OR NOT NEAR(a b)"},
		TextOp{ID: idOf("d"), Text: strings.Repeat("filler ", 100) + "needle" + strings.Repeat(" filler", 100)},
	)
	for query, want := range searches {
		if got := found(t, d, query); !slices.Equal(got, want) {
			t.Errorf("%q found %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"", " ", "\t\n"} {
		if _, _, err := d.Search(t.Context(), query, 1); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%q: %v", query, err)
		}
	}
	hits, total, err := d.Search(t.Context(), "quick", 1)
	if err != nil || len(hits) != 1 || total != 2 {
		t.Fatalf("%d of %d, %v", len(hits), total, err)
	}
	hits, _, err = d.Search(t.Context(), "needle", 1)
	if err != nil || !strings.Contains(hits[0].Snippet, MarkStart+"needle"+MarkEnd) || len(hits[0].Snippet) > 300 {
		t.Fatalf("%+v, %v", hits, err)
	}
}

func TestBetterHitsComeFirst(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	mustIndex(t, d, 3,
		TextOp{ID: idOf("a"), Text: strings.Repeat("filler ", 200) + "harbour"},
		TextOp{ID: idOf("b"), Text: "harbour harbour"},
		TextOp{ID: idOf("harbour"), Text: "something else"},
		TextOp{ID: idOf("c"), Text: "nothing"})
	hits, _, err := d.Search(t.Context(), "harbour", 10)
	if err != nil || len(hits) != 3 || hits[0].ID != idOf("harbour") || hits[2].ID != idOf("a") || hits[0].Rank > hits[1].Rank {
		t.Fatalf("%+v, %v", hits, err)
	}
}

func TestHostileQueriesNeverFail(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	mustIndex(t, d, 1, TextOp{ID: idOf("a"), Text: "quick brown fox"})
	alphabet := []string{
		`"`, `""`, "*", "^", "-", "+", "(", ")", "{", "}", ":", ",", ".", "AND", "OR", "NOT", "NEAR(", "NEAR", "id", "text:", "quick",
		" ", "\t", "\x00", "\n", "\xff", "é", "e\u0301", "\u0301", "漢字", "\u202e", "\U0001F600", "\U0001E900", "'", "\\", ";", "--", "?", "?1", "%", "_", "\u0378", "\u1c80", "²", "Ⅷ", "\ue000",
	}
	check := func(fail func(string, ...any), query string) {
		if _, _, err := d.Search(t.Context(), query, 5); err != nil && (strings.TrimSpace(query) != "" || !errors.Is(err, document.ErrInvalid)) {
			fail("%q: %v", query, err)
		}
	}
	for _, a := range alphabet {
		for _, b := range alphabet {
			check(t.Errorf, a+b)
			check(t.Errorf, a+" "+b)
			check(t.Errorf, "quick "+a+b+" fox")
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		check(rt.Fatalf, strings.Join(rapid.SliceOf(rapid.SampledFrom(alphabet)).Draw(rt, "parts"), ""))
		check(rt.Fatalf, rapid.String().Draw(rt, "text"))
	})
	for _, long := range []string{strings.Repeat("é", maxQuery), strings.Repeat("a ", 3*maxTerms), strings.Repeat(`"`, maxQuery+1)} {
		check(t.Errorf, long)
	}
}

// The words of an earlier version must not find a document, however often it
// changed.
func TestIndexAgainstModel(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	words := []string{"alpha", "beta", "gamma", "delta"}
	texts := map[string]string{}
	var cursor int64
	rapid.Check(t, func(rt *rapid.T) {
		var ops []TextOp
		for range rapid.IntRange(1, 6).Draw(rt, "count") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "e"}).Draw(rt, "id")
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 4).Draw(rt, "words"), " ")
			op := TextOp{ID: idOf(id), Text: text, Delete: rapid.IntRange(0, 3).Draw(rt, "delete") == 0}
			if ops = append(ops, op); op.Delete {
				delete(texts, id)
			} else {
				texts[id] = text
			}
		}
		cursor++
		if err := d.Index(t.Context(), ops, cursor); err != nil || d.Cursor() != cursor {
			rt.Fatalf("cursor %d of %d, %v", d.Cursor(), cursor, err)
		}
		for _, word := range words {
			want := []string{}
			for id, text := range texts {
				if strings.Contains(text, word) {
					want = append(want, id)
				}
			}
			slices.Sort(want)
			if got := found(t, d, `"`+word+`"`); !slices.Equal(got, want) {
				rt.Fatalf("%s found %q, want %q of %q", word, got, want, texts)
			}
		}
	})
	// FTS5 compares its index with the text that it was made of.
	if _, err := d.conn.ExecContext(t.Context(), `INSERT INTO words(words, rank) VALUES ('integrity-check', 1)`); err != nil {
		t.Fatal(err)
	}
}

func TestIndexedTextIsPlainAndBounded(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	mustIndex(t, d, 1,
		TextOp{ID: idOf("marks"), Text: "forged " + MarkStart + "mark" + MarkEnd + " \x1b[31m\u009b red\x00nul \xff\xfe end"},
		TextOp{ID: idOf("long"), Text: strings.Repeat("x ", MaxText/2-3) + "inside outside", Meta: strings.Repeat("m ", MaxMetaText/2) + "beyond"})
	hits, _, err := d.Search(t.Context(), "forged", 1)
	if err != nil || len(hits) != 1 {
		t.Fatalf("%+v, %v", hits, err)
	}
	snippet := hits[0].Snippet
	if strings.Count(snippet, MarkStart) != 1 || strings.Count(snippet, MarkEnd) != 1 || !utf8.ValidString(snippet) || strings.ContainsAny(snippet, "\x00\x1b\u009b") {
		t.Fatalf("snippet %q", snippet)
	}
	for query, want := range map[string][]string{"nul": {"marks"}, "end": {"marks"}, "inside": {"long"}, "outside": {}, "beyond": {}} {
		if got := found(t, d, query); !slices.Equal(got, want) {
			t.Errorf("%q found %q", query, got)
		}
	}
}

func TestDerivedIsKeptOrRemade(t *testing.T) {
	spoil := func(tb testing.TB, file string, at int, with string) {
		data := must(os.ReadFile(file))
		copy(data[at:], with)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		between func(tb testing.TB, file string)
		stateID string
		fresh   bool
	}{
		"the same":         {func(testing.TB, string) {}, "s", false},
		"of another state": {func(testing.TB, string) {}, "other", true},
		"removed": {func(tb testing.TB, file string) {
			if err := os.Remove(file); err != nil {
				tb.Fatal(err)
			}
		}, "s", true},
		"no database":       {func(tb testing.TB, file string) { spoil(tb, file, 0, strings.Repeat("nonsense", 100)) }, "s", true},
		"of another schema": {func(tb testing.TB, file string) { spoil(tb, file, 60, "\x00\x00\x00\x63") }, "s", true},
		"of nobody":         {func(tb testing.TB, file string) { spoil(tb, file, 60, "\x00\x00\x00\x00") }, "s", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openText(t, dir, "s")
			if !d.Fresh() || d.Cursor() != 0 {
				t.Fatal("a new file is not fresh")
			}
			mustIndex(t, d, 7, TextOp{ID: idOf("a"), Text: "word"})
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			tc.between(t, d.file)
			d = openText(t, dir, tc.stateID)
			if d.Fresh() != tc.fresh {
				t.Fatalf("fresh: %v", d.Fresh())
			}
			n, cursor := 1, int64(7)
			if tc.fresh {
				n, cursor = 0, 0
			}
			if got := len(found(t, d, "word")); got != n || d.Cursor() != cursor {
				t.Fatalf("%d found, cursor %d", got, d.Cursor())
			}
			mustIndex(t, d, 8, TextOp{ID: idOf("b"), Text: "word"})
			info, err := os.Stat(d.file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%v, %v", info, err)
			}
		})
	}
}

// Damage that only a later call finds is mended by the next start.
func TestDerivedFoundCorruptIsRemade(t *testing.T) {
	dir := t.TempDir()
	d := openText(t, dir, "s")
	for i := range 50 {
		mustIndex(t, d, int64(i), TextOp{ID: idOf(fmt.Sprint("doc-", i)), Text: kibibyte})
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	data := must(os.ReadFile(d.file))
	const page = 4096
	for at := 12 * page; at < len(data); at += page {
		copy(data[at:], strings.Repeat("\xa5", page))
	}
	if err := os.WriteFile(d.file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	d = openText(t, dir, "s")
	_, _, err := d.Search(t.Context(), "quick", MaxHits)
	if d.Fresh() || !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Join(dir, derivedFile)) {
		t.Fatalf("fresh %v, %v", d.Fresh(), err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d = openText(t, dir, "s"); !d.Fresh() {
		t.Fatal("the corrupt file is still there")
	}
}

func TestIndexIsAllOrNothing(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	mustIndex(t, d, 1, TextOp{ID: idOf("a"), Text: "word"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Index(ctx, []TextOp{{ID: idOf("b"), Text: "word"}}, 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := d.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 20`); err != nil {
		t.Fatal(err)
	}
	ops := []TextOp{{ID: idOf("c"), Text: "word"}, {ID: idOf("d"), Text: strings.Repeat(kibibyte, 500)}}
	if err := d.Index(t.Context(), ops, 3); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("got %v", err)
	}
	if got := found(t, d, "word"); !slices.Equal(got, []string{"a"}) || d.Cursor() != 1 {
		t.Fatalf("%q, cursor %d", got, d.Cursor())
	}
	if _, err := d.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	mustIndex(t, d, 4, ops...)
	if got := found(t, d, "word"); !slices.Equal(got, []string{"a", "c"}) {
		t.Fatalf("%q", got)
	}
}

func TestSearchWhileIndexing(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	done := make(chan struct{})
	var searchers sync.WaitGroup
	for range 4 {
		searchers.Go(func() {
			for last := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				n := len(found(t, d, "word"))
				if n < last || n%10 != 0 {
					t.Errorf("found %d after %d: half a transaction", n, last)
					return
				}
				last = n
			}
		})
	}
	for i := range 20 {
		var ops []TextOp
		for k := range 10 {
			ops = append(ops, TextOp{ID: idOf(fmt.Sprintf("%d-%d", i, k)), Text: "word"})
		}
		mustIndex(t, d, int64(i), ops...)
	}
	close(done)
	searchers.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Index(t.Context(), nil, 99); !errors.Is(err, ErrClosed) {
		t.Errorf("index: %v", err)
	}
	if _, _, err := d.Search(t.Context(), "word", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("search: %v", err)
	}
}
