package document

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shortened marks an identity that was cut to MaxID: "%~" and 16 hex digits of
// the SHA-256 of the whole name end it. Escaping never yields "%~" otherwise.
const shortened = "%~"

// EscapeID makes an identity of any file name or relative path: a slash
// becomes "~", and every byte that an identity cannot hold becomes "%XX", as
// do "~" and "%" themselves. UnescapeID reverses it, unless the result would
// be longer than MaxID: then it is cut and ends in a hash of the whole, so
// that it stays unique.
func EscapeID(name string) (ID, error) {
	if name == "" {
		return ID{}, fmt.Errorf("%w: the name is empty", ErrInvalid)
	}
	var out strings.Builder
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == '/':
			out.WriteByte('~')
		case r == '~' || r == '%' || r == '\\' || unicode.IsControl(r) || isInvisible(r):
			out.WriteString(escapeBytes(name[i : i+size]))
		default:
			out.WriteString(name[i : i+size])
		}
		i += size
	}
	escaped := out.String()
	if _, own := gitOwnFile(escaped); own || escaped == "." || escaped == ".." || DisguisesGit(escaped) {
		_, size := utf8.DecodeRuneInString(escaped)
		escaped = escapeBytes(escaped[:size]) + escaped[size:]
	}
	if len(escaped) > MaxID {
		tail := shortened + ShortHash(name)
		escaped = strings.ToValidUTF8(escaped[:MaxID-len(tail)], "") + tail
	}
	return ParseID(escaped)
}

// escapeBytes writes every byte of s as "%XX".
func escapeBytes(s string) string {
	var out strings.Builder
	for _, b := range []byte(s) {
		fmt.Fprintf(&out, "%%%02X", b)
	}
	return out.String()
}

// UnescapeID returns the name that EscapeID was given, and false if id was
// shortened or not made by EscapeID.
func UnescapeID(id ID) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(id.s); i++ {
		switch c := id.s[i]; c {
		case '~':
			out.WriteByte('/')
		case '%':
			if i+2 >= len(id.s) {
				return "", false
			}
			b, err := hex.DecodeString(id.s[i+1 : i+3])
			if err != nil {
				return "", false
			}
			out.WriteByte(b[0])
			i += 2
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), true
}

// ShortHash returns 16 hex digits of the SHA-256 of s, to keep names unique
// that had to be cut.
func ShortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}
