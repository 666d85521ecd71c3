package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// parseRemote looks only for what can never be right; it never repeats the
// value, which may hold a password.
func parseRemote(v string) (Secret, error) {
	switch {
	case len(v) > MaxSecret:
		return Secret{}, &problem{fmt.Sprintf("the value has %d bytes", len(v)), fmt.Sprintf("use at most %d", MaxSecret)}
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Secret{}, &problem{"the value holds a control character", "write a folder or a URL"}
	case passwordWithoutScheme.MatchString(v):
		return Secret{}, &problem{"the value looks like a user and a password without a scheme", "write https://user:password@host/path, or host:path"}
	}
	return NewSecret(v), nil
}

// passwordWithoutScheme is user:password@host, also behind a scheme that lacks
// a slash. git would take the user for a host and the password for a path, and
// show both.
var passwordWithoutScheme = regexp.MustCompile(`\A[^/]*:/?[^/]*@`)

var beforeHost = regexp.MustCompile(`://[^/]*@`)

// showRemote leaves out whatever may be a password.
func showRemote(s Secret) string {
	v := s.Reveal()
	if u, err := url.Parse(v); strings.Contains(v, "://") && (err != nil || u.RawQuery != "" || u.Fragment != "") {
		return redacted
	}
	return beforeHost.ReplaceAllString(v, "://"+redacted+"@")
}

func parseInterval(v string) (time.Duration, error) {
	if v == "0" {
		return 0, nil
	}
	const fix = "use 1s to 24h, such as 30s, or 0 to push only by command"
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, &problem{quote(v) + " is not a duration", fix}
	}
	if d != 0 && (d < MinInterval || d > MaxInterval) {
		return 0, &problem{quote(v) + " is out of range", fix}
	}
	return d, nil
}

// parseFileName takes the name of a file, which need not exist yet.
func parseFileName(v string, env Env) (string, error) {
	if v == "" {
		return "", nil
	}
	return parseDir(v, env)
}
