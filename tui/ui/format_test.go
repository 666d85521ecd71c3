package ui

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
)

func TestDuration(t *testing.T) {
	tests := map[time.Duration]string{
		-1: "-", 0: "-", 1: "<1us", 999: "<1us", time.Microsecond: "1us", 42 * time.Microsecond: "42us", 99 * time.Microsecond: "99us",
		99_500: "0.10ms", 310 * time.Microsecond: "0.31ms", 1100 * time.Microsecond: "1.10ms", 9_994_999: "9.99ms", 9_995_001: "10.0ms",
		12_440 * time.Microsecond: "12.4ms", 124 * time.Millisecond: "124ms", 999_499_999: "999ms", 999_500_001: "1.00s",
		4200 * time.Millisecond: "4.20s", 99_900 * time.Millisecond: "99.9s", 100 * time.Second: "1m", 61 * time.Minute: "1h 01m",
	}
	for d, want := range tests {
		got := Duration(d)
		if strings.TrimSpace(got) != want || ansi.StringWidth(got) != DurationWidth {
			t.Errorf("Duration(%d) = %q, want %q in %d cells", d, got, want, DurationWidth)
		}
	}
}

func TestAge(t *testing.T) {
	tests := map[time.Duration]string{
		-1: "-", 0: "0s", 59*time.Second + 999: "59s", time.Minute: "1m", 724 * time.Second: "12m", 59*time.Minute + 59*time.Second: "59m",
		time.Hour: "1h 00m", 192 * time.Minute: "3h 12m", 24*time.Hour - 1: "23h 59m", 49 * time.Hour: "2d 01h", math.MaxInt64: "106,751d 23h",
	}
	for d, want := range tests {
		if got := Age(d); got != want {
			t.Errorf("Age(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	tests := map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 1240: "1,240", 999_999: "999,999", 1_000_000: "1,000,000", -1240: "-1,240",
		math.MinInt64: "-9,223,372,036,854,775,808",
	}
	for n, want := range tests {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	tests := map[float64]string{-1: "-", 0: "0", 0.001: "<0.01", 0.31: "0.31", 8.25: "8.25", 12.44: "12.4", 99.94: "99.9", 99.96: "100", 412: "412", 1904.4: "1,904"}
	for f, want := range tests {
		got := Rate(f)
		if strings.TrimSpace(got) != want || len(got) != RateWidth {
			t.Errorf("Rate(%v) = %q, want %q", f, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	tests := map[int64]string{-1: "-", 0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1240: "1.21 KiB", 1023 << 10: "1023 KiB", 1 << 20: "1.00 MiB", 10 << 20: "10.0 MiB", math.MaxInt64: "8.00 EiB"}
	for n, want := range tests {
		got := Bytes(n)
		if strings.TrimSpace(got) != want || len(got) != BytesWidth {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	tests := []struct {
		in   string
		w    int
		want string
	}{
		{"abc", 5, "abc  "}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abc", 0, ""}, {"abc", -1, ""}, {"漢字", 3, "漢…"}, {"漢字", 2, "… "}, {"", 2, "  "},
	}
	for _, tt := range tests {
		got := Fit(tt.in, tt.w)
		if got != tt.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", tt.in, tt.w, got, tt.want)
		}
		if n := ansi.StringWidth(got); n != max(tt.w, 0) {
			t.Errorf("Fit(%q, %d) has %d cells", tt.in, tt.w, n)
		}
	}
}

func TestBreakdownFits(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, tt := range []struct {
		w                        int
		dns, connect, tls, first time.Duration
		want                     string
	}{
		{60, 0, 210 * us, 0, 400 * us, "dns - connect 0.2 ms tls - first byte 0.4 ms"},
		{36, 0, 210 * us, 0, 400 * us, "dns - conn 0.2 tls - first 0.4 ms"},
		{36, 1240 * us, 9300 * us, 21_400 * us, 12_600 * us, "dns 1.2 con 9.3 tls 21.4 1st 12.6 ms"},
		{36, 40 * ms, 150 * ms, 310 * ms, 2100 * ms, "dns 40.0 con 150 tls 310 1st 2100 ms"},
		{20, 40 * ms, 150 * ms, 310 * ms, 2100 * ms, "first byte 2100 ms"},
		{60, 0, 9 * us, 0, 0, "dns - connect <0.1 ms tls - first byte -"},
		{60, 0, 0, 0, 0, "dns - connect - tls - first byte -"},
	} {
		if got := Breakdown(tt.w, tt.dns, tt.connect, tt.tls, tt.first); got != tt.want {
			t.Errorf("in %d cells: %q, want %q", tt.w, got, tt.want)
		}
	}
}

// TestAServiceThatAnswersIsCalledUnreachable, because it says that it has no room.
func TestAServiceThatAnswersIsCalledUnreachable(t *testing.T) {
	theme := themeFor(termenv.Ascii)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for want, h := range map[string]probe.Health{
		"unhealthy":   {At: at, Status: "unhealthy", Err: "the service says \"unhealthy\" of \"storage\""},
		"unreachable": {At: at, Err: "connection refused"},
		"degraded":    {At: at, Up: true, Status: "degraded"},
	} {
		if _, word, _ := theme.Service(engine.Service{Health: h}); word != want {
			t.Errorf("%q, want %q", word, want)
		}
	}
}
