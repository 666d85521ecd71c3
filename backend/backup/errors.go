package backup

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

var (
	// ErrInvalid: the settings name no target that a backup can be made to.
	ErrInvalid = errors.New("invalid backup target")
	// ErrUnavailable: the target does not answer, or not in time.
	ErrUnavailable = errors.New("the backup target does not answer")
	// ErrRefused: the target refuses the credentials, or wants some.
	ErrRefused = errors.New("the backup target refuses the credentials")
	// ErrHostKey: the key of an ssh server is not known, or is another one.
	ErrHostKey = errors.New("the ssh host key is not trusted")
	// ErrMissing: the target has no repository of that name.
	ErrMissing = errors.New("the backup target has no such repository")
	// ErrEmptied: nothing lies at the target, where a backup did before.
	ErrEmptied = errors.New("the backup is gone from its target")
	// ErrRejected: the target took the objects, and refuses to move the branch,
	// or does not speak git.
	ErrRejected = errors.New("the backup target rejects the push")

	// errNoParent: the folder around a folder is not there.
	errNoParent = errors.New("the folder around it is not there")
)

// advices say what to do about an error; the first that fits counts.
var advices = []struct {
	err  error
	next string
}{
	{gitrepo.ErrForeign, "Another history lies at the target: name an empty place in backup.remote, or restore this store from the backup if it is the right one"},
	{gitrepo.ErrNotForward, "The target has commits that this store lacks: look there with git log, then restore from it or name an empty place in backup.remote; nothing is overwritten"},
	{ErrEmptied, "Is the disk mounted, the address right? To begin a new backup there run: caiatop backup now --anew"},
	{ErrHostKey, "Compare the key with the server's administrator and add it: ssh-keyscan -p PORT HOST >> ~/.ssh/known_hosts, or name a file in backup.known_hosts"},
	{ErrRefused, "Look at backup.token (CAIATOP_BACKUP_TOKEN), the user and password in backup.remote, or backup.ssh_key and the ssh agent"},
	{ErrMissing, "Make an empty repository there, or mend backup.remote; some servers say this, too, when credentials are missing"},
	{ErrRejected, "Look at the protections of the branch main and at the hooks of the target"},
	{ErrInvalid, "Mend the setting; see: caiatop config show"},
	{gitrepo.ErrInvalid, "Something else lies in that folder: name an empty one in backup.remote, or one that is not there yet"},
	{durable.ErrDiskFull, "Free space on the disk of the backup, it goes on by itself"},
	{durable.ErrReadOnly, "Make the folder of the backup writable, it goes on by itself"},
	{gitrepo.ErrCorrupt, "Look at the repository with: git fsck --full"},
	{errNoParent, "Mount the disk, or make the folder around the backup, or mend backup.remote; then: caiatop backup now"},
	{ErrUnavailable, "Look at the network and the server; a running engine tries again by itself, or now: caiatop backup now"},
}

// Advice says what to do about an error of this package.
func Advice(err error) string {
	for _, a := range advices {
		if errors.Is(err, a.err) {
			return a.next
		}
	}
	return "A running engine tries again by itself, or now: caiatop backup now"
}

// unavailable marks what the network did.
func unavailable(err error) error {
	var network net.Error
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrHostKey) || errors.Is(err, ErrInvalid) {
		return err
	}
	if errors.As(err, &network) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

const redacted = "[redacted]"

// redactor takes secrets out of texts, in every form in which one may get into
// them.
type redactor struct{ forms []string }

// userInfo is what stands before the host of any URL.
var userInfo = regexp.MustCompile(`(://)[^/@\s"']+@`)

// basicHeader is a header with credentials.
var basicHeader = regexp.MustCompile(`(?i)\b(basic|bearer)\s+[A-Za-z0-9+/_=.~-]{4,}`)

// newRedactor knows the credentials of one target.
func newRedactor(user, secret string) redactor {
	if secret == "" {
		return redactor{}
	}
	var forms []string
	add := func(s string) {
		forms = append(forms, s, url.QueryEscape(s), url.PathEscape(s), lowerEscapes(url.QueryEscape(s)), lowerEscapes(url.PathEscape(s)), everyByte(s))
		quoted := strconv.Quote(s)
		forms = append(forms, quoted[1:len(quoted)-1])
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			forms = append(forms, strings.TrimRight(encoding.EncodeToString([]byte(s)), "="))
		}
	}
	add(secret)
	add(user + ":" + secret)
	_, own, _ := strings.Cut(url.UserPassword(user, secret).String(), ":")
	forms = append(forms, own)
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // the longest first
	return redactor{slices.Compact(forms)}
}

var escape = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerEscapes(s string) string { return escape.ReplaceAllStringFunc(s, strings.ToLower) }

func everyByte(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for _, b := range []byte(s) {
		out.Write([]byte{'%', digits[b>>4], digits[b&15]})
	}
	return out.String()
}

// longest is the length of the longest form of a secret, in bytes.
func (r redactor) longest() int {
	if len(r.forms) == 0 {
		return 0
	}
	return len(r.forms[0])
}

func (r redactor) text(s string) string {
	for _, form := range r.forms {
		s = strings.ReplaceAll(s, form, redacted)
	}
	s = userInfo.ReplaceAllString(s, "${1}"+redacted+"@")
	return basicHeader.ReplaceAllString(s, "${1} "+redacted)
}

// error hides the text of an error and keeps what it is.
func (r redactor) error(err error) error {
	if err == nil {
		return nil
	}
	return &safeError{r.text(err.Error()), err}
}

// safeError is an error whose text holds no secret. It does not unwrap: the
// errors within it are not safe to show.
type safeError struct {
	text  string
	cause error
}

// Error implements error.
func (e *safeError) Error() string { return e.text }

// Is makes errors.Is see the sentinels.
func (e *safeError) Is(target error) bool { return errors.Is(e.cause, target) }
