package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Unknown stands for a value that is not known. It is never shown as zero.
const Unknown = "-"

// The widths that the formats below fill, in cells.
const (
	DurationWidth = 6
	RateWidth     = 7
	BytesWidth    = 8
)

// Duration returns a latency with three significant digits in DurationWidth
// cells: 42us, 0.31ms, 12.4ms, 4.20s; whole minutes above 100 s. Zero and less
// are unknown.
func Duration(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	var s string
	switch {
	case d <= 0:
		s = Unknown
	case d < time.Microsecond:
		s = "<1us"
	case d < 99500*time.Nanosecond:
		s = fmt.Sprintf("%.0fus", float64(d)/float64(time.Microsecond))
	case ms < 999.5:
		s = significant(ms) + "ms"
	case d < 100*time.Second:
		s = significant(d.Seconds()) + "s"
	default:
		s = Age(d)
	}
	return Left(s, DurationWidth)
}

// Breakdown says where the time of a request goes, in w cells if that is at all
// possible: "dns - connect 0.2 ms tls - first byte 0.4 ms". Zero is unknown, or
// did not happen.
func Breakdown(w int, dns, connect, tls, first time.Duration) string {
	parts := []any{tenths(dns), tenths(connect), tenths(tls), tenths(first)}
	long := ""
	for i, name := range []string{"dns", "connect", "tls", "first byte"} {
		long += " " + name + " " + parts[i].(string)
		if parts[i] != Unknown {
			long += " ms"
		}
	}
	return Longest(w, long[1:], fmt.Sprintf("dns %s conn %s tls %s first %s ms", parts...), fmt.Sprintf("dns %s con %s tls %s 1st %s ms", parts...),
		fmt.Sprintf("first byte %s ms", parts[3]))
}

// tenths returns a latency in milliseconds to a tenth.
func tenths(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return Unknown
	case ms < 0.05:
		return "<0.1"
	case ms < 99.95:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 0, 64)
}

// Age returns how long something lasts: seconds below a minute, then minutes,
// hours and days, so that it changes once a minute at most. Less than zero is
// unknown.
func Age(d time.Duration) string {
	minutes := int64(d / time.Minute)
	switch {
	case d < 0:
		return Unknown
	case minutes < 1:
		return fmt.Sprintf("%ds", int64(d/time.Second))
	case minutes < 60:
		return fmt.Sprintf("%dm", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("%dh %02dm", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%sd %02dh", Count(minutes/(24*60)), minutes/60%24)
}

// Count returns n with thousands separated: 1,240.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	first := (len(digits)-1)%3 + 1
	var out strings.Builder
	out.WriteString(sign + digits[:first])
	for i := first; i < len(digits); i += 3 {
		out.WriteString("," + digits[i:i+3])
	}
	return out.String()
}

// Rate returns operations a second in RateWidth cells. Zero is a rate like any
// other.
func Rate(f float64) string {
	var s string
	switch {
	case f < 0:
		s = Unknown
	case f == 0:
		s = "0"
	case f < 0.005:
		s = "<0.01"
	case f < 99.95:
		s = significant(f)
	default:
		s = Count(int64(f + 0.5))
	}
	return Left(s, RateWidth)
}

// Bytes returns a size in BytesWidth cells: 512 B, 1.20 KiB, 12.4 MiB. Less
// than zero is unknown.
func Bytes(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	if n < 0 {
		return Left(Unknown, BytesWidth)
	}
	if n < 1024 {
		return Left(fmt.Sprintf("%d B", n), BytesWidth)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.5 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return Left(significant(value)+" "+units[unit], BytesWidth)
}

// significant returns f with three significant digits, two decimals at most.
func significant(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// Left pads s with spaces on its left to w cells.
func Left(s string, w int) string {
	if n := w - ansi.StringWidth(s); n > 0 {
		return strings.Repeat(" ", n) + s
	}
	return s
}

// Fit returns s in exactly w cells: cut with a mark, or padded on its right.
// Less than one cell is nothing.
func Fit(s string, w int) string {
	if w <= 0 {
		return ""
	}
	n := ansi.StringWidth(s)
	if n > w {
		s = ansi.Truncate(s, w, "…")
		n = ansi.StringWidth(s)
	}
	if n < w {
		s += strings.Repeat(" ", w-n)
	}
	return s
}
