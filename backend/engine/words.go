package engine

import (
	"fmt"
	"strconv"
)

// number returns n with thousands separated, as the screens show it: 1,240.
func number[N int | int64](n N) string {
	switch {
	case n < 0:
		return "-" + number(-n)
	case n < 1000:
		return strconv.Itoa(int(n))
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}

// count says "1 document" and "1,240 documents".
func count[N int | int64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return number(n) + " " + what
}
