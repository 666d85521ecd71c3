package govcd

import (
	"net/url"
	"strings"
)

// parameter is the first value of a name in a query, "" if there is none: what
// url.Values.Get returns, without a table of all of them. What the standard library
// passes over is passed over: pieces with a semicolon, or with an escape that is
// none.
func parameter(query, name string) string {
	for query != "" {
		var piece string
		piece, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(piece, "=")
		if key != name && !strings.ContainsAny(key, "%+") {
			continue
		}
		if strings.Contains(piece, ";") {
			continue
		}
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		if value, err := url.QueryUnescape(value); err == nil {
			return value
		}
	}
	return ""
}
