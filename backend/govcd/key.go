package govcd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotency-Replayed"
	// MaxKeys bounds the idempotency keys kept in one repository; the oldest go.
	MaxKeys = 10_000
	// keyLife is how long a key is kept.
	keyLife = 24 * time.Hour
	// maxKey bounds one key, in bytes.
	maxKey = 255
)

// requestKey tells whether two requests are the same one, sent twice.
type requestKey struct {
	key  [sha256.Size]byte // of the header
	body [sha256.Size]byte // of the request: what it asks for, and where
}

// keyOf reads the header; nil if there is none. The body is the whole of it.
func keyOf(r *http.Request, sc scope, body []byte) (*requestKey, error) {
	given, ok := r.Header[headerKey]
	if !ok {
		return nil, nil
	}
	if len(given) != 1 || len(given[0]) == 0 || len(given[0]) > maxKey || strings.ContainsFunc(given[0], func(c rune) bool { return c < 0x21 || c > 0x7e }) {
		return nil, fail(http.StatusBadRequest, "INVALID_IDEMPOTENCY_KEY", fmt.Sprintf("%s must be 1 to %d visible ASCII characters", headerKey, maxKey))
	}
	k := &requestKey{key: sha256.Sum256([]byte(given[0]))}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s\n%q %q\n", r.Method, r.URL.Path, sc.branch, sc.stage) // a hash takes all
	_, _ = h.Write(body)
	h.Sum(k.body[:0])
	return k, nil
}

// trailer is the line by which a commit says which request made it.
func (k *requestKey) trailer() string {
	return headerKey + ": " + hex.EncodeToString(k.key[:]) + " " + hex.EncodeToString(k.body[:])
}

var trailerLine = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*: `)

// withTrailer adds a line to the trailers at the end of a message.
func withTrailer(message, line string) string {
	message = strings.TrimRight(message, "\r\n")
	_, last, ok := cutLast(message, "\n\n")
	for text := range strings.Lines(last) {
		ok = ok && trailerLine.MatchString(text)
	}
	if !ok {
		return message + "\n\n" + line
	}
	return message + "\n" + line
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// keyEntry is what a request with a key did.
type keyEntry struct {
	body   [sha256.Size]byte
	commit gitrepo.Hash
	at     time.Time // that its answer told
	made   time.Time // when the key was kept
	cost   int64     // that was charged for it
	left   []leftItem
	// restored: it was read from the history, which does not tell why items
	// were left out.
	restored bool
}

// leftItem is an item that a batch left out.
type leftItem struct {
	index      int
	code, text string
}

// keys is the table of keys, the oldest first in order.
type keys struct {
	entries map[[sha256.Size]byte]keyEntry
	order   [][sha256.Size]byte
}

// find returns what the request of a key did, nil if it is new.
func (k *keys) find(key *requestKey, now time.Time) (*keyEntry, error) {
	if key == nil {
		return nil, nil
	}
	e, ok := k.entries[key.key]
	if !ok || now.Sub(e.made) > keyLife {
		return nil, nil
	}
	if e.body != key.body {
		return nil, fail(http.StatusUnprocessableEntity, "IDEMPOTENCY_MISMATCH", "another request was made with this "+headerKey)
	}
	return &e, nil
}

// keyCost is counted for each key that is kept, in bytes.
const keyCost = 256

// remember keeps what the request of a key did, and forgets keys that are too
// many or too old. The caller holds the right to commit.
func (r *repo) remember(key *requestKey, e keyEntry) {
	if key == nil {
		return
	}
	k := &r.keys
	if k.entries == nil {
		k.entries = map[[sha256.Size]byte]keyEntry{}
	}
	e.body, e.made, e.cost = key.body, r.service.now(), keyCost
	for _, l := range e.left {
		e.cost += int64(len(l.text)) + keyCost
	}
	freed := int64(0)
	drop := func() {
		freed += k.entries[k.order[0]].cost
		delete(k.entries, k.order[0])
		k.order = k.order[1:]
	}
	for len(k.order) > 0 && e.made.Sub(k.entries[k.order[0]].made) > keyLife {
		drop()
	}
	// An old key that was used anew is out of its turn.
	if old, ok := k.entries[key.key]; ok {
		freed += old.cost
		for i, other := range k.order {
			if other == key.key {
				k.order = append(k.order[:i:i], k.order[i+1:]...)
				break
			}
		}
	}
	for len(k.order) >= MaxKeys {
		drop()
	}
	k.entries[key.key] = e
	k.order = append(k.order, key.key)
	r.mu.Lock()
	defer r.mu.Unlock()
	// The commit is made: its key is kept even where there is no room any more.
	r.service.stored.Add(e.cost - freed)
	r.bytes += e.cost - freed
}

// restoreKeys fills the table from the trailers of the newest commits, as
// after a restart. Nobody uses the repository yet. Those keys are kept as if
// they were new: when a commit was made is not known, its time may be a
// client's.
func (r *repo) restoreKeys(ctx context.Context) error {
	seen := map[gitrepo.Hash]struct{}{}
	type found struct {
		key    requestKey
		commit gitrepo.Commit
	}
	var all []found
	for _, tip := range r.tips {
		err := r.git.EachCommit(ctx, tip, document.Path{}, func(c gitrepo.Commit) bool {
			if _, known := seen[c.Hash]; known || len(seen) == MaxKeys {
				return false
			}
			seen[c.Hash] = struct{}{}
			if k, ok := parseTrailer(c.Message); ok {
				all = append(all, found{k, c})
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("idempotency keys of repository %s: %w", r.id, err)
		}
	}
	for _, f := range slices.Backward(all) {
		r.remember(&f.key, keyEntry{commit: f.commit.Hash, at: f.commit.At.UTC(), restored: true})
	}
	return nil
}

// parseTrailer reads the line that requestKey.trailer wrote, the last one of a
// message.
func parseTrailer(message string) (k requestKey, ok bool) {
	_, line, _ := cutLast(strings.TrimRight(message, "\n"), "\n")
	value, ok := strings.CutPrefix(line, headerKey+": ")
	key, body, sep := strings.Cut(value, " ")
	if !ok || !sep || len(key) != 2*len(k.key) || len(body) != 2*len(k.body) {
		return k, false
	}
	_, err := hex.Decode(k.key[:], []byte(key))
	if err == nil {
		_, err = hex.Decode(k.body[:], []byte(body))
	}
	return k, err == nil
}

// replayed answers a request again that was answered before.
func (r *repo) replayed(ctx context.Context, in CommitRequest, e *keyEntry) (commitAnswer, error) {
	c, err := r.git.ReadCommit(ctx, e.commit)
	if err != nil {
		return commitAnswer{}, err
	}
	out := shownCommit(c)
	out.Message, out.Timestamp, out.replayed = in.Message, e.at, true
	if signable(in.Author) != "" {
		out.Author = in.Author
	}
	if signable(in.Email) != "" {
		out.Email = in.Email
	}
	return out, nil
}
