package term

import "strings"

// Ability says what a terminal can show, as far as its environment tells.
type Ability struct {
	ASCII bool // nothing but ASCII
	Mono  bool // no colours
}

// Abilities reads the environment of a session: TERM=dumb can show neither
// more than ASCII nor colours, a locale other than UTF-8 no more than ASCII,
// and NO_COLOR asks for none. The first of LC_ALL, LC_CTYPE and LANG that is
// set is the locale. None at all, as in a container, says nothing about the
// terminal outside of it, and nearly all of them take UTF-8.
func Abilities(getenv func(string) string) Ability {
	dumb := getenv("TERM") == "dumb"
	return Ability{ASCII: dumb || !utf8Locale(getenv), Mono: dumb || getenv("NO_COLOR") != ""}
}

func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := getenv(name); locale != "" {
			locale = strings.ToLower(locale)
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return true
}
