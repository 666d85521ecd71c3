package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is a word behind a number of bytes.
type unit struct {
	name  string
	bytes int64
}

// units are the words that sizes are read with; the binary ones, the largest
// first, are those that sizes are shown with.
var units = []unit{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// ParseBytes reads a size in bytes: a whole number with B, KiB, MiB, GiB or TiB
// (powers of 1,024), kB, MB, GB or TB (powers of 1,000), in any case, or with
// nothing, which is bytes. A space may stand between the two. What is negative,
// has a fraction or a bare letter as unit, or does not fit 63 bits is an error.
func ParseBytes(v string) (int64, error) {
	const fix = "write a whole number with its unit, such as 64MiB or 1GiB"
	end := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(v)
	}
	number, word := v[:end], strings.TrimPrefix(v[end:], " ")
	if number == "" || (word == "" && end < len(v)) {
		return 0, &problem{quote(v) + " is no size", fix}
	}
	scale := int64(1)
	if word != "" {
		if scale = unitOf(word); scale == 0 {
			return 0, &problem{quote(v) + " is no size: its unit is not known", fix}
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/scale {
		return 0, &problem{quote(v) + " is more than any size can be", fix}
	}
	return n * scale, nil
}

// unitOf returns the bytes of a unit, 0 if there is no such one.
func unitOf(word string) int64 {
	for _, u := range units {
		if strings.EqualFold(u.name, word) {
			return u.bytes
		}
	}
	return 0
}

// FormatBytes writes a size so that ParseBytes reads the same: in the largest
// binary unit that divides it.
func FormatBytes(n int64) string {
	for _, u := range units {
		if strings.HasSuffix(u.name, "iB") && n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

func parseCache(v string) (int64, error) { return parseSize(v, MinGitCache, MaxGitCache) }

func parseKeptBytes(v string) (int64, error) { return parseSize(v, MinKeptBytes, MaxKeptBytes) }

func parseSize(v string, least, most int64) (int64, error) {
	n, err := ParseBytes(v)
	if err != nil {
		return 0, err
	}
	if n < least || n > most {
		return 0, &problem{quote(v) + " is out of range", fmt.Sprintf("use %s to %s", FormatBytes(least), FormatBytes(most))}
	}
	return n, nil
}
