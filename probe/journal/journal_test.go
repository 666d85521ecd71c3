package journal

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// TestRing compares a small journal with a plain count of what was added.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const keep = 20
		j := New()
		j.keep = keep
		total := 0
		for range rapid.IntRange(1, 8).Draw(t, "bursts") {
			for range rapid.SampledFrom([]int{0, 1, 7, keep - 1, keep, keep + 1, 2*keep + 3}).Draw(t, "entries") {
				total++
				if e := j.Add(Entry{Text: fmt.Sprint(total)}); e.Seq != uint64(total) {
					t.Fatalf("entry %d has the number %d", total, e.Seq)
				}
			}
			holds(t, j, total, rapid.IntRange(0, total+5).Draw(t, "since"), keep)
		}
	})
}

// TestTheRingOfTheProduct is the same at the limit that counts.
func TestTheRingOfTheProduct(t *testing.T) {
	j := New()
	for i := range 3*Keep + 1 {
		j.Add(Entry{Text: fmt.Sprint(i + 1)})
		switch i + 1 {
		case Keep - 1, Keep, Keep + 1, 2*Keep - 1, 2 * Keep, 3*Keep + 1:
			holds(t, j, i+1, 0, Keep)
		}
	}
}

// holds checks what a journal returns since a number, of total entries.
func holds(t interface{ Fatalf(string, ...any) }, j *Journal, total, since, keep int) {
	got := j.Since(uint64(since))
	want := min(max(total-since, 0), keep)
	if len(got) != want || j.Newest() != uint64(total) || len(j.entries) >= 2*keep {
		t.Fatalf("since %d of %d: %d entries, want %d; newest %d; held %d", since, total, len(got), want, j.Newest(), len(j.entries))
	}
	for i, e := range got {
		if number := total - want + i + 1; e.Seq != uint64(number) || e.Text != fmt.Sprint(number) {
			t.Fatalf("entry %d of %d since %d is number %d, %q", i, want, since, e.Seq, e.Text)
		}
	}
}

func TestWhatIsReturnedIsTheCallers(t *testing.T) {
	j := New()
	j.Add(Entry{Text: "one"})
	j.Since(0)[0].Text = "changed"
	if got := j.Since(0)[0].Text; got != "one" {
		t.Errorf("a caller changed the journal: %q", got)
	}
}

func TestLongEntriesAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pad := rapid.IntRange(-4, 4).Draw(t, "pad")
		char := rapid.SampledFrom([]string{"x", "é", "漢", "𝄞", "\xff"}).Draw(t, "char")
		field := func(limit int) string {
			n := max(limit+pad, 0)
			return strings.Repeat("a", n%len(char)) + strings.Repeat(char, n/len(char)+n%2)
		}
		e := New().Add(Entry{Kind: field(MaxKind), Text: field(MaxText), Next: field(MaxNext)})
		for limit, got := range map[int]string{MaxKind: e.Kind, MaxText: e.Text, MaxNext: e.Next} {
			whole := field(limit)
			switch {
			case len(whole) <= limit && got != whole:
				t.Errorf("%d of %d bytes were changed", len(whole), limit)
			case len(whole) > limit && (len(got) > limit || !strings.HasSuffix(got, "…") || !strings.HasPrefix(whole, strings.TrimSuffix(got, "…"))):
				t.Errorf("%d of %d bytes became %d: %q", len(whole), limit, len(got), got[max(len(got)-8, 0):])
			case utf8.ValidString(whole) && !utf8.ValidString(got):
				t.Errorf("a character was torn: %q", got[max(len(got)-8, 0):])
			}
		}
	})
}

func TestAddedWakesEveryReader(t *testing.T) {
	j := New()
	var readers sync.WaitGroup
	const entries = 500
	for range 4 {
		readers.Go(func() {
			last := uint64(0)
			for last < entries {
				added := j.Added()
				for _, e := range j.Since(last) {
					if e.Seq != last+1 {
						t.Errorf("after %d came %d", last, e.Seq)
					}
					last = e.Seq
				}
				if last < entries {
					<-added
				}
			}
		})
	}
	var writers sync.WaitGroup
	for range 5 {
		writers.Go(func() {
			for range entries / 5 {
				j.Add(Entry{At: noon})
			}
		})
	}
	writers.Wait()
	readers.Wait()
}

func TestLevels(t *testing.T) {
	order := []Level{"", Info, Warning, Error}
	rank := []int{0, 0, 1, 2}
	for i, a := range order {
		for k, b := range order {
			if got := a.AtLeast(b); got != (rank[i] >= rank[k]) {
				t.Errorf("%q at least %q: %v", a, b, got)
			}
		}
	}
	if !Level("nonsense").AtLeast(Info) || Level("nonsense").AtLeast(Warning) {
		t.Error("an unknown level is not taken for info")
	}
}
