package config_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/config"
)

func TestParseBytes(t *testing.T) {
	for value, want := range map[string]int64{
		"0": 0, "1": 1, "1024": 1024, "7B": 7, "7 b": 7,
		"1KiB": 1 << 10, "3kib": 3 << 10, "64MiB": 64 << 20, "64 MiB": 64 << 20, "64mIb": 64 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"1kB": 1000, "5KB": 5000, "64MB": 64e6, "2gb": 2e9, "1TB": 1e12, "007MiB": 7 << 20,
		"9223372036854775807": math.MaxInt64, "8388607TiB": 8388607 << 40,
	} {
		if n, err := config.ParseBytes(value); err != nil || n != want {
			t.Errorf("%q: %d, %v; want %d", value, n, err, want)
		}
	}
	for value, says := range map[string]string{
		"": "no size", " ": "no size", "MiB": "no size", "64 ": "no size", " 64": "no size", "64  MiB": "unit", "64MiB ": "unit",
		"-1": "no size", "-1MiB": "no size", "+1": "no size", "1.5GiB": "unit", "1,5GiB": "unit", "1e3": "unit", "0x10": "unit", "64M": "unit", "64m": "unit",
		"64MiB\n": "unit", "64 MiB x": "unit", "٣": "no size", "1_000": "unit",
		"9223372036854775808": "more than any size", "8388608TiB": "more than any size", "9223372036854775807KiB": "more than any size",
		"99999999999999999999999MiB": "more than any size",
	} {
		if n, err := config.ParseBytes(value); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %d, %v; want an error that says %q", value, n, err, says)
		}
	}
}

// TestFormatBytesIsReadBack: what is shown may be written into the file.
func TestFormatBytesIsReadBack(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1: "1B", 1000: "1000B", 1024: "1KiB", 64 << 20: "64MiB", 1 << 30: "1GiB", 3 << 40: "3TiB", 1<<30 + 1: "1073741825B"} {
		if got := config.FormatBytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		n = n >> rapid.IntRange(0, 62).Draw(t, "down") << rapid.IntRange(0, 40).Draw(t, "up")
		if n < 0 {
			n = math.MaxInt64
		}
		if got, err := config.ParseBytes(config.FormatBytes(n)); err != nil || got != n {
			t.Fatalf("%d is shown as %q, which is read as %d, %v", n, config.FormatBytes(n), got, err)
		}
	})
}
