package journal

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
)

// secret is a value that decides itself what is logged of it.
type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("***") }

// broken panics when it is written.
type broken struct{}

func (broken) Error() string { panic("no words") }

func TestRecordsBecomeEntries(t *testing.T) {
	for name, tt := range map[string]struct {
		log  func(l *slog.Logger)
		want []Entry
	}{
		"debug is none": {func(l *slog.Logger) { l.Debug("x", "kind", "job") }, nil},
		"info is none":  {func(l *slog.Logger) { l.Info("started", "port", 80) }, nil},
		"info of a kind": {
			func(l *slog.Logger) { l.Info("started", "port", 80, "kind", "job") },
			[]Entry{{Level: Info, Kind: "job", Text: "started port=80"}},
		},
		"warning": {
			func(l *slog.Logger) { l.Warn("slow", "took", "2 s", "url", "http://x", "next", "Wait.") },
			[]Entry{{Level: Warning, Kind: "log", Text: `slow took="2 s" url=http://x`, Next: "Wait."}},
		},
		"error": {
			func(l *slog.Logger) { l.Error("broke", "err", errors.New("disk on fire"), "n", 3) },
			[]Entry{{Level: Error, Kind: "log", Text: `broke err="disk on fire" n=3`}},
		},
		"above error": {func(l *slog.Logger) { l.Log(context.Background(), 99, "x") }, []Entry{{Level: Error, Kind: "log", Text: "x"}}},
		"with attributes": {
			func(l *slog.Logger) { l.With("kind", "slow", "a", 1).Info("x", "b", 2) },
			[]Entry{{Level: Info, Kind: "slow", Text: "x a=1 b=2"}},
		},
		"with groups": {
			func(l *slog.Logger) {
				l.With("a", 1).WithGroup("g").With("b", 2).Warn("x", "kind", "k", slog.Group("h", "c", 3), slog.Group("", "d", 4))
			},
			[]Entry{{Level: Warning, Kind: "log", Text: "x a=1 g.b=2 g.kind=k g.h.c=3 g.d=4"}},
		},
		"a kind is one word": {
			func(l *slog.Logger) { l.Warn("x", "kind", " two\nwords ") },
			[]Entry{{Level: Warning, Kind: "two-words", Text: "x"}},
		},
		"values decide what is shown": {
			func(l *slog.Logger) { l.Warn("x", "token", secret("hunter2")) },
			[]Entry{{Level: Warning, Kind: "log", Text: "x token=***"}},
		},
		"odd values are quoted": {
			func(l *slog.Logger) { l.Warn("x", "a", "", "b", "k=v", "c", "\x1b[31m", "d", `"`) },
			[]Entry{{Level: Warning, Kind: "log", Text: `x a="" b="k=v" c="\x1b[31m" d="\""`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := New()
			var next bytes.Buffer
			tt.log(slog.New(j.Handler(slog.NewTextHandler(&next, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			got := j.Since(0)
			if len(got) != len(tt.want) {
				t.Fatalf("entries %v, want %v", got, tt.want)
			}
			for i, e := range got {
				if e.At.IsZero() || !e.logged {
					t.Errorf("the entry has the time %v and is marked %v", e.At, e.logged)
				}
				want := tt.want[i]
				want.Seq, want.At, want.logged = uint64(i+1), e.At, true
				if e != want {
					t.Errorf("entry %+v, want %+v", e, want)
				}
			}
			if lines := strings.Count(next.String(), "\n"); lines != 1 {
				t.Errorf("the next handler got %d records", lines)
			}
		})
	}
}

// TestTheNextHandlerDecidesForItself: what it does not want it does not get.
func TestTheNextHandlerDecidesForItself(t *testing.T) {
	j := New()
	var next bytes.Buffer
	l := slog.New(j.Handler(slog.NewTextHandler(&next, &slog.HandlerOptions{Level: slog.LevelError})))
	l.Warn("warned")
	l.Error("failed")
	if got := next.String(); strings.Contains(got, "warned") || !strings.Contains(got, "failed") {
		t.Errorf("the next handler got %q", got)
	}
	if n := j.Newest(); n != 2 {
		t.Errorf("%d entries", n)
	}
	if l.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("records are made that nobody wants")
	}
}

func TestAValueThatPanicsBreaksNothing(t *testing.T) {
	j := New()
	slog.New(j.Handler(slog.DiscardHandler)).Warn("x", "err", error(broken{}))
	if got := j.Since(0); len(got) != 1 || !strings.HasPrefix(got[0].Text, "x err=") {
		t.Errorf("entries %v", got)
	}
}

func TestHugeRecordsAreBounded(t *testing.T) {
	j := New()
	huge := strings.Repeat("漢", 1<<20)
	attrs := []any{"kind", huge, "next", huge}
	for range 1000 {
		attrs = append(attrs, huge[:300], huge)
	}
	slog.New(j.Handler(slog.DiscardHandler)).Warn(huge, attrs...)
	e := j.Since(0)[0]
	if len(e.Text) > MaxText || len(e.Kind) > MaxKind || len(e.Next) > MaxNext {
		t.Errorf("text %d, kind %d, next %d bytes", len(e.Text), len(e.Kind), len(e.Next))
	}
}

// TestTheChainIsAHandler runs the standard suite through the journal.
func TestTheChainIsAHandler(t *testing.T) {
	var out bytes.Buffer
	h := New().Handler(slog.NewJSONHandler(&out, nil))
	if err := slogtest.TestHandler(h, func() []map[string]any { return records(t, out.Bytes()) }); err != nil {
		t.Error(err)
	}
}
